"""What the actor's network is made of: its inputs brought to its width, and its blocks. Equations are those of network.py."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.layers.attention import KeyValue, SelfAttention, WindowedCrossAttention
from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.embeddings import OptionalFeatures
from xactor_jax.layers.modulation import ModulationTable, layer_norm, modulate


class MLP(nn.Module):
    """Linear → GELU → linear; the hidden layer is `ratio` times as wide."""

    ratio: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*lead width"]) -> Float[Array, "*lead width"]:
        h = nn.gelu(nn.Dense(self.ratio * x.shape[-1], dtype=self.dtype, name="inner")(x), approximate=True)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(h)


class AudioProjection(nn.Module):
    """Maps audio features to the network's width and normalises them; a learned vector where audio is dropped."""

    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch wide features"], keep: Bool[Array, "batch"]
    ) -> Float[Array, "batch wide width"]:
        h = nn.silu(nn.Dense(self.width, dtype=self.dtype, name="inner")(features))
        h = layer_norm(nn.Dense(self.width, dtype=self.dtype, name="outer")(h))
        return OptionalFeatures(dtype=self.dtype, name="optional")(h, keep[:, None])


class Summary(NamedTuple):
    """Summary of the recent voice for every frame."""

    embedding: Float[Array, "batch frames width"]
    """M(m_i) of equations 2 and 7."""
    logits: Float[Array, "batch frames emotions"]
    """P(m_i) of equation 8."""


class AudioSummary(nn.Module):
    """Summarises recent audio and estimates its emotion (equations 7 and 8); `counted` marks each token's audio frames."""

    emotions: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, audio: Float[Array, "batch wide width"], counted: Bool[Array, "frames wide"]) -> Summary:
        a, dense = audio.astype(jnp.float32), lambda size, name: nn.Dense(size, dtype=self.dtype, name=name)
        w = nn.softmax(jnp.where(counted, dense(1, "score")(audio).astype(jnp.float32)[:, None, :, 0], -jnp.inf))
        mean = w @ a
        std = jnp.sqrt(jnp.maximum(w @ a**2 - mean**2, 0.0) + 1e-6)
        m = nn.silu(dense(audio.shape[-1], "inner")(layer_norm(jnp.concatenate([mean, std], axis=-1))))
        return Summary(dense(audio.shape[-1], "outer")(m), dense(self.emotions, "emotion")(m).astype(jnp.float32))


class ReferenceProjection(nn.Module):
    """Maps the reference motion to the network's width; a learned vector where it is dropped."""

    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, reference: Float[Array, "batch dim"], keep: Bool[Array, "batch"]) -> Float[Array, "batch width"]:
        return OptionalFeatures(name="optional")(nn.Dense(self.width, dtype=self.dtype, name="linear")(reference), keep)


class Block(nn.Module):
    """One transformer block (equations 3 to 5). Without audio, as for the reference token, there is no equation 4."""

    heads: int
    audio_radius: int
    mlp_ratio: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        h: Float[Array, "batch tokens width"],
        modulation: Float[Array, "batch tokens 6 width"],
        audio: Float[Array, "batch wide width"] | None,
        mask: Bool[Array, "b tokens keys"],
        sinks: KeyValue | None = None,
        past: KeyValue | None = None,
        first: int = 0,
    ) -> tuple[Float[Array, "batch tokens width"], KeyValue]:
        """The tokens after the block, and their keys and values for later tokens."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = ModulationTable(name="modulation")(modulation)
        attention = SelfAttention(self.heads, dtype=self.dtype, name="attention")
        attended, own = attention(modulate(h, shift_a, scale_a), mask, sinks, past, first)
        h = h + gate_a * attended
        if audio is not None:
            cross = WindowedCrossAttention(self.heads, self.audio_radius, dtype=self.dtype, name="audio_attention")
            h = h + cross(layer_norm(h), audio)
        return h + gate_m * MLP(self.mlp_ratio, dtype=self.dtype, name="mlp")(modulate(h, shift_m, scale_m)), own
