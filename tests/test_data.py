import pytest
import torch

from lrsched_kit import Dataset, load_digits, toy_regression


def test_split_is_the_same_whatever_the_noise():
    clean, noisy = load_digits(label_noise=0), load_digits(label_noise=0.5, seed=3)
    assert torch.equal(clean.x_train, noisy.x_train)
    assert torch.equal(clean.x_val, noisy.x_val)
    assert torch.equal(clean.y_val, noisy.y_val)


def test_label_noise_replaces_exactly_that_share_of_training_labels_by_another_class():
    clean = load_digits(label_noise=0).y_train
    for share in (0.1, 0.2, 1.0):
        changed = load_digits(label_noise=share).y_train != clean
        assert changed.sum() == round(share * 1400)


def test_label_noise_depends_on_the_seed_alone():
    assert torch.equal(load_digits(seed=1).y_train, load_digits(seed=1).y_train)
    assert not torch.equal(load_digits(seed=1).y_train, load_digits(seed=2).y_train)


def test_loading_leaves_the_global_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_digits()
    toy_regression()
    assert torch.equal(torch.rand(3), expected)


def test_digits_are_scaled_to_the_unit_interval_and_hold_all_ten_classes():
    data = load_digits()
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    assert data.y_val.unique().tolist() == list(range(10))


def test_to_changes_inputs_and_targets_but_not_classes():
    digits, toy = load_digits().to(torch.float64), toy_regression().to(torch.float64)
    assert digits.x_val.dtype == toy.y_train.dtype == torch.float64
    assert digits.y_train.dtype == torch.int64


@pytest.mark.parametrize("data", [load_digits(0.1, seed=4), toy_regression(2).to(torch.float64)])
def test_source_makes_the_same_data_again(data):
    again = eval(data.source)
    assert torch.equal(again.x_train, data.x_train)
    assert torch.equal(again.y_train, data.y_train)


def test_the_task_follows_from_the_labels():
    assert isinstance(load_digits().loss_fn, torch.nn.CrossEntropyLoss)
    assert isinstance(toy_regression().loss_fn, torch.nn.MSELoss)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_label_noise_outside_the_unit_interval_is_refused(share):
    with pytest.raises(ValueError, match=r"label_noise must be between 0 and 1, got"):
        load_digits(label_noise=share)


def test_rows_that_do_not_match_are_refused():
    x, y = torch.zeros(4, 2), torch.zeros(3)
    with pytest.raises(ValueError, match=r"x_train and y_train must hold the same number of rows"):
        Dataset("mine", x, y, x, x)
