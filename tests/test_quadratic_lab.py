import threading
import time

import numpy as np
import pytest

from lrsched_kit import NoisyQuadratic, QuadraticLab, trace_lr
from lrsched_kit.labs import quadratic_lab
from lrsched_kit.labs.quadratic_lab import SHAPES


@pytest.fixture(scope="module")
def shared():
    lab = QuadraticLab("CosineAnnealingLR", base_lr=0.4, steps=40)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared, monkeypatch):
    """The lab as it was at first, without the rest before a crisp frame."""
    monkeypatch.setattr(quadratic_lab, "REST", 0)
    shared.controls["reset"].click()
    assert shared.wait(60)
    return shared


def test_it_shows_the_schedule_beside_the_constant_rate_with_torchs_rates(lab):
    assert list(lab.walks) == ["Constant", "CosineAnnealingLR"]
    rates = trace_lr("CosineAnnealingLR", base_lr=0.4, steps=40, T_max=40, eta_min=0.004)
    assert lab.walks["CosineAnnealingLR"].rates.tolist() == rates.tolist()
    assert lab.walks["Constant"].rates.tolist() == [0.4] * 40


def test_moving_sliders_solves_the_valley_that_they_describe(lab):
    lab.controls["noise"].value = 2.0
    lab.controls["ratio"].value = 20.0
    lab.controls["base_lr"].value = 0.2
    assert lab.wait(60)
    valley = NoisyQuadratic(curvature=(1, 1 / 20), noise=(2, 2 / 20), start=(2.5, 4))
    walk = lab.walks["CosineAnnealingLR"]
    assert walk.rates[0] == 0.2
    np.testing.assert_allclose(walk.expected.loss, valley.expect(walk.rates).loss, rtol=1e-12)
    assert np.array_equal(walk.path, valley.sample(walk.rates)[0])
    assert np.array_equal(walk.floor, valley.noise_floor(walk.rates))


@pytest.mark.parametrize("name", SHAPES)
def test_each_schedule_goes_from_base_lr_to_the_end_factor(lab, name):
    lab.controls["schedule"].value = name
    lab.controls["steps"].value = 300
    assert lab.wait(60)
    rates = lab.walks[name].rates
    assert rates[0] == 0.4
    end = 0.4 if name == "Constant" else 0.004
    assert rates[-1] == pytest.approx(end, abs=0.4 / 300)  # the last step is one before the end
    assert np.all(np.diff(rates) <= 1e-15)


@pytest.mark.usefixtures("drawn")
def test_no_slider_at_either_end_breaks_the_lab(lab):
    for name, control in zip(
        SHAPES, ("base_lr", "end_factor", "noise", "ratio", "steps"), strict=True
    ):
        lab.controls["schedule"].value = name
        slider = lab.controls[control]
        log = control in ("base_lr", "end_factor", "ratio")
        for end in (slider.min, slider.max):
            slider.value = 10**end if log else end
            assert lab.wait(60)
            assert lab.summary.count("expected loss") == len(lab.walks)


def test_a_diverging_run_is_shown_as_one_and_said_in_words(lab):
    lab.controls["schedule"].value = "Constant"
    lab.controls["base_lr"].value = 4.0
    lab.controls["steps"].value = 400
    assert lab.wait(60)
    assert lab.walks["Constant"].expected.loss[-1] == np.inf
    assert "Constant diverges: expected loss inf after 400 steps." in lab.summary
    assert "nothing settles" in lab.summary
    assert lab._work.picture.image.tooltip == " ".join(lab.summary.splitlines())


def test_the_words_say_what_the_loss_is_made_of(lab):
    walk = lab.walks["CosineAnnealingLR"].expected
    share = walk.noise[-1] / walk.loss[-1]
    assert lab.summary.splitlines() == [
        f"CosineAnnealingLR: expected loss {walk.loss[-1]:.3g} after 40 steps, "
        f"{1 - share:.0%} of it bias, {share:.0%} noise.",
        f"Constant: expected loss {lab.walks['Constant'].expected.loss[-1]:.3g} after 40 steps, "
        "18% of it bias, 82% noise.",
        "At a rate of 0.4 the noise floor is 0.135.",
    ]


