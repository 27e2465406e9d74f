import pytest

from lrsched_kit.training.stats import t_quantile

# Abramowitz and Stegun, table 26.10: degrees of freedom -> t of A = 0.9, 0.95, 0.99, 0.999.
PRINTED = {
    1: (6.314, 12.706, 63.657, 636.619),
    2: (2.920, 4.303, 9.925, 31.598),
    3: (2.353, 3.182, 5.841, 12.924),
    4: (2.132, 2.776, 4.604, 8.610),
    5: (2.015, 2.571, 4.032, 6.869),
    9: (1.833, 2.262, 3.250, 4.781),
    10: (1.812, 2.228, 3.169, 4.587),
    30: (1.697, 2.042, 2.750, 3.646),
    120: (1.658, 1.980, 2.617, 3.373),
}


@pytest.mark.parametrize("df", PRINTED)
def test_quantiles_are_those_of_the_printed_table(df):
    found = [t_quantile((1 + both) / 2, df) for both in (0.9, 0.95, 0.99, 0.999)]
    assert found == pytest.approx(PRINTED[df], abs=6e-4, rel=5e-5)


def test_quantiles_mirror_each_other_and_the_middle_is_zero():
    assert t_quantile(0.1, 4) == -t_quantile(0.9, 4)
    assert t_quantile(0.5, 4) == 0


@pytest.mark.parametrize(
    ("share", "df", "message"),
    [
        (1.0, 2, "share must be a positive number below 1, got 1.0."),
        (0.9, 0, "df must be a positive integer, got 0."),
    ],
)
def test_what_has_no_quantile_is_refused(share, df, message):
    with pytest.raises(ValueError) as error:
        t_quantile(share, df)
    assert str(error.value) == message
