import warnings

import numpy as np
import pytest
import torch

from lrsched_kit import NoisyQuadratic, noise_floor, plot_expected, trace_lr
from lrsched_kit.training.stats import mean_and_error

# Three coordinates, noise in proportion to the curvature, far away at the start.
VALLEY = NoisyQuadratic(curvature=(1, 0.1, 0.01), noise=(1, 0.1, 0.01), start=10)
COSINE = trace_lr("CosineAnnealingLR", base_lr=0.5, steps=60, T_max=60)


def test_a_step_worked_out_by_hand():
    # From 10 with rate 0.5: the mean halves, and noise of variance 0.25 comes in.
    after = NoisyQuadratic(curvature=1, noise=1, start=10).expect([0.5])
    assert after.mean[:, 0].tolist() == [10, 5]
    assert after.variance[:, 0].tolist() == [0, 0.25]
    assert after.bias.tolist() == [50, 12.5]
    assert after.noise.tolist() == [0, 0.125]
    assert after.loss.tolist() == [50, 12.625]


def test_there_is_a_loss_before_the_first_step_and_after_each():
    expected = VALLEY.expect(COSINE)
    assert expected.loss.shape == expected.bias.shape == expected.noise.shape == (61,)
    assert expected.mean.shape == expected.variance.shape == (61, 3)
    assert expected.loss[0] == pytest.approx(0.5 * 1.11 * 100)


def test_four_thousand_sampled_runs_agree_within_three_standard_errors():
    expected, runs = VALLEY.expect(COSINE), VALLEY.sample(COSINE, runs=4000, seed=1)
    losses = (np.array(VALLEY.curvature) * runs**2).sum(axis=-1) / 2
    for step in (1, 5, 20, 40, 60):
        mean, error = mean_and_error(losses[:, step])
        assert abs(mean - expected.loss[step]) < 3 * error
        centre, off = mean_and_error(runs[:, step])
        assert np.all(abs(centre - expected.mean[step]) < 3 * off)
        spread, off = mean_and_error((runs[:, step] - expected.mean[step]) ** 2)
        assert np.all(abs(spread - expected.variance[step]) < 3 * off)


def test_a_sampled_run_is_what_torch_does_with_the_same_noise():
    h, v = torch.tensor([1.0, 0.1]).double(), torch.tensor([4.0, 0.3]).double()
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((20, 2))) * v.sqrt()
    w = torch.tensor([2.0, -5.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.3)
    path = [w.detach().clone()]
    for xi in noise:
        optimizer.zero_grad()
        ((h * w**2).sum() / 2 + xi @ w).backward()
        optimizer.step()
        scheduler.step()
        path.append(w.detach().clone())
    rates = trace_lr("StepLR", base_lr=0.5, steps=20, step_size=7, gamma=0.3)
    ours = NoisyQuadratic(h.numpy(), v.numpy(), (2, -5)).sample(rates, seed=3)[0]
    np.testing.assert_allclose(ours, torch.stack(path).numpy(), rtol=1e-12)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    assert np.array_equal(VALLEY.sample(COSINE, seed=5), VALLEY.sample(COSINE, seed=5))
    assert not np.array_equal(VALLEY.sample(COSINE, seed=5), VALLEY.sample(COSINE, seed=6))


def test_without_noise_the_expectation_is_the_run():
    still = NoisyQuadratic((1, 0.1), noise=0, start=(3, -4))
    np.testing.assert_allclose(still.expect(COSINE).mean, still.sample(COSINE)[0], rtol=1e-12)
    assert not still.expect(COSINE).noise.any()


@pytest.mark.parametrize(
    ("rate", "floor"), [(0.4, 0.125), (0.2, 0.0556), (0.1, 0.0263), (0.05, 0.0128)]
)
def test_a_constant_rate_settles_at_the_noise_floor(rate, floor):
    settled = NoisyQuadratic(start=10).expect(np.full(2000, rate)).loss[-1]
    assert settled == pytest.approx(float(noise_floor(rate)), rel=1e-12)
    assert settled == pytest.approx(rate / (2 * (2 - rate)), rel=1e-12)
    assert round(settled, 4) == floor


def test_the_floor_of_a_valley_is_that_of_its_coordinates_together():
    settled = VALLEY.expect(np.full(20_000, 0.3)).loss[-1]
    assert settled == pytest.approx(float(VALLEY.noise_floor(0.3)), rel=1e-9)
    parts = noise_floor(0.3, curvature=VALLEY.curvature, noise=VALLEY.noise)
    assert parts.sum() == pytest.approx(float(VALLEY.noise_floor(0.3)))
    assert VALLEY.noise_floor([0.1, 0.2, 2.5]).shape == (3,)


def test_a_rate_that_is_too_large_is_a_result_not_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = NoisyQuadratic().expect(np.full(3000, 2.5))
        assert expected.loss[-1] == np.inf
        assert not np.isnan(expected.mean).any() | np.isnan(expected.loss).any()
        assert noise_floor([1.9, 2.0, 2.5]).tolist() == [pytest.approx(9.5), np.inf, np.inf]


def test_what_was_lost_stays_lost_even_where_a_step_multiplies_by_zero():
    rates = np.concatenate([np.full(3000, 2.5), [1.0]])  # 1 - 1.0 * h = 0
    assert NoisyQuadratic().expect(rates).loss[-1] == np.inf


def test_many_schedules_are_solved_side_by_side():
    rates = np.stack([COSINE, COSINE / 2, np.full(60, 0.1)])
    together = VALLEY.expect(rates[:, None]).loss
    assert together.shape == (3, 1, 61)
    for row, alone in zip(together[:, 0], rates, strict=True):
        assert np.array_equal(row, VALLEY.expect(alone).loss)


def test_records_have_a_row_per_step_of_each_schedule():
    expected = VALLEY.expect([[0.1, 0.2], [0.3, 0.4]])
    rows = expected.records()
    assert [(row["schedule"], row["step"]) for row in rows] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)
    ]  # fmt: skip
    assert rows[4]["loss"] == expected.loss[1, 1]


