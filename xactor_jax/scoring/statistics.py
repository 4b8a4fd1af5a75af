"""Numbers of a set of clips, with their uncertainty.

For values x_1 … x_n, one of each clip (clips without a value are left out):

(1)  mean  x̄ = Σ x_i / n
(2)  its 95 % interval by the bootstrap (Efron and Tibshirani 1993, section 13.3): for b = 1 … B, draw n clips with replacement
     and take their mean x̄_b; the interval is from the 2.5th to the 97.5th percentile of x̄_1 … x̄_B
(3)  two systems on the same clips: means and intervals of the differences d_i = x_i − y_i, so that what makes a clip hard for
     both cancels

The interval covers the choice of clips, as if they were drawn independently. Several clips of one person are not, so it is
then too narrow, as it is for n below about 10. It has no meaning for n = 1. A number of a whole set, such as a Fréchet
distance, has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DRAWS = 2000
LEVEL = 0.95
ELEMENTS = 1 << 22
"""Most numbers that are drawn at once."""


class Estimate(NamedTuple):
    """A mean over `count` clips and its interval; `nan` where there is none."""

    mean: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float], seed: int = 0) -> Estimate:
    """Mean and interval (equations 1 and 2) of the values that are finite."""
    x = np.array(values, np.float64)
    x = x[np.isfinite(x)]
    mean = float(x.mean()) if len(x) else math.nan
    return Estimate(mean, *(interval(x, seed) if len(x) > 1 else (math.nan, math.nan)), len(x))


def interval(x: Float[np.ndarray, "n"], seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """The bootstrap's percentile interval of the mean (equation 2)."""
    rng, size = np.random.default_rng(seed), max(1, ELEMENTS // len(x))
    parts = [min(size, draws - start) for start in range(0, draws, size)]
    means = np.concatenate([x[rng.integers(0, len(x), (part, len(x)))].mean(axis=1) for part in parts])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def difference(values: Mapping[str, float], others: Mapping[str, float], seed: int = 0) -> Estimate:
    """Values minus those of another system, over the clips that both have (equation 3). The mappings are from a clip's name."""
    return estimate([value - others[name] for name, value in values.items() if name in others], seed)
