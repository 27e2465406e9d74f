"""A museum of bugs: ways to get a schedule wrong, each as code that runs.

An exhibit is a wrong function, a right one and the rates that were meant. Running one reads what
the optimizer really held at each update, so the mistake is seen and not only told:

>>> from lrsched_kit import EXHIBITS
>>> print(EXHIBITS["past_t_max"].run().verdict)
Applied and meant differ at 6 of 12 epochs, first at epoch 6.
"""

from .exhibit import Exhibit
from .halls import EXHIBITS
from .picture import plot_exhibit

__all__ = ["EXHIBITS", "Exhibit", "plot_exhibit"]
