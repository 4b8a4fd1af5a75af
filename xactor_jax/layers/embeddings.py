"""Embeddings of noise levels and of labels that may be unknown.

(1)  e(t) = [cos(1000 t w_i), sin(1000 t w_i)],   w_i = 10000^(-i / h),  i < h        Ho et al. 2020, after Vaswani et al. 2017
(2)  e = (1 - s) E_0 + s E_l                 known label l with intensity s in [0, 1], blended with label 0, the neutral one
(3)  e = U + sum_l p_l E_l                   unknown label, estimated to be l with probability p_l; without an estimate e = U
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xactor_jax.layers.convolution import Dtype


def sinusoidal(t: Float[Array, "*lead"], dim: int) -> Float[Array, "*lead {dim}"]:
    """Sinusoidal embedding with h = dim / 2, in float32; t in [0, 1] (equation 1)."""
    half = dim // 2
    frequency = 10_000.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = 1000.0 * t.astype(jnp.float32)[..., None] * frequency
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)


class NoiseLevelEmbedding(nn.Module):
    """Sinusoidal embedding (equation 1) → linear → SiLU → linear: [*lead] → [*lead, width]."""

    width: int
    base: int = 0
    """Number of cosines and sines of (1); 0: `width`."""
    steps: int = 0
    """N: (1) embeds the step N t − 1 of a table of N noise levels, counted from 0. With 0, it embeds 1000 t."""
    names: tuple[str, str] = ("inner", "outer")
    """Names of the two linear maps in a checkpoint."""
    dtype: Dtype = None

    @nn.compact
    def __call__(self, t: Float[Array, "*lead"]) -> Float[Array, "*lead width"]:
        t = jnp.maximum(self.steps * t - 1.0, 0.0) / 1000.0 if self.steps else t
        inner, outer = (nn.Dense(self.width, dtype=self.dtype, name=name) for name in self.names)
        return outer(nn.silu(inner(sinusoidal(t, self.base or self.width))))


class LabelEmbedding(nn.Module):
    """Embeds labels: known ones by (2); by (3) those with an index outside 0 … labels - 1 or with `keep` false.

    Without intensities, s = 1.
    """

    labels: int
    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        index: Int[Array, "*lead"],
        keep: Bool[Array, "*lead"],
        intensity: Float[Array, "*lead"] | None = None,
        guess: Float[Array, "*lead labels"] | None = None,
    ) -> Float[Array, "*lead width"]:
        known = keep & (index >= 0) & (index < self.labels)
        # As large as the features that it is added to. A table that starts small is learned many times more slowly.
        large = nn.initializers.normal(1.0)
        table = nn.Embed(self.labels + 1, self.width, embedding_init=large, dtype=self.dtype, name="table")
        e = table(jnp.where(known, index, self.labels))
        if guess is not None:
            guessed = guess.astype(e.dtype) @ table(jnp.arange(self.labels))
            e = e + jnp.where(known[..., None], 0.0, guessed).astype(e.dtype)
        if intensity is None:
            return e
        s = jnp.where(known, intensity, 1.0)[..., None]
        return (1.0 - s).astype(e.dtype) * table(jnp.int32(0)) + s.astype(e.dtype) * e


class OptionalFeatures(nn.Module):
    """Features that may be dropped. A learned vector replaces them where `keep` is false."""

    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*lead width"], keep: Bool[Array, "..."]) -> Float[Array, "*lead width"]:
        null = self.param("null", nn.initializers.normal(0.02), (x.shape[-1],))
        return jnp.where(keep[..., None], x, null.astype(x.dtype))
