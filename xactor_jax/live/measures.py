"""Counts and times of a live server."""

from __future__ import annotations

import collections
from collections.abc import Iterable

import numpy as np

QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)

RECENT = 10_000
"""Number of values over which quantiles are computed."""


class Recent:
    """The last `RECENT` of a series of values, with the number and the sum of all."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self._values: collections.deque[float] = collections.deque(maxlen=RECENT)

    def add(self, values: Iterable[float]) -> None:
        """Adds values, in their order."""
        for value in values:
            self._values.append(value)
            self.count, self.total = self.count + 1, self.total + value

    def quantiles(self) -> dict[float, float]:
        """Quantile → value, over the recent ones; empty if there are none."""
        values = list(self._values)
        return dict(zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True)) if values else {}


class Measures:
    """What the metrics page shows."""

    def __init__(self) -> None:
        self.latency, self.tick = Recent(), Recent()
        """Seconds from a frame's last sound to its picture; seconds of a call of the engine that had work."""
        self.counts = collections.Counter(started=0, resumed=0, finished=0, broken=0, refused=0, frames=0, late=0, dropped=0)
