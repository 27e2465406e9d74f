from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from lrsched_kit import MLP, Run, SimpleNet, load_digits, seeded, train_many
from lrsched_kit.tasks.advice import get_advice
from lrsched_kit.tasks.models import CNN, LSTM, MODELS, Transformer, attention


def test_simplenet_is_the_tutorials_network():
    shapes = [tuple(p.shape) for p in SimpleNet().parameters()]
    assert shapes == [(5, 10), (5,), (2, 5), (2,)]


def test_mlp_has_64_32_10_units():
    shapes = [tuple(p.shape) for p in MLP().parameters()]
    assert shapes == [(32, 64), (32,), (10, 32), (10,)]


def test_seeded_weights_are_those_of_manual_seed():
    torch.manual_seed(7)
    expected = MLP()
    for ours, theirs in zip(seeded(MLP, 7).parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_seeded_puts_the_global_random_numbers_back():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    seeded(MLP, 0)
    assert torch.equal(torch.rand(3), expected)


def test_models_made_on_several_threads_at_once_are_the_same_ones():
    expected = [seeded(MLP, seed).fc1.weight for seed in range(4)]

    def make(seed):
        return [seeded(MLP, seed).fc1.weight for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for weight, made in zip(expected, pool.map(make, range(4)), strict=True):
            assert all(torch.equal(weight, one) for one in made)


def test_models_are_listed_in_teaching_order():
    assert list(MODELS) == ["MLP", "CNN", "LSTM", "Transformer", "SimpleNet"]
    assert all(name == model.__name__ for name, model in MODELS.items())


# What torch has ready-made, spelled out


def test_the_lstm_cell_is_torchs():
    ours, theirs = LSTM().double(), nn.LSTM(8, 24, batch_first=True).double()
    with torch.no_grad():
        ours.from_row.weight.copy_(theirs.weight_ih_l0)
        ours.from_row.bias.copy_(theirs.bias_ih_l0 + theirs.bias_hh_l0)
        ours.from_hidden.weight.copy_(theirs.weight_hh_l0)
    rows = torch.randn(5, 8, 8, dtype=torch.float64)
    mine, truth = ours.read(rows), theirs(rows)[1][0][0]
    torch.testing.assert_close(mine, truth)
    mine.square().sum().backward()
    truth.square().sum().backward()
    torch.testing.assert_close(ours.from_hidden.weight.grad, theirs.weight_hh_l0.grad)
    torch.testing.assert_close(ours.from_row.bias.grad, theirs.bias_ih_l0.grad)


def test_attention_is_torchs():
    query, key, value = torch.randn(3, 5, 2, 8, 12, dtype=torch.float64)
    torch.testing.assert_close(
        attention(query, key, value), scaled_dot_product_attention(query, key, value)
    )


def test_the_transformers_block_attends_as_torchs_module_does():
    ours = Transformer().double()
    theirs = nn.MultiheadAttention(24, num_heads=2, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
    theirs.out_proj.load_state_dict(ours.mix.state_dict())
    x = torch.randn(5, 8, 24, dtype=torch.float64)
    torch.testing.assert_close(ours.attend(x), theirs(x, x, x)[0])


def test_the_transformer_would_not_know_the_order_of_rows_without_positions():
    model, x = Transformer().double(), torch.randn(3, 8, 8, dtype=torch.float64)
    turned = x.flip(1)
    assert not torch.allclose(model(x.flatten(1)), model(turned.flatten(1)))
    nn.init.zeros_(model.positions)
    torch.testing.assert_close(model(x.flatten(1)), model(turned.flatten(1)))


@pytest.mark.parametrize("model", [MLP, CNN, LSTM, Transformer])
def test_each_classifier_sees_through_a_fifth_of_wrong_labels(model):
    advice = get_advice(model.__name__)
    epochs = advice.epochs // 2
    assert 2 <= epochs <= 7
    run = Run("CosineAnnealingLR", {"T_max": epochs}, advice.base_lr["momentum"])
    options = {"epochs": epochs, "batch_size": advice.batch_size}
    (history,) = train_many(model, load_digits(label_noise=0.2), [run], **options)
    assert history.val_accuracy[-1] >= 0.88
