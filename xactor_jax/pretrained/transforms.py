"""Transforms of released arrays to parameters here, and back. Going back is exact.

(1) weight normalisation: w = g · v / ‖v‖, with a norm for each tap                  (Salimans & Kingma 2016)
    and back: v = w, g = ‖w‖ (the length of v is arbitrary)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Transform(NamedTuple):
    """`forward` makes a parameter from its released parts; `backward` makes a tuple of these parts from the parameter."""

    forward: Callable[..., np.ndarray]
    backward: Callable[[np.ndarray], tuple[np.ndarray, ...]]


def one_to_one(forward: Callable[[np.ndarray], np.ndarray], backward: Callable[[np.ndarray], np.ndarray]) -> Transform:
    """A transform for a parameter that is one array in released files too."""
    return Transform(forward, lambda w: (backward(w),))


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _turned(w: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "b a"]:
    return w.T


def _channels_last(w: Float[np.ndarray, "out in_ *space"]) -> Float[np.ndarray, "*space in_ out"]:
    return np.moveaxis(w, (1, 0), (-2, -1))


def _channels_first(w: Float[np.ndarray, "*space in_ out"]) -> Float[np.ndarray, "out in_ *space"]:
    return np.moveaxis(w, (-2, -1), (1, 0))


def _over_time(w: Float[np.ndarray, "out in_ time 1 1"]) -> Float[np.ndarray, "time 1 in_ out"]:
    return _channels_last(w[..., 0])


def _over_time_back(w: Float[np.ndarray, "time 1 in_ out"]) -> Float[np.ndarray, "out in_ time 1 1"]:
    return _channels_first(w)[..., None]


def _pointwise(w: Float[np.ndarray, "out in_ 1 1"]) -> Float[np.ndarray, "in_ out"]:
    return w[:, :, 0, 0].T


def _pointwise_back(w: Float[np.ndarray, "in_ out"]) -> Float[np.ndarray, "out in_ 1 1"]:
    return w.T[:, :, None, None]


def _tap_norms(v: Float[np.ndarray, "out in_ space"]) -> Float[np.ndarray, "1 1 space"]:
    return np.sqrt(np.sum(np.square(v.astype(np.float64)), axis=(0, 1), keepdims=True)).astype(np.float32)


def _normed(g: Float[np.ndarray, "1 1 space"], v: Float[np.ndarray, "out in_ space"]) -> Float[np.ndarray, "space in_ out"]:
    return _channels_last(g / _tap_norms(v) * v)


def _normed_back(w: Float[np.ndarray, "space in_ out"]) -> tuple[np.ndarray, np.ndarray]:
    v = _channels_first(w)
    return _tap_norms(v), v


unchanged = one_to_one(_same, _same)
linear_kernel = one_to_one(_turned, _turned)
"""Kernel of a fully connected layer."""
conv_kernel = one_to_one(_channels_last, _channels_first)
"""Kernel of a convolution over any number of dimensions, grouped or not."""
pointwise_kernel = one_to_one(_pointwise, _pointwise_back)
"""Kernel of a 1 × 1 convolution that is a fully connected layer here."""
time_kernel = one_to_one(_over_time, _over_time_back)
"""Kernel of a convolution over frames, rows and columns that covers one pixel."""
weight_normed_conv_kernel = Transform(_normed, _normed_back)
"""Kernel from g and v (equation 1)."""
