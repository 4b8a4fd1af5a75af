"""Guidance: predictions pushed away from what the network says with a condition taken away.

(1)  guided = negative + scale (positive - negative)                            Ho & Salimans 2022, eq. 6 (w = scale - 1)
(2)  guided = sum_b w_b y_b,   sum_b w_b = 1                       predictions under several conditions b

Scale 1 is the conditional prediction, 0 the unconditional one. (1) is (2) with w = (scale, 1 - scale). All are linear, so that
they hold for x0, eps, v and flow alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.settings import real

GUIDANCE = real(-100.0, 100.0)
"""Scales that leave finite numbers; those in use are from 1 to 10."""


def classifier_free(
    negative: Float[Array, "*x"], positive: Float[Array, "*x"], scale: Float[ArrayLike, "..."]
) -> Float[Array, "*x"]:
    """(1)."""
    return negative + scale * (positive - negative)


def weighted(predictions: Iterable[Float[Array, "*x"]], weights: Iterable[Float[ArrayLike, ""]]) -> Float[Array, "*x"]:
    """(2)."""
    return sum(w * y for w, y in zip(weights, predictions, strict=True))