def test_run_meets_other_noise_but_expects_the_same_and_reset_comes_back(lab):
    before = lab.walks["Constant"]
    lab.controls["run"].click()
    assert lab.wait(60)
    after = lab.walks["Constant"]
    assert not np.array_equal(before.path, after.path)
    assert np.array_equal(before.expected.loss, after.expected.loss)
    lab.controls["base_lr"].value = 0.1
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert np.array_equal(lab.walks["Constant"].path, before.path)


def test_both_runs_meet_the_same_noise(lab):
    lab.controls["end_factor"].value = 1.0  # now the cosine is the constant rate
    assert lab.wait(60)
    first, second = lab.walks.values()
    np.testing.assert_allclose(first.path, second.path, rtol=1e-12)


def test_the_picture_shows_path_ellipse_loss_and_floor(lab):
    picture, walk = lab._work.picture, lab.walks["CosineAnnealingLR"]
    slot = picture._slots[1]
    assert np.array_equal(slot.path.get_xydata(), walk.path[:, ::-1])
    x, y = slot.ellipse.get_data()
    sigma = np.sqrt(walk.expected.variance[-1])
    assert np.ptp(x) == pytest.approx(2 * sigma[1])
    assert np.ptp(y) == pytest.approx(2 * sigma[0], rel=1e-3)
    assert np.array_equal(slot.loss.get_ydata(), walk.expected.loss)
    assert np.array_equal(slot.floor.get_ydata()[::2], walk.floor)
    legend = [text.get_text() for text in picture._figure.legends[0].get_texts()]
    assert legend[:2] == ["Constant", "CosineAnnealingLR"]


@pytest.mark.usefixtures("full_size")
def test_frames_are_quick_while_a_slider_moves_and_crisp_at_rest(lab, monkeypatch):
    monkeypatch.setattr(quadratic_lab, "REST", 0.3)
    formats = []
    lab._work.picture.image.observe(lambda change: formats.append(change["new"]), "format")
    for base_lr in np.linspace(0.1, 0.5, 8):
        lab.controls["base_lr"].value = base_lr
        time.sleep(0.03)
    assert lab.wait(60)
    assert formats == ["jpeg", "png"]  # it went over to quick frames once, and back once


def test_forty_moves_from_two_threads_end_on_what_the_sliders_show(lab):
    def move(name, values):
        for value in values:
            lab.controls[name].value = value

    threads = [
        threading.Thread(target=move, args=("base_lr", np.linspace(0.1, 0.3, 20))),
        threading.Thread(target=move, args=("steps", range(21, 41))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.wait(60)
    assert lab.walks["Constant"].rates.tolist() == [0.3] * 40


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuadraticLab("Cosine"), "schedule must be one of .* got 'Cosine'"),
        (lambda: QuadraticLab(bas_lr=1), "no setting 'bas_lr' \\(did you mean 'base_lr'"),
        (lambda: QuadraticLab(steps=0), "steps must be a positive integer, got 0"),
        (lambda: QuadraticLab(noise=-1), "noise must be a non-negative number, got -1"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_drawn(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_ends_of_a_slider_can_be_reached_from_any_start():
    # No whole number of notches lies between this start and the ends.
    lab = QuadraticLab("StepLR", end_factor=0.013, steps=40)
    slider = lab.controls["end_factor"]
    for power in (slider.min, slider.max):
        slider.value = 10**power
        assert lab.wait(60)
    lab.close()


def test_an_end_above_the_start_is_refused():
    with pytest.raises(ValueError, match="end_factor must be a positive number, 1 at most, got 2"):
        QuadraticLab(end_factor=2)
