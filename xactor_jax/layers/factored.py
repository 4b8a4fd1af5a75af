"""3×3 convolutions with the parameters and the numbers of `nn.Conv` that need fewer multiplications, because of their inputs.

    (1) W ∗ [x, s]  = W_x ∗ x + W_s ∗ s      the part of features s that several pictures share is computed once
    (2) (W ∗ u)_a   = V_a ∗ x                u: x with every cell doubled along rows and columns; a: parity of row and column

In (2), two of the three rows (and columns) of W meet the same cell of x. V_a holds their sum, so it has 2 × 2 entries: each
output needs 4 products instead of 9. By rows, V_0 = (W_0, W_1 + W_2) reads the cells i − 1 and i, V_1 = (W_0 + W_1, W_2) the
cells i and i + 1.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

Kernel = Float[Array | np.ndarray, "rows columns c f"]


def each_repeated(x: Float[Array, "b *s"], count: int) -> Float[Array, "{count} *s"]:
    """Each row `count` / b times in turn, so that features of a reference serve all of its pictures."""
    return jnp.repeat(x, count // len(x), axis=0)


class JoiningConv(nn.Module):
    """Convolution of the channels [x, shared], where each row of `shared` serves n / b rows of x in turn (equation 1).

    With a row of its own for each, nothing is shared, and the channels are convolved together.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], shared: Float[Array, "b h w d"]) -> Float[Array, "n h w f"]:
        kernel, bias = _parameters(self, x.shape[-1] + shared.shape[-1], self.features)
        x, shared, kernel, bias = promote_dtype(x, shared, kernel, bias, dtype=self.dtype)
        if len(shared) == len(x):
            return _convolved(jnp.concatenate([x, shared], axis=-1), kernel) + bias
        of_x, of_shared = jnp.split(kernel, [x.shape[-1]], axis=2)
        return _convolved(x, of_x) + each_repeated(_convolved(shared, of_shared) + bias, len(x))


class DoublingConv(nn.Module):
    """Convolution of x with every cell doubled along rows and columns (equation 2)."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c"]) -> Float[Array, "*b h2 w2 f"]:
        *lead, height, width, channels = x.shape
        kernel, bias = _parameters(self, channels, self.features)
        x, bias = promote_dtype(x.reshape(-1, height, width, channels), bias, dtype=self.dtype)
        of_parity = lambda i, j: _convolved(x, _summed(_summed(kernel, i, 0), j, 1).astype(x.dtype), ((1 - i, i), (1 - j, j)))
        y = jnp.stack([jnp.stack([of_parity(i, j) for j in (0, 1)], axis=3) for i in (0, 1)], axis=2)
        return y.reshape(*lead, 2 * height, 2 * width, self.features) + bias


def _summed(kernel: Kernel, parity: int, axis: int) -> Float[Array, "fewer_rows fewer_columns c f"]:
    """V of equation 2 along an axis: the entries of W that meet the same cell are added."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first + middle, last] if parity else [first, middle + last], axis)


def _parameters(module: nn.Module, channels: int, features: int) -> tuple[Kernel, Float[Array | np.ndarray, "f"]]:
    """The kernel and the bias, named and initialised as those of `nn.Conv`."""
    kernel = module.param("kernel", nn.linear.default_kernel_init, (3, 3, channels, features))
    return kernel, module.param("bias", nn.initializers.zeros, (features,))


def _convolved(
    x: Float[Array, "n h w c"], kernel: Float[Array, "rows columns c f"], padding: Any = "SAME"
) -> Float[Array, "n h w f"]:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
