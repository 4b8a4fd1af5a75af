"""Guidance: moves a prediction away from the prediction without a condition, which strengthens that condition.

(1)  guided = negative + scale (positive - negative)                            Ho & Salimans 2022, eq. 6 (w = scale - 1)
(2)  guided = sum_b w_b y_b,   sum_b w_b = 1                       predictions under several conditions b

Scale 1 gives the conditional prediction, 0 the unconditional one. (1) is (2) with w = (scale, 1 - scale). Both are linear, so
they apply to predictions of x0, eps, v and flow without change.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add

from jax.typing import ArrayLike
from jaxtyping import Array, Float

from xactor_jax.settings import real

GUIDANCE = real(-100.0, 100.0)
"""Allowed guidance scales. Outside this range predictions may become infinite; usual scales are from 1 to 10."""


def classifier_free(
    negative: Float[Array, "*x"], positive: Float[Array, "*x"], scale: Float[ArrayLike, "..."]
) -> Float[Array, "*x"]:
    """Classifier-free guidance from the unconditional (`negative`) and conditional (`positive`) prediction (equation 1)."""
    return negative + scale * (positive - negative)


def weighted(predictions: Iterable[Float[Array, "*x"]], weights: Iterable[Float[ArrayLike, ""]]) -> Float[Array, "*x"]:
    """Weighted sum of predictions under several conditions (equation 2)."""
    return reduce(add, (y * w for w, y in zip(weights, predictions, strict=True)))
