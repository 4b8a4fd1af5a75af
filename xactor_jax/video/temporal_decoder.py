"""What makes the autoencoder's decoder one of clips (Blattmann et al. 2023, Stable Video Diffusion).

After every residual block s = R(h) of a picture's decoder comes one over time, mixed in by a learned share:
    (1) t = s + W₂ ∗ SiLU(N₂(W₁ ∗ SiLU(N₁ s)))                    ∗: over three frames at each pixel, zero beyond the clip
    (2) y = (1 − σ(a)) s + σ(a) t                                 N: group normalisation over all frames of the clip
and after the last convolution one more over three frames, of the three colours.

A clip is decoded in pieces that know nothing of each other, as released (25 frames). Whole decoding differs: 2 n + 1 frames
on either side reach a frame through the convolutions, with n blocks (29 with the released 14), and all frames through N. So
no frame of a longer clip is exactly that of whole decoding, and frames at a piece's ends differ most. A stream decodes each
segment of new frames in pieces, so that there pieces also end where segments do.
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
    """Convolution over three frames at each pixel; zero before the first and after the last."""

    channels: int
    dtype: Dtype = None
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Clips) -> Float[Array, "n t h w d"]:
        n, t, h, w, c = x.shape
        conv = nn.Conv(self.channels, (3, 1), dtype=self.dtype, kernel_init=self.kernel_init, name="conv")
        return conv(x.reshape(n, t, h * w, c)).reshape(n, t, h, w, self.channels)


class TemporalBlock(nn.Module):
    """Equations 1 and 2 behind s. W₂ starts at zero: a block begins as s."""

    groups: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, s: Clips) -> Clips:
        whole = dict(reduction_axes=(-4, -3, -2, -1), epsilon=1e-5)
        norm = lambda name: nn.GroupNorm(self.groups, **whole, dtype=self.dtype, name=name)
        h = TimeConv(s.shape[-1], self.dtype, name="conv1")(jax.nn.silu(norm("norm1")(s)))
        h = jax.nn.silu(norm("norm2")(h))
        h = TimeConv(s.shape[-1], self.dtype, nn.initializers.zeros, name="conv2")(h)
        share = jax.nn.sigmoid(self.param("mix", nn.initializers.zeros, (1,)))
        return s + share.astype(h.dtype) * h


def in_pieces(function: Callable[[Clips], Clips], clips: Clips, piece: int) -> Float[Array, "n t h2 w2 d"]:
    """`function` of each `piece` frames of clips, one after the other so that memory does not grow with the length."""
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
