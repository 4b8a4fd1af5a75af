"""The encoder of X-NeMo (arXiv 2507.23143): a face-alignment network (Bulat & Tzimiropoulos 2017) with attention.

A residual unit has three convolutions in a row and concatenates their outputs:
    (1) a = C₁(r(x)),  b = C₂(r(a)),  c = C₃(r(b)),  y = [a, b, c] + x,     r = rectified batch normalisation, half : ¼ : ¼
The hourglass H_n, where ↓ is the maximum over squares of two, ↑ bilinear interpolation, and each U is its own residual unit:
    (2) H_n(x) = D(U(x)) + ↑U(H_{n−1}(U(↓x))),      H_0 = U,      D = dropout, in training only
Attention among patches of p × p pixels, with fixed sinusoids for column and row:
    (3) t = P(norm(x)) + position,  t ← t + A(LN(t)),  t ← t + F(LN(t)),  y = x + W unpatch(t)
Then come maps of the 68 landmarks of face alignment, which are reduced to one map, and that to a vector.

Batch normalisation always uses its running statistics, in training too. They are constants of the released network: a batch of
faces from another corpus, or on another number of devices, must not change them. They are parameters without gradients. In an
untrained network (mean 0, variance 1) each normalisation is a scale and an offset for each channel.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xactor_jax.layers.batch_norm import FrozenBatchNorm
from xactor_jax.layers.convolution import depth_to_space, group_norm
from xactor_jax.layers.remat import rematerialised
from xactor_jax.layers.spatial_attention import BankAttention, GatedFeedForward
from xactor_jax.motion.posterior import Posterior, bounded

LANDMARKS = 68
LEVELS = 4
HEADS = 8
DROPOUT = 0.5
FEED_FORWARD = 4
NORM_GROUPS = 32

Images = Float[Array, "b h w c"]


class ResidualUnit(nn.Module):
    """Residual unit (equation 1). If the channels change, x goes through a rectified normalisation and a linear map."""

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "b h w d"]:
        h, made = x, []
        for i, width in enumerate((self.channels // 2, self.channels // 4, self.channels // 4)):
            h = nn.relu(FrozenBatchNorm(dtype=self.dtype, name=f"norm{i}")(h))
            h = nn.Conv(width, (3, 3), use_bias=False, dtype=self.dtype, name=f"conv{i}")(h)
            made.append(h)
        if x.shape[-1] != self.channels:
            x = nn.relu(FrozenBatchNorm(dtype=self.dtype, name="match_norm")(x))
            x = nn.Dense(self.channels, use_bias=False, dtype=self.dtype, name="match")(x)
        return jnp.concatenate(made, -1) + x


class Hourglass(nn.Module):
    """Hourglass network (equation 2)."""

    channels: int
    dtype: Any = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Images, train: bool = False) -> Images:
        unit = lambda name: rematerialised(ResidualUnit, self.remat)(self.channels, self.dtype, name=name)
        skips, x = [], x.astype(self.dtype)
        for level in reversed(range(LEVELS)):
            skips.append(nn.Dropout(DROPOUT, deterministic=not train)(unit(f"skip{level}")(x)))
            x = unit(f"down{level}")(halved(x))
        x = unit("bottom")(x)
        for level, skip in enumerate(reversed(skips)):
            x = skip + jax.image.resize(unit(f"up{level}")(x), skip.shape, "linear")
        return x


class PatchAttention(nn.Module):
    """Attention among patches (equation 3)."""

    patch: int
    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Images) -> Images:
        side = (self.patch, self.patch)
        h = group_norm(NORM_GROUPS, 1e-6, self.dtype, "norm")(x)
        h = nn.Conv(self.width, side, strides=side, padding="VALID", dtype=self.dtype, name="to_patches")(h)
        b, rows, columns, _ = h.shape
        t = h + jnp.asarray(grid_positions(rows, columns, self.width), h.dtype)
        t = t.reshape(b, 1, rows * columns, self.width)
        layer_norm = lambda name: nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name=name)
        t = t + BankAttention(HEADS, dtype=self.dtype, name="attention")(layer_norm("norm_attention")(t))
        t = t + GatedFeedForward(FEED_FORWARD, self.dtype, name="feed_forward")(layer_norm("norm_ff")(t))
        pixels = depth_to_space(t.reshape(h.shape), self.patch)
        return x + nn.Dense(x.shape[-1], kernel_init=nn.initializers.zeros, dtype=self.dtype, name="patches_out")(pixels)


class HourglassEncoder(nn.Module):
    """From a face crop to a Gaussian over motion latents. With `variance` off, to the latent itself, as in the released one.

    Sides must be multiples of 8. Released: side 224, widths (64, 128, 256), attention width 1024.
    """

    latent_dim: int
    widths: tuple[int, int, int]
    attention_width: int
    variance: bool
    dtype: Any = jnp.float32
    remat: str = "none"
    """What the backward pass of residual units and attentions computes again: a choice of `xactor_jax.layers.remat`."""

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool = False) -> Posterior:
        """With `train`, needs a random key for "dropout"."""
        features = self._features(images)
        features = Hourglass(self.widths[2], self.dtype, self.remat, name="hourglass")(features, train)
        x = self._landmarks(self._unit(self.widths[2], "top")(features))
        x = nn.Conv(1, (3, 3), strides=(2, 2), padding=1, dtype=self.dtype, name="to_map")(x)
        x = nn.relu(x).reshape(x.shape[0], -1).astype(jnp.float32)
        mean = nn.Dense(self.latent_dim, name="to_mean")(x)
        if not self.variance:
            return Posterior(mean)
        head = nn.Dense(self.latent_dim, kernel_init=nn.initializers.zeros, name="to_log_variance")
        return Posterior(mean, bounded(head(x)))

    def _features(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h4 w4 c"]:
        """The input of the hourglass, at a quarter of the side."""
        x = nn.Conv(self.widths[0], (7, 7), strides=(2, 2), padding=3, dtype=self.dtype, name="stem")(images)
        x = nn.relu(FrozenBatchNorm(dtype=self.dtype, name="stem_norm")(x))
        x = self._unit(self.widths[1], "unit0")(x)
        x = halved(self._attention(4, "attention0")(x))
        x = self._unit(self.widths[1], "unit1")(x)
        x = self._unit(self.widths[2], "unit2")(x)
        return self._attention(2, "attention1")(x)

    def _unit(self, channels: int, name: str) -> nn.Module:
        return rematerialised(ResidualUnit, self.remat)(channels, self.dtype, name=name)

    def _attention(self, patch: int, name: str) -> nn.Module:
        return rematerialised(PatchAttention, self.remat)(patch, self.attention_width, self.dtype, name=name)

    def _landmarks(self, x: Images) -> Float[Array, "b h w 68"]:
        """Rectified maps of the landmarks."""
        x = nn.Dense(self.widths[2], dtype=self.dtype, name="last")(x)
        x = FrozenBatchNorm(dtype=self.dtype, name="last_norm")(x)
        x = self._attention(2, "attention2")(x)
        x = nn.Dense(LANDMARKS, dtype=self.dtype, name="to_landmarks")(nn.relu(x))
        return nn.relu(FrozenBatchNorm(dtype=self.dtype, name="landmarks_norm")(x))


def halved(x: Images) -> Float[Array, "b h2 w2 c"]:
    """The maximum over squares of two pixels. An odd last row or column is left out."""
    return nn.max_pool(x, (2, 2), (2, 2))


def grid_positions(rows: int, columns: int, width: int) -> Float[np.ndarray, "rows columns width"]:
    """Fixed positions: sines, then cosines, of the column in the first half of the channels, of the row in the second."""
    frequencies = 10_000.0 ** (-np.arange(width // 4) / (width // 4))
    waves = lambda n: np.concatenate([f(np.arange(n)[:, None] * frequencies) for f in (np.sin, np.cos)], axis=-1)
    across, down = waves(columns)[None], waves(rows)[:, None]
    shape = (rows, columns, width // 2)
    return np.concatenate([np.broadcast_to(across, shape), np.broadcast_to(down, shape)], axis=-1).astype(np.float32)
