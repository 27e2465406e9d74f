from concurrent.futures import ThreadPoolExecutor

import torch

from lrsched_kit import MLP, SimpleNet, seeded


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
