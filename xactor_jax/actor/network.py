"""The actor's transformer: noisy motion latents, one token a frame, each at its own noise level → a prediction for each.

(1)  h_i = W x_i,  h_sink = W_r r + s                                 tokens of the frames, and of the reference motion r
(2)  c_i = e(t_i) + W_c r + emotion_i                                 condition of each token; the sink's level is 0
(3)  h <- h + gate A(modulate(h))          over (sink, frames)        block-causal self-attention of `xactor_jax.actor.masks`
(4)  h_i <- h_i + X(LN(h_i), a_{i-R} … a_{i+R})   over frames         windowed cross-attention to audio features
(5)  h <- h + gate M(modulate(h))                                     MLP, tanh GELU
(6)  y_i = W_y modulate(h_i),  W_y zero at the start

X-Actor (2508.02944), project page, for what attends to what; adaLN-zero after DiT, with one map for all blocks. Any of audio,
r and emotion may be dropped, for which a learned vector stands in. A token's keys and values depend on tokens of its own chunk
and of chunks before it alone, so that a finished chunk's may be kept.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xactor_jax.actor.masks import block_causal, token_chunks, without_padding
from xactor_jax.labels import UNKNOWN_EMOTION
from xactor_jax.layers.attention import SelfAttention, WindowedCrossAttention
from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.embeddings import LabelEmbedding, NoiseLevelEmbedding, OptionalFeatures
from xactor_jax.layers.modulation import ModulationTable, SharedModulation, layer_norm, modulate


class Keep(NamedTuple):
    """Which conditions each example is shown; the others are replaced by learned vectors."""

    audio: Bool[Array, "batch"]
    reference: Bool[Array, "batch"]
    emotion: Bool[Array, "batch"]


class Conditions(NamedTuple):
    """What the actor is told, beside the noise levels."""

    audio: Float[Array, "batch wide features"]
    """Features of the frames and of `audio_radius` frames on either side of them."""
    reference: Float[Array, "batch dim"]
    """Motion latent of the portrait."""
    emotion: Int[Array, "batch frames"]
    """Label of every frame; -1 is unknown."""


class MLP(nn.Module):
    """Linear → GELU → linear, `ratio` times as wide inside."""

    ratio: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, x: Float[Array, "*lead width"]) -> Float[Array, "*lead width"]:
        h = nn.gelu(nn.Dense(self.ratio * x.shape[-1], dtype=self.dtype, name="inner")(x), approximate=True)
        return nn.Dense(x.shape[-1], dtype=self.dtype, name="out")(h)


class AudioProjection(nn.Module):
    """Audio features to the network's width, normalised; a learned vector where audio is dropped."""

    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch wide features"], keep: Bool[Array, "batch"]
    ) -> Float[Array, "batch wide width"]:
        h = nn.silu(nn.Dense(self.width, dtype=self.dtype, name="inner")(features))
        h = layer_norm(nn.Dense(self.width, dtype=self.dtype, name="outer")(h))
        return OptionalFeatures(dtype=self.dtype, name="optional")(h, keep[:, None])


class ReferenceProjection(nn.Module):
    """The reference motion at the network's width; a learned vector where it is dropped."""

    width: int
    dtype: Dtype = None

    @nn.compact
    def __call__(self, reference: Float[Array, "batch dim"], keep: Bool[Array, "batch"]) -> Float[Array, "batch width"]:
        return OptionalFeatures(name="optional")(nn.Dense(self.width, dtype=self.dtype, name="linear")(reference), keep)


