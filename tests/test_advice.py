from dataclasses import replace

import pytest

from lrsched_kit.tasks.advice import ADVICE, get_advice, suggest_base_lr
from lrsched_kit.tasks.models import MODELS
from lrsched_kit.tasks.optimizers import RULES
from lrsched_kit.training.fleet import train_many
from lrsched_kit.training.runs import Run


def test_there_is_advice_for_each_model_and_optimizer():
    assert list(ADVICE) == list(MODELS)
    assert all(list(advice.base_lr) == list(RULES) for advice in ADVICE.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_pair_learns_at_its_suggested_rate(name):
    advice = get_advice(name)
    runs = [
        Run("CosineAnnealingLR", {"T_max": 2}, suggest_base_lr(name, optimizer), optimizer)
        for optimizer in RULES
    ]
    whole = advice.make_data()
    data = replace(whole, x_train=whole.x_train[:200], y_train=whole.y_train[:200])
    for history in train_many(MODELS[name], data, runs, epochs=2, batch_size=advice.batch_size):
        assert history.diverged_at is None
        assert history.train_loss[-1] < history.train_loss[0]


@pytest.mark.parametrize(
    ("model", "optimizer", "words"),
    [
        ("Transfomer", "sgd", "model must be a known name .did you mean 'Transformer'"),
        ("GPT", "sgd", "got 'GPT'; known are MLP, CNN, LSTM, Transformer, SimpleNet"),
        ("CNN", "rmsprop", "optimizer must be a known name.*got 'rmsprop'"),
    ],
)
def test_an_unknown_name_is_refused_in_words(model, optimizer, words):
    with pytest.raises(ValueError, match=words):
        suggest_base_lr(model, optimizer)
