"""Distance between two sets of features, as FID and FVD define it: that of Gaussians fitted to all rows of each set."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from xactor_jax.evaluation.frechet import Moments, frechet_distance


def rows(outputs: Iterable[Float[np.ndarray, "_ d"]], d: int) -> Float[np.ndarray, "_ d"]:
    """Features of all batches of a video; no rows where there is no batch."""
    return np.concatenate([np.zeros((0, d), np.float32), *outputs])


def set_distance(generated: Sequence[Float[np.ndarray, "_ d"]], true: Sequence[Float[np.ndarray, "_ d"]]) -> float:
    """Fréchet distance d² between the rows of all generated and of all true videos, with unbiased covariances.

    `nan` if one of the two sets has fewer than two rows.
    """
    if not (generated and true):
        return float("nan")
    # Sums can be added, so the rows of all videos are never in one array.
    a, b = (functools.reduce(operator.add, map(Moments.of, videos)).gaussian() for videos in (generated, true))
    return frechet_distance(a, b)
