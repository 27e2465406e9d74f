"""One definition of training: a plain loop, and the same loop for many runs at once."""

from .fleet import train_many
from .history import History
from .loop import batches, evaluate, train
from .runs import Run

__all__ = ["History", "Run", "batches", "evaluate", "train", "train_many"]
