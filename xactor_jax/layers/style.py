"""Convolutions whose weights are modulated by a style for each picture (StyleGAN2, Karras et al. 2020, arXiv 1912.04958, 2.2).

    (1) s = A(z) = z W_A + b_A,   b_A = 1 at the start           one factor for each input channel
    (2) w'_bkio = s_bi w_kio                                     modulation; k: position in the kernel, i → o: channels
    (3) w''_bkio = w'_bkio / √(Σ_ki w'²_bkio + ε)                demodulation: outputs keep the standard deviation of inputs
    (4) y_bo = Σ_i w''_bio ∗ x_bi = d_bo Σ_i w_io ∗ (s_bi x_bi),   d_bo = 1 / √(Σ_i s²_bi Σ_k w²_kio + ε)

The code computes (4): one convolution for the whole batch, with channels scaled before and after it, instead of a kernel for
each picture. s and d are always float32.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import Dtype

EPSILON = 1e-8
SLOPE = 0.2
GAIN = 2.0**0.5
"""Gain of the leaky rectifier, which keeps the standard deviation about the same."""


class ModulatedConv(nn.Module):
    """Modulated convolution (equations 1 to 4), with a bias."""

    channels: int
    kernel: int = 3
    demodulate: bool = True
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], style: Float[Array, "b z"]) -> Float[Array, "b h w o"]:
        shape, draw = (self.kernel, self.kernel, x.shape[-1], self.channels), nn.initializers.lecun_normal()
        w, bias = self.param("kernel", draw, shape), self.param("bias", nn.initializers.zeros, (self.channels,))
        s = nn.Dense(x.shape[-1], bias_init=nn.initializers.ones, name="to_style")(style.astype(jnp.float32))
        x, kernel = promote_dtype(x * s[:, None, None].astype(x.dtype), w, dtype=self.dtype)
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if self.demodulate:
            y = y * demodulation(w, s)[:, None, None].astype(y.dtype)
        return y + bias.astype(y.dtype)


def demodulation(kernel: Float[Array, "k k i o"], style: Float[Array, "b i"]) -> Float[Array, "b o"]:
    """The demodulation factor d (equation 4)."""
    return jax.lax.rsqrt(style**2 @ (kernel**2).sum((0, 1)) + EPSILON)


def rectified(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """The leaky rectifier times √2."""
    return GAIN * jax.nn.leaky_relu(x, SLOPE)


def doubled(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Doubles the sides by bilinear interpolation, which equals inserting zeros and the filter (1, 3, 3, 1) / 4."""
    b, h, w, c = x.shape
    return jax.image.resize(x, (b, 2 * h, 2 * w, c), "linear")