class Block(nn.Module):
    """(3) to (5)."""

    heads: int
    audio_radius: int
    mlp_ratio: int
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        h: Float[Array, "batch tokens width"],
        modulation: Float[Array, "batch tokens 6 width"],
        audio: Float[Array, "batch wide width"],
        positions: Int[Array, "tokens"],
        mask: Bool[Array, "b tokens tokens"],
    ) -> Float[Array, "batch tokens width"]:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = ModulationTable(name="modulation")(modulation)
        attention = SelfAttention(self.heads, sinks=1, dtype=self.dtype, name="attention")
        h = h + gate_a * attention(modulate(h, shift_a, scale_a), positions, mask)
        cross = WindowedCrossAttention(self.heads, self.audio_radius, dtype=self.dtype, name="audio_attention")
        h = h.at[:, 1:].add(cross(layer_norm(h[:, 1:]), audio))
        return h + gate_m * MLP(self.mlp_ratio, dtype=self.dtype, name="mlp")(modulate(h, shift_m, scale_m))


class ActorNetwork(nn.Module):
    """The whole transformer; lengths in frames."""

    latent_dim: int
    width: int
    depth: int
    heads: int
    chunk: int
    context: int
    emotions: int
    audio_radius: int = 2
    mlp_ratio: int = 4
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch frames dim"],
        t: Float[Array, "batch frames"],
        conditions: Conditions,
        keep: Keep,
        valid: Bool[Array, "batch frames"],
    ) -> Float[Array, "batch frames dim"]:
        """Prediction of the process for `x` at noise levels `t`. No frame sees another that is not `valid`."""
        frames = x.shape[1]
        h = self.tokens(x.astype(self.dtype or x.dtype), conditions.reference, keep.reference)
        c = self.condition(t, conditions, keep)
        audio = AudioProjection(self.width, dtype=self.dtype, name="audio")(conditions.audio, keep.audio)
        chunks = token_chunks(frames, self.chunk)
        mask = without_padding(
            block_causal(chunks, chunks, self.context // self.chunk), jnp.pad(valid, ((0, 0), (1, 0)), constant_values=True)
        )
        modulation = SharedModulation(6, dtype=self.dtype, name="modulation")(c)
        for i in range(self.depth):
            block = Block(self.heads, self.audio_radius, self.mlp_ratio, dtype=self.dtype, name=f"block_{i}")
            h = block(h, modulation, audio, jnp.arange(frames + 1) - 1, mask)
        return self.prediction(h[:, 1:], c[:, 1:])

    def tokens(
        self, x: Float[Array, "batch frames dim"], reference: Float[Array, "batch dim"], keep: Bool[Array, "batch"]
    ) -> Float[Array, "batch tokens width"]:
        """(1): the sink first."""
        sink = ReferenceProjection(self.width, dtype=self.dtype, name="sink")(reference, keep)
        sink = sink + self.param("sink_embedding", nn.initializers.normal(0.02), (self.width,)).astype(sink.dtype)
        return jnp.concatenate([sink[:, None], nn.Dense(self.width, dtype=self.dtype, name="token")(x)], axis=1)

    def condition(
        self, t: Float[Array, "batch frames"], conditions: Conditions, keep: Keep
    ) -> Float[Array, "batch tokens width"]:
        """(2): the sink is clean and has no emotion."""
        first = ((0, 0), (1, 0))
        level = NoiseLevelEmbedding(self.width, dtype=self.dtype, name="level")(jnp.pad(t, first))
        reference = ReferenceProjection(self.width, dtype=self.dtype, name="reference")(conditions.reference, keep.reference)
        labels = jnp.pad(conditions.emotion, first, constant_values=UNKNOWN_EMOTION)
        kept = jnp.broadcast_to(keep.emotion[:, None], labels.shape)
        emotion = LabelEmbedding(self.emotions, self.width, dtype=self.dtype, name="emotion")(labels, kept)
        return level + reference[:, None] + emotion

    def prediction(
        self, h: Float[Array, "batch frames width"], c: Float[Array, "batch frames width"]
    ) -> Float[Array, "batch frames dim"]:
        """(6), in float32."""
        parts = SharedModulation(2, dtype=self.dtype, name="final_modulation")(c)
        h = modulate(h, parts[:, :, 0], parts[:, :, 1]).astype(jnp.float32)
        return nn.Dense(self.latent_dim, kernel_init=nn.initializers.zeros, name="prediction")(h)
