"""Guidance: predictions pushed away from what the network says with a condition taken away.

(1)  guided = negative + scale (positive - negative)                            Ho & Salimans 2022, eq. 6 (w = scale - 1)
(2)  guided = positive + sum_i (scale_i - 1) (positive - negative_i)            several conditions, each taken away by itself

Scale 1 is the conditional prediction, 0 the unconditional one. (2) with one condition is (1). All are linear, so that they hold
for x0, eps, v and flow alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from jax.typing import ArrayLike
from jaxtyping import Array, Float


def classifier_free(
    negative: Float[Array, "*x"], positive: Float[Array, "*x"], scale: Float[ArrayLike, "..."]
) -> Float[Array, "*x"]:
    """(1)."""
    return negative + scale * (positive - negative)


def combined(
    positive: Float[Array, "*x"], negatives: Sequence[Float[Array, "*x"]], scales: Sequence[float]
) -> Float[Array, "*x"]:
    """(2): `negatives[i]` is the prediction without condition i, whose scale is `scales[i]`."""
    guided = positive
    for negative, scale in zip(negatives, scales, strict=True):
        guided = guided + (scale - 1.0) * (positive - negative)
    return guided
