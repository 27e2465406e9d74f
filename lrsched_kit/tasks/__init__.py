"""What is trained, on what, by which optimizer, and from which rate."""

from .advice import suggest_base_lr
from .data import Dataset, load_digits, toy_regression
from .models import CNN, LSTM, MLP, MODELS, SimpleNet, Transformer, seeded
from .optimizers import make_optimizer

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "MODELS",
    "Dataset",
    "SimpleNet",
    "Transformer",
    "load_digits",
    "make_optimizer",
    "seeded",
    "suggest_base_lr",
    "toy_regression",
]
