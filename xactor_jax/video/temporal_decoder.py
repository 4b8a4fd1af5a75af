"""Temporal layers that turn the autoencoder's decoder into one of clips (Blattmann et al. 2023, Stable Video Diffusion).

After each residual block s = R(h) of the picture decoder, a block over time is mixed in by a learned share:
    (1) t = s + W₂ ∗ SiLU(N₂(W₁ ∗ SiLU(N₁ s)))                    ∗: over three frames at each pixel, zero beyond the clip
    (2) y = (1 − σ(a)) s + σ(a) t                                 N: group normalisation over all frames of the clip
After the last convolution, one more convolution over three frames acts on the three colours.

A clip is decoded in independent pieces, as in the released code (25 frames). Decoding the whole clip gives another result: a
frame then depends on 2 n + 1 frames on either side through the convolutions, with n blocks (29 frames with the released 14),
and on all frames through N. So no frame of a longer clip is exactly the same, and frames at the ends of a piece differ most.
A stream decodes each segment of new frames in pieces, so there pieces also end where segments do.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.layers.convolution import Dtype

Clips = Float[Array, "n t h w c"]


class TimeConv(nn.Module):
    """Convolution over three frames at each pixel. Frames before the first and after the last count as zero."""

    channels: int
    dtype: Dtype = None
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Clips) -> Float[Array, "n t h w d"]:
        n, t, h, w, c = x.shape
        conv = nn.Conv(self.channels, (3, 1), dtype=self.dtype, kernel_init=self.kernel_init, name="conv")
        return conv(x.reshape(n, t, h * w, c)).reshape(n, t, h, w, self.channels)


class TemporalBlock(nn.Module):
    """Equations 1 and 2. W₂ starts at zero, so that the block starts as the identity."""

    groups: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, s: Clips) -> Clips:
        whole = (-4, -3, -2, -1)
        norm = lambda name: nn.GroupNorm(self.groups, epsilon=1e-5, reduction_axes=whole, dtype=self.dtype, name=name)
        h = TimeConv(s.shape[-1], self.dtype, name="conv1")(jax.nn.silu(norm("norm1")(s)))
        h = jax.nn.silu(norm("norm2")(h))
        h = TimeConv(s.shape[-1], self.dtype, nn.initializers.zeros, name="conv2")(h)
        share = jax.nn.sigmoid(self.param("mix", nn.initializers.zeros, (1,)))
        return s + share.astype(h.dtype) * h


def in_pieces(function: Callable[[Clips], Clips], clips: Clips, piece: int) -> Float[Array, "n t h2 w2 d"]:
    """Applies `function` to each `piece` frames of clips, one piece after another, so that memory does not grow with length."""
    n, t = clips.shape[:2]
    whole = t - t % piece
    parts = []
    if whole:
        pieces = jnp.moveaxis(clips[:, :whole].reshape(n, -1, piece, *clips.shape[2:]), 1, 0)
        done = jnp.moveaxis(jax.lax.map(function, pieces), 0, 1)
        parts.append(done.reshape(n, whole, *done.shape[3:]))
    if whole < t:
        parts.append(function(clips[:, whole:]))
    return jnp.concatenate(parts, axis=1)
