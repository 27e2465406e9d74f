"""The noisy quadratic: a loss simple enough to be solved exactly, noise included.

The loss is a valley, ``sum(h * w**2) / 2``, and each gradient is off by random noise of a given
variance: the noise of small batches, in its plainest form. One step of plain SGD is
``w - rate * (h * w + noise)``, so the mean and the variance of every coordinate after a step follow
from those before it. Nothing is sampled, so there are no seeds and no bands.

Source: Zhang and others, arXiv 1907.04164 (what this model predicts about real training).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..words.errors import check_number
from .slices import Row, step_rows


@dataclass(frozen=True)
class Expected:
    """Where SGD is to be expected, before the first step and after each.

    The leading axes are those of the rates. Numbers too large for a float are infinite.

    Attributes:
        mean: shape ``(..., steps + 1, coordinates)``, of each coordinate.
        variance: the same shape: how far single runs scatter around that mean.
        bias: shape ``(..., steps + 1)``: the loss at the mean. It is what is left of the way.
        noise: the same shape: what the scatter adds to the loss.
    """

    mean: np.ndarray
    variance: np.ndarray
    bias: np.ndarray
    noise: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """The expected loss, shape ``(..., steps + 1)``: bias and noise together."""
        return self.bias + self.noise

    def records(self) -> list[Row]:
        """Return one row per step of each schedule, for ``pandas.DataFrame(found.records())``.

        A row holds schedule (its place among those solved side by side), step, loss, bias, noise.

        >>> NoisyQuadratic(start=2.0).expect([0.5]).records()[1]
        {'schedule': 0, 'step': 1, 'loss': 0.625, 'bias': 0.5, 'noise': 0.125}
        """
        parts = (part.reshape(-1, self.loss.shape[-1]) for part in (self.bias, self.noise))
        return [
            {"schedule": number, **row}
            for number, (bias, noise) in enumerate(zip(*parts, strict=True))
            for row in step_rows(loss=bias + noise, bias=bias, noise=noise)
        ]


class Tuned(NamedTuple):
    """The best ``base_lr`` of a grid, and the expected final loss that it reaches."""

    base_lr: float
    loss: float


@dataclass(frozen=True)
class NoisyQuadratic:
    """A quadratic valley whose gradients are noisy.

    Args:
        curvature: h, one positive number per coordinate. SGD is stable up to a rate of 2 / h.
        noise: the variance of each coordinate's gradient noise; one number serves for all.
        start: where each coordinate starts; one number serves for all.

    Raises:
        ValueError: naming argument, constraint and value.

    >>> valley = NoisyQuadratic(curvature=1.0, noise=1.0, start=10.0)
    >>> valley.expect([0.5, 0.5]).loss.tolist()
    [50.0, 12.625, 3.28125]
    """

    curvature: Sequence[float] | float = 1.0
    noise: Sequence[float] | float = 1.0
    start: Sequence[float] | float = 1.0

    def __post_init__(self) -> None:
        curvature = np.atleast_1d(_checked("curvature", self.curvature, "positive and finite"))
        object.__setattr__(self, "curvature", tuple(curvature.tolist()))
        for name, must_be in (("noise", "finite and not negative"), ("start", "finite")):
            values = _checked(name, getattr(self, name), must_be)
            if values.ndim and values.shape != curvature.shape:
                raise ValueError(
                    f"{name} must be one number or {len(curvature)}, one for each coordinate, "
                    f"got {values.size}."
                )
            values = np.broadcast_to(values, curvature.shape)
            object.__setattr__(self, name, tuple(values.tolist()))

    def expect(self, rates: ArrayLike) -> Expected:
        """Follow mean and variance through all steps of plain SGD.

        Args:
            rates: shape ``(..., steps)``; leading axes are schedules solved side by side.

        Raises:
            ValueError: for rates that are negative or not finite. A rate that is too large is no
                error: the loss grows, to infinity in the end.

        >>> round(float(NoisyQuadratic().expect(np.full(100, 0.4)).loss[-1]), 6)
        0.125
        """
        rates = np.atleast_1d(_checked("rates", rates))
        h, v = np.array(self.curvature), np.array(self.noise)
        mean = np.empty((rates.shape[-1] + 1, *rates.shape[:-1], len(h)))
        variance = np.empty_like(mean)
        mean[0], variance[0] = self.start, 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for t, rate in enumerate(np.moveaxis(rates, -1, 0)[..., None]):
                kept = 1 - rate * h
                mean[t + 1] = kept * mean[t]
                variance[t + 1] = kept**2 * variance[t] + rate**2 * v
            # Infinity times zero is not a number; here it is a run that had been lost before.
            lost_is_inf = (np.where(np.isnan(x), np.inf, x) for x in (mean, variance))
            mean, variance = (np.moveaxis(x, 0, -2) for x in lost_is_inf)
            bias, noise = (h * mean**2).sum(axis=-1) / 2, (h * variance).sum(axis=-1) / 2
        return Expected(mean, variance, bias, noise)

    def noise_floor(self, rate: ArrayLike) -> np.ndarray:
        """Return where the expected loss settles if the rate stays; the shape is that of ``rate``.

        Infinite where it never settles.
        """
        rate = np.asarray(rate, dtype=float)[..., None]
        return noise_floor(rate, curvature=self.curvature, noise=self.noise).sum(axis=-1)

    def tune(self, shapes: Mapping[str, ArrayLike], base_lrs: ArrayLike) -> dict[str, Tuned]:
        """Give each schedule the ``base_lr`` with which it ends lowest, out of one grid for all.

        Args:
            shapes: label -> the rates of a schedule for a ``base_lr`` of 1, shape ``(steps,)``,
                the same number of steps for all. With another ``base_lr`` all are multiplied.
            base_lrs: the grid, shape ``(n,)``.

        >>> line = np.linspace(1, 0.1, 10)
        >>> NoisyQuadratic(noise=0.0).tune({"line": line}, [0.1, 1.0, 3.0])
        {'line': Tuned(base_lr=1.0, loss=0.0)}
        """
        base_lrs = np.atleast_1d(_checked("base_lrs", base_lrs))
        rows = [_checked(label, shape) for label, shape in shapes.items()]
        if len(lengths := {row.shape for row in rows}) != 1:
            raise ValueError(f"shapes must have one and the same length, got {lengths}.")
        rates = np.array([np.multiply.outer(base_lrs, row) for row in rows])
        finals = self.expect(rates).loss[..., -1]
        return {
            label: Tuned(float(base_lrs[losses.argmin()]), float(losses.min()))
            for label, losses in zip(shapes, finals, strict=True)
        }

    def sample(self, rates: ArrayLike, *, runs: int = 1, seed: int = 0) -> np.ndarray:
        """Roll the dice: runs of SGD on noisy gradients, to look at and to check `expect` with.

        The same seed gives the same noise whatever the rates are, so that two schedules can be
        compared on the same luck.

        Args:
            rates: shape ``(steps,)``.
            runs: how many.
            seed: of the noise, which is normally distributed.

        Returns:
            Shape ``(runs, steps + 1, coordinates)``: every coordinate before the first step and
            after each. A run that is lost ends in numbers that are not finite.
        """
        rates = np.atleast_1d(_checked("rates", rates))
        runs = int(check_number("runs", runs, integer=True))
        h, deviation = np.array(self.curvature), np.sqrt(self.noise)
        noise = np.random.default_rng(seed).standard_normal((len(rates), runs, len(h))) * deviation
        w = np.empty((len(rates) + 1, runs, len(h)))
        w[0] = self.start
        with np.errstate(over="ignore", invalid="ignore"):
            for t, rate in enumerate(rates):
                w[t + 1] = w[t] - rate * (h * w[t] + noise[t])
        return w.swapaxes(0, 1)


def noise_floor(
    rate: ArrayLike, *, curvature: ArrayLike = 1.0, noise: ArrayLike = 1.0
) -> np.ndarray:
    """Return the expected loss at which SGD with a constant rate settles, per coordinate.

    That is ``rate * noise / (2 * (2 - rate * curvature))``: where a step's shrinking of the
    variance and the noise that it lets in are equal. Infinite from ``rate * curvature = 2`` on,
    where nothing settles. The arguments are broadcast against each other.

    >>> noise_floor([0.4, 0.2, 0.1, 0.05]).round(4).tolist()
    [0.125, 0.0556, 0.0263, 0.0128]
    """
    rate = _checked("rate", rate)
    room = 2 - rate * np.asarray(curvature, dtype=float)
    floor = rate * np.asarray(noise, dtype=float) / (2 * np.where(room > 0, room, 1.0))
    return np.where(room > 0, floor, np.inf)


_LEAST = {"finite": -np.inf, "finite and not negative": 0.0, "positive and finite": math.ulp(0.0)}


def _checked(name: str, values: ArrayLike, must_be: str = "finite and not negative") -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r:.80}.") from None
    wrong = numbers[~(np.isfinite(numbers) & (numbers >= _LEAST[must_be]))]
    if wrong.size:
        raise ValueError(f"{name} must be {must_be}, got {wrong.flat[0]:g}.")
    return numbers