def test_tuning_gives_each_schedule_its_own_best_base_lr():
    shapes = {"Constant": np.ones(60), "CosineAnnealingLR": COSINE / 0.5}
    grid = [0.03, 0.1, 0.3, 1.0, 3.0]
    tuned = VALLEY.tune(shapes, grid)
    for label, shape in shapes.items():
        finals = [VALLEY.expect(base_lr * shape).loss[-1] for base_lr in grid]
        assert tuned[label] == (grid[int(np.argmin(finals))], pytest.approx(min(finals)))
    assert tuned["CosineAnnealingLR"].loss < tuned["Constant"].loss


def test_no_schedule_beats_the_one_that_is_best_at_every_step():
    # One coordinate: with M = mean² + variance, the best rate is M / (M + 1), and 1 / M grows by 1.
    square, best = 100.0, []
    for _ in range(200):
        best.append(square / (square + 1))
        square = square / (square + 1)
    valley = NoisyQuadratic(start=10)
    lowest = valley.expect(best).loss
    np.testing.assert_allclose(lowest, 0.5 / (np.arange(201) + 0.01), rtol=1e-12)
    cosine = trace_lr("CosineAnnealingLR", base_lr=1.0, steps=200, T_max=200)
    tuned = valley.tune({"cosine": cosine, "Constant": np.ones(200)}, np.geomspace(0.001, 1.9, 60))
    assert lowest[-1] < min(row.loss for row in tuned.values())


def test_the_picture_shows_loss_parts_and_floor_and_survives_divergence():
    valley = NoisyQuadratic(start=10)
    walks = {"Constant": valley.expect(np.full(50, 0.4)), "2.5": valley.expect(np.full(3000, 2.5))}
    ax = plot_expected(walks, floors={"Constant": 0.125}, parts=True)
    bias, noise, loss, floor, *_ = ax.lines
    np.testing.assert_allclose(loss.get_ydata(), walks["Constant"].loss)
    np.testing.assert_allclose(bias.get_ydata()[:9], walks["Constant"].bias[:9])
    np.testing.assert_allclose(noise.get_ydata()[1:], walks["Constant"].noise[1:])
    assert floor.get_ydata() == [0.125, 0.125]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(walks)
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoisyQuadratic(curvature=(1, 0)), "curvature must be positive and finite, got 0"),
        (lambda: NoisyQuadratic(noise=-1), "noise must be finite and not negative, got -1"),
        (lambda: NoisyQuadratic(start=np.nan), "start must be finite, got nan"),
        (
            lambda: NoisyQuadratic((1, 2), noise=(1, 2, 3)),
            "noise must be one number or 2, .* got 3",
        ),
        (lambda: VALLEY.expect([0.1, -0.2]), "rates must be finite and not negative, got -0.2"),
        (lambda: VALLEY.expect("fast"), "rates must be numbers, got 'fast'"),
        (lambda: VALLEY.sample([0.1], runs=0), "runs must be a positive integer, got 0"),
        (lambda: VALLEY.tune({"a": [1], "b": [1, 1]}, [0.1]), "shapes must have one and the same"),
        (lambda: noise_floor(-0.1), "rate must be finite and not negative, got -0.1"),
    ],
)
def test_bad_input_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
