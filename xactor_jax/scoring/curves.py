"""Curves over the frames of a video, where some frames may have no value."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from xactor_jax.evaluation.metrics import best_lag, lag_correlations

FEWEST = 0.5
"""Least share of frames with a value. Below it a curve says nothing of its video."""


def without_gaps(curve: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    """The curve with its missing values (`nan`) interpolated; all `nan` if it has values for fewer than half of the frames."""
    seen = np.isfinite(curve)
    if seen.mean() < FEWEST:
        return np.full(len(curve), np.nan)
    return np.interp(np.arange(len(curve)), np.flatnonzero(seen), curve[seen])


def lagged(a: Float[np.ndarray, "t"], b: Float[np.ndarray, "u"], most: int) -> tuple[float, float]:
    """Highest correlation at lags up to `most` frames and its lag, positive if `a` is later (metrics.py, equation 2).

    Curves of different lengths are compared over the frames that both have. Both results are `nan` where a curve is too short
    or has too few values.
    """
    frames = min(len(a), len(b))
    a, b = (without_gaps(x[:frames]) if frames else x for x in (a, b))
    if frames < most + 2 or not np.isfinite([a[0], b[0]]).all():
        return float("nan"), float("nan")
    found = lag_correlations(a, b, most)
    return float(found.max()), float(best_lag(found))


def mean(curve: Float[np.ndarray, "t"]) -> float:
    """Mean of the values that are there; `nan` without any."""
    return float(np.nanmean(curve)) if np.isfinite(curve).any() else float("nan")
