"""Trend of a measure over time: segments of a performance, and a line fitted to their values.

With y_k the value of segment k of K, x_k the time of its middle in minutes, x̄ and ȳ their means:

(1)  slope  b = Σ (x_k − x̄)(y_k − ȳ) / Σ (x_k − x̄)²                                        (least squares), per minute
(2)  its standard error  √( Σ (y_k − ȳ − b (x_k − x̄))² / (K − 2) / Σ (x_k − x̄)² ),  assuming independent segments
(3)  last over first: mean of the last n values / mean of the first n values,  n at most `span`, no value in both
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xactor_jax.timing import FRAME_RATE


def segments(frames: int, size: int) -> list[slice]:
    """Segments of `size` frames; a shorter rest at the end is dropped. Fewer frames than `size` form one segment."""
    return [slice(start, start + size) for start in range(0, frames - size + 1, size)] or [slice(0, frames)]


def middles(parts: Sequence[slice]) -> list[float]:
    """Times x_k of the middles of segments, in minutes."""
    return [(part.start + part.stop) / 2 / FRAME_RATE / 60 for part in parts]


def slope(minutes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Slope and its standard error (equations 1 and 2), over finite values; `nan` for fewer than three values."""
    x, y = np.array(minutes, np.float64), np.array(values, np.float64)
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(x) < 3:
        return float("nan"), float("nan")
    x, y = x - x.mean(), y - y.mean()
    b = (x @ y) / (x @ x)
    return float(b), float(np.sqrt(np.square(y - b * x).sum() / (len(x) - 2) / (x @ x)))


def last_over_first(values: Sequence[float], span: int = 1) -> float:
    """Mean of the last values over that of the first (equation 3); `nan` for fewer than two values."""
    n = min(span, len(values) // 2)
    if not n:
        return float("nan")
    first, last = np.mean(values[:n]), np.mean(values[-n:])
    return float(last / first) if first else float("nan")


def trend(minutes: Sequence[float], values: Sequence[float], span: int = 1) -> dict[str, float]:
    """Mean over segments, slope, its error, and last over first (equations 1 to 3)."""
    b, error = slope(minutes, values)
    mean = float(np.mean(values)) if len(values) else float("nan")
    return {"mean": mean, "slope": b, "slope_error": error, "last_over_first": last_over_first(values, span)}
