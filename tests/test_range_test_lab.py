import numpy as np
import pytest
import torch
from waiting import put_back

from lrsched_kit import (
    MLP,
    RangeTestLab,
    SimpleNet,
    load_digits,
    lr_range_test,
    make_optimizer,
    seeded,
    toy_regression,
    train,
)
from lrsched_kit.training.fleet import Fleet

QUICK = {"epochs": 1, "seeds": 2, "steps": 100}


@pytest.fixture(scope="module")
def shared():
    """A lab for all tests; those that only look take it as it is."""
    lab = RangeTestLab(**QUICK)
    assert lab.wait(60)
    yield lab
    lab.close()


@pytest.fixture
def lab(shared):
    """The same for a test that moves something."""
    yield shared
    put_back(shared)


def by_the_kit(optimizer="momentum", seed=0, **settings):
    model = seeded(MLP, seed)
    bound = make_optimizer(optimizer, model.parameters(), 0.1)
    return lr_range_test(model, load_digits(), bound, steps=100, seed=seed, **settings)


def same(a, b):
    return np.array_equal(a.rates, b.rates, equal_nan=True) and np.array_equal(
        a.loss, b.loss, equal_nan=True
    )


def test_it_has_a_control_for_each_setting(shared):
    sliders = ["low", "high", "steps", "smooth", "stop_factor", "seed"]
    assert list(shared.controls) == ["model", "optimizer", "schedule", *sliders, "run", "reset"]


def test_it_shows_the_range_test_of_the_kit(lab):
    assert same(lab.test, by_the_kit())
    lab.controls["seed"].value = 3
    lab.controls["optimizer"].value = "adam"
    lab.controls["stop_factor"].value = 3.0
    assert lab.wait(60)
    assert same(lab.test, by_the_kit("adam", seed=3, stop_factor=3.0))


def test_it_trains_at_each_pick_what_train_would(shared):
    assert list(shared.histories) == ["steepest", "tenth", "valley"]
    model = seeded(MLP, 1)
    optimizer = make_optimizer("momentum", model.parameters(), shared.test.tenth)
    expected = train(model, load_digits(), optimizer, epochs=1, seed=1)
    second = shared.histories["tenth"][1]
    assert second.lr.tolist() == expected.lr.tolist()
    np.testing.assert_allclose(second.val_loss, expected.val_loss, rtol=1e-3)


def test_the_schedule_that_follows_is_a_choice(lab):
    lab.controls["schedule"].value = "CosineAnnealingLR"
    assert lab.wait(60)
    assert "Trained at each pick, CosineAnnealingLR, one epoch." in lab.summary
    longer = RangeTestLab(schedule="CosineAnnealingLR", epochs=2, seeds=1, steps=40)
    assert longer.wait(60)
    assert "Trained at each pick, CosineAnnealingLR, 2 epochs." in longer.summary
    rates = longer.histories["valley"][0].epoch_lr
    assert rates[1] == pytest.approx(rates[0] / 2)
    longer.close()


@pytest.mark.usefixtures("drawn")
def test_each_slider_at_both_ends_tests_without_an_error():
    toy = {"data": toy_regression(), "make_model": SimpleNet, "batch_size": 16}
    lab = RangeTestLab(epochs=1, seeds=2, steps=40, **toy)
    for name in ("low", "high", "steps", "smooth", "stop_factor", "seed"):
        slider = lab.controls[name]
        start, ends = slider.value, (slider.min, slider.max)
        for value in [10**end for end in ends] if name in ("low", "high") else ends:
            slider.value = value
            assert lab.wait(60)
            assert "Picks: " in lab.summary
        slider.value = start
    lab.close()


def test_reset_puts_sliders_and_menus_back(lab):
    before = lab.test
    lab.controls["high"].value = 0.5
    lab.controls["optimizer"].value = "sgd"
    assert lab.wait(60)
    assert not same(lab.test, before)
    lab.controls["reset"].click()
    assert lab.wait(60)
    assert lab.controls["optimizer"].value == "momentum"
    assert same(lab.test, before)


def test_the_words_name_picks_cut_and_losses(lab):
    lab.controls["high"].value = 1e-1
    assert lab.wait(60)
    assert "Picks: steepest slope 0." in lab.summary
    assert "without being cut" in lab.summary
    assert "Final validation loss (mean of 2 seeds): steepest slope " in lab.summary
    lab.controls["high"].value = 100
    lab.controls["stop_factor"].value = 1.2
    assert lab.wait(60)
    assert f"step {lab.test.cut_at + 1} of 100" in lab.summary


def test_many_moves_end_on_the_last_one(lab):
    for seed in (1, 2, 3, 4, 5, 2):
        lab.controls["seed"].value = seed
    assert lab.wait(60)
    assert same(lab.test, by_the_kit(seed=2))


def test_stop_ends_the_training_and_run_does_it_again(lab, monkeypatch):
    before = lab.histories

    def stopping_at_once(fleet, *args, should_stop, **options):
        lab.controls["run"].click()  # it says Stop now
        assert should_stop()
        return original(fleet, *args, should_stop=should_stop, **options)

    original = Fleet.train
    monkeypatch.setattr(Fleet, "train", stopping_at_once)
    lab.controls["seed"].value = 4
    assert lab.wait(60)
    assert lab.summary.endswith("Stopped after epoch 0 of 1.")
    assert lab.histories is before
    monkeypatch.undo()
    lab.controls["run"].click()
    assert lab.wait(60)
    assert same(lab.test, by_the_kit(seed=4))


def test_testing_beside_a_cell_leaves_its_random_numbers_alone(lab):
    torch.manual_seed(0)
    lab.controls["seed"].value = 6
    assert lab.wait(60)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))


def test_a_regression_that_diverges_is_a_result():
    lab = RangeTestLab(data=toy_regression(), make_model=SimpleNet, low=1e-2, high=100, **QUICK)
    assert lab.wait(60)
    assert lab.test.cut_at is not None
    assert set(lab.histories) <= {"steepest", "tenth", "valley"}
    lab.close()


def test_it_leaves_a_picture_for_readers_without_a_kernel(shared):
    assert "image/png" in shared._repr_mimebundle_()
    assert shared._work.picture.image.tooltip.startswith("Picks: ")


def test_an_error_is_shown_and_raised(lab, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("no more")

    with monkeypatch.context() as patch:
        patch.setattr("lrsched_kit.labs.range_test_lab.run_range_test", fail)
        lab.controls["seed"].value = 1
        with pytest.raises(RuntimeError, match="no more"):
            lab.wait(60)
    assert "no more" in lab.summary


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.5}, "low must be between 1e-07 and 0.01, got 0.5."),
        ({"steps": 5}, "steps must be between 20 and 600, got 5."),
        ({"optimizer": "adma"}, "did you mean 'adam'?"),
        ({"schedule": "Cosine"}, "schedule must be one of Constant, CosineAnnealingLR"),
        ({"seeds": 0}, "seeds must be a positive integer, got 0."),
        ({"gamma": 0.1}, "RangeTestLab has no setting 'gamma'; it takes low"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError) as error:
        RangeTestLab(**options)
    assert message in str(error.value)
