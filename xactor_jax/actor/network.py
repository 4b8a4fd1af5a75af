"""The actor's transformer: noisy motion latents, one token per frame at its own noise level → a prediction for each token.

(1)  h_i = W x_i,  h_sink = W_r r + s                                 tokens of the frames, and of the reference motion r
(2)  c_i = e(t_i) + W_c r + emotion_i(p_i) + M(m_i)                   condition of each token; the sink's level is 0
(3)  h <- h + gate A(modulate(h))          over (sink, frames)        block-causal self-attention of `xactor_jax.actor.masks`
(4)  h_i <- h_i + X(LN(h_i), a_{i-R} … a_{i+R})   over frames         windowed cross-attention to audio features
(5)  h <- h + gate M(modulate(h))                                     MLP, tanh GELU
(6)  y_i = W_y modulate(h_i),  W_y zero at the start
(7)  m_i = LN([mean a_j; std a_j]) over j = max(0, i-P) … i+R, weighted by w_j = exp(s(a_j))   summary of the recent voice
(8)  p_i = softmax(P(m_i))               emotion estimated from the voice; it replaces a label that is not given

The attention pattern is from X-Actor (2508.02944), project page. Modulation is adaLN-zero (DiT), with one linear map for all
blocks. Audio, r and emotion may each be dropped; a learned vector replaces them. (7) and (8) are not in the paper. Without
them, the emotion of the last seconds reaches a token only through (3), mixed with the noise of other tokens. A token's keys and
values depend only on tokens of its own chunk and of earlier chunks, so those of a finished chunk can be cached: `continued`,
which starts from cached keys and values, gives the same frames as `__call__` on the whole sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xactor_jax.actor.blocks import AudioProjection, AudioSummary, Block, ReferenceProjection, Summary
from xactor_jax.actor.masks import block_causal, both_ways, left_behind, without_padding
from xactor_jax.emotion import Emotion, frames_of
from xactor_jax.layers.attention import KeyValue, cut, joined
from xactor_jax.layers.convolution import Dtype
from xactor_jax.layers.embeddings import LabelEmbedding, NoiseLevelEmbedding
from xactor_jax.layers.modulation import SharedModulation, modulate
from xactor_jax.layers.remat import rematerialised, scan_layers
from xactor_jax.variables import applied


class Keep(NamedTuple):
    """Which conditions each example uses; learned vectors replace the others."""

    audio: Bool[Array, "batch"]
    reference: Bool[Array, "batch"]
    emotion: Bool[Array, "batch"]
    """The label and its estimate (equation 8) together. Where they are dropped, all emotions get the same probability."""


class Conditions(NamedTuple):
    """Inputs of the actor other than noisy latents and noise levels."""

    audio: Float[Array, "batch wide features"]
    """Features of the frames and of `audio_radius` frames on either side; for `continued`, of `audio_before` frames before."""
    reference: Float[Array, "batch dim"]
    """Motion latent of the portrait."""
    emotion: Emotion
    """Label and intensity of every frame, [batch, frames]; label -1 is unknown."""


class Memory(NamedTuple):
    """Cached keys and values of every layer: [depth, batch, tokens, heads, features]."""

    reference: KeyValue
    """Of the reference token."""
    first: KeyValue
    """Of the first chunk, if it is a sink; else empty."""
    past: KeyValue
    """Of the frames just before the current ones, oldest first."""


class Answer(NamedTuple):
    """Output of the network for frames."""

    prediction: Float[Array, "batch frames dim"]
    """Prediction for each frame (equation 6)."""
    emotion_logits: Float[Array, "batch frames emotions"] | None
    """Emotion estimated from the audio (equation 8); None if the network has no audio summary (equation 7)."""
    memory: Memory | None = None
    """Of all frames, if they are a whole clip."""


class ActorNetwork(nn.Module):
    """The whole transformer; `chunk`, `context` and audio lengths are in frames."""

    latent_dim: int
    width: int
    depth: int
    heads: int
    chunk: int
    context: int
    emotions: int
    audio_radius: int
    audio_memory: int
    """P of equation 7, in frames; 0: no audio summary."""
    mlp_ratio: int
    look_ahead: int
    """Number of later frames of its own chunk that a frame attends to; -1: all."""
    scan_layers: bool
    """Whether the blocks are compiled as one loop instead of one after the other."""
    sink_chunk: bool
    """Whether the first chunk is a sink."""
    bidirectional_window: bool
    """Whether chunks in flight attend to each other in both directions (equation 5 of `xactor_jax.actor.masks`)."""
    remat: str = "none"
    """Activations that the backward pass of the blocks recomputes (`xactor_jax.layers.remat`)."""
    dtype: Dtype = None

    def setup(self) -> None:
        reference = lambda: ReferenceProjection(self.width, dtype=self.dtype)
        self.sink, self.reference = reference(), reference()
        self.sink_embedding = self.param("sink_embedding", nn.initializers.normal(0.02), (self.width,))
        self.token = nn.Dense(self.width, dtype=self.dtype)
        self.level = NoiseLevelEmbedding(self.width, dtype=self.dtype)
        self.emotion = LabelEmbedding(self.emotions, self.width, dtype=self.dtype)
        self.audio = AudioProjection(self.width, dtype=self.dtype)
        if self.audio_memory:
            self.summary = AudioSummary(self.emotions, dtype=self.dtype)
        self.modulation = SharedModulation(6, dtype=self.dtype)
        for i in range(self.depth):
            setattr(self, f"block_{i}", Block(self.heads, self.audio_radius, self.mlp_ratio, dtype=self.dtype))
        self.final_modulation = SharedModulation(2, dtype=self.dtype)
        self.prediction = nn.Dense(self.latent_dim, kernel_init=nn.initializers.zeros)

    @property
    def first_frames(self) -> int:
        """Number of frames of the first chunk if it is a sink; else 0."""
        return self.chunk if self.sink_chunk else 0

    @property
    def audio_before(self) -> int:
        """Frames of audio that `continued` needs before its frames."""
        return max(self.audio_radius, self.audio_memory)

    def __call__(
        self,
        x: Float[Array, "batch frames dim"],
        t: Float[Array, "batch frames"],
        conditions: Conditions,
        keep: Keep,
        valid: Bool[Array, "batch frames"],
        in_flight: Bool[Array, "batch frames"] | None = None,
    ) -> Answer:
        """Prediction for frames `x`, numbered from 0, at noise levels `t`. Frames that are not `valid` are not attended to.

        Only a network with `bidirectional_window` uses `in_flight`, and needs it.
        """
        memory = self.remembered(conditions.reference, keep.reference)
        frames = jnp.arange(x.shape[1])
        seen = self.seen(frames, frames)[None]
        seen = seen | both_ways(in_flight, in_flight) if self.bidirectional_window and in_flight is not None else seen
        mask = without_padding(seen, valid)
        first = self.left_first(frames)[None] & valid[:, None, : self.first_frames]
        mask = jnp.concatenate([jnp.ones_like(mask[..., :1]), first, mask], axis=-1)
        answer, own = self.run(x, t, conditions, keep, frames, mask, memory, self.first_frames)
        return answer._replace(memory=Memory(memory.reference, cut(own, 0, self.first_frames), own))

    def continued(
        self,
        x: Float[Array, "batch frames dim"],
        t: Float[Array, "batch frames"],
        conditions: Conditions,
        keep: Keep,
        start: int | Int[Array, ""],
        memory: Memory,
        in_flight: bool = False,
    ) -> tuple[Float[Array, "batch frames dim"], KeyValue]:
        """`__call__` for frames from number `start` on, given the cached keys and values of earlier frames.

        `start` is the first frame of a chunk. Frames with numbers below 0 are ignored. `in_flight`: whether the frames are in
        flight; else they are history. Returns the predictions, and the keys and values of these frames.
        """
        past = memory.past.key.shape[-3]
        frames, others = start + jnp.arange(x.shape[1]), start - past + jnp.arange(past + x.shape[1])
        seen = self.seen(frames, others)
        if self.bidirectional_window and in_flight:
            seen |= both_ways(frames >= 0, (others >= start) & (others >= 0))
        mask = jnp.concatenate([jnp.ones_like(seen[:, :1]), self.left_first(frames), seen], axis=-1)
        answer, own = self.run(x, t, conditions, keep, frames, mask[None], memory, 0)
        return answer.prediction, own

    def remembered(self, reference: Float[Array, "batch dim"], keep: Bool[Array, "batch"]) -> Memory:
        """The memory before the first frame: only the reference token, which has noise level 0 and unknown emotion."""
        h = self.sink(reference, keep) + self.sink_embedding.astype(self.dtype or jnp.float32)
        c = self.condition(jnp.zeros((len(h), 1)), reference, frames_of(None, len(h), 0, 1), keep, keep, None)
        _, own = self.blocks(h[:, None], self.modulation(c), None, jnp.ones((1, 1, 1), bool), None, None, 0)
        return Memory(own, cut(own, 0, 0), cut(own, 0, 0))

    def run(
        self,
        x: Float[Array, "batch frames dim"],
        t: Float[Array, "batch frames"],
        conditions: Conditions,
        keep: Keep,
        frames: Int[Array, "frames"],
        mask: Bool[Array, "b frames keys"],
        memory: Memory,
        first: int,
    ) -> tuple[Answer, KeyValue]:
        """Equations 1 to 8 for frames with these numbers. The mask covers (reference, first chunk, past, the frames)."""
        h = self.token(x.astype(self.dtype or x.dtype))
        audio = self.audio(conditions.audio, keep.audio)
        summary = self.summary(audio, self.counted(frames, audio.shape[1])) if self.audio_memory else None
        c = self.condition(t, conditions.reference, conditions.emotion, keep.reference, keep.emotion, summary)
        audio, modulation = audio[:, audio.shape[1] - x.shape[1] - 2 * self.audio_radius :], self.modulation(c)
        h, own = self.blocks(h, modulation, audio, mask, joined(memory.reference, memory.first), memory.past, first)
        return Answer(self.predicted(h, c), summary and summary.logits), own

    def blocks(
        self,
        h: Float[Array, "batch tokens width"],
        modulation: Float[Array, "batch tokens 6 width"],
        audio: Float[Array, "batch wide width"] | None,
        mask: Bool[Array, "b tokens keys"],
        sinks: KeyValue | None,
        past: KeyValue | None,
        first: int,
    ) -> tuple[Float[Array, "batch tokens width"], KeyValue]:
        """All transformer blocks (equations 3 to 5). Returns the tokens, and the keys and values of every layer."""
        if self.scan_layers and not self.is_initializing():
            block = Block(self.heads, self.audio_radius, self.mlp_ratio, dtype=self.dtype, parent=None)
            layer = lambda p, h, sinks, past: applied(block, p, h, modulation, audio, mask, sinks, past, first)
            params = [self.variables["params"][f"block_{i}"] for i in range(self.depth)]
            return scan_layers(layer, params, h, sinks, past, remat=self.remat)
        kept = []
        for i in range(self.depth):
            one = lambda stack, i=i: stack and KeyValue(*(x[i] for x in stack))
            block = lambda net, *tokens, i=i: getattr(net, f"block_{i}")(*tokens, first)
            h, own = rematerialised(block, self.remat)(self, h, modulation, audio, mask, one(sinks), one(past))
            kept.append(own)
        return h, KeyValue(*(jnp.stack(x) for x in zip(*kept, strict=True)))

    def seen(self, frames: Int[Array, "q"], others: Int[Array, "k"]) -> Bool[Array, "q k"]:
        """The block-causal mask (equation 1 of `xactor_jax.actor.masks`)."""
        return block_causal(frames, others, chunk=self.chunk, context=self.context, look_ahead=self.look_ahead)

    def counted(self, frames: Int[Array, "q"], wide: int) -> Bool[Array, "q {wide}"]:
        """Which of `wide` frames of audio each frame summarises (j of equation 7). They end `audio_radius` frames after it."""
        j = frames[-1] + self.audio_radius + 1 - wide + jnp.arange(wide)
        age = frames[:, None] - j
        near = (age <= self.audio_memory) & (age >= -self.audio_radius)
        return near & ((j >= 0) | (age == 0))  # frames before the beginning are unused; one entry keeps their softmax finite

    def left_first(self, frames: Int[Array, "q"]) -> Bool[Array, "q first"]:
        """The mask of the first chunk as a sink (equation 3 of `xactor_jax.actor.masks`)."""
        left = left_behind(frames, chunk=self.chunk, context=self.context)
        return jnp.broadcast_to(left[:, None], (len(frames), self.first_frames))

    def condition(
        self,
        t: Float[Array, "batch tokens"],
        reference: Float[Array, "batch dim"],
        emotion: Emotion,
        keep_reference: Bool[Array, "batch"],
        keep_emotion: Bool[Array, "batch"],
        summary: Summary | None,
    ) -> Float[Array, "batch tokens width"]:
        """The condition of each token (equation 2)."""
        kept = jnp.broadcast_to(keep_emotion[:, None], t.shape)
        known = self.level(t) + self.reference(reference, keep_reference)[:, None]
        label, intensity = map(jnp.asarray, emotion)
        if summary is None:
            return known + self.emotion(label, kept, intensity)
        guess = jnp.where(kept[..., None], nn.softmax(summary.logits), 1.0 / self.emotions)
        return known + self.emotion(label, kept, intensity, guess) + summary.embedding

    def predicted(
        self, h: Float[Array, "batch frames width"], c: Float[Array, "batch frames width"]
    ) -> Float[Array, "batch frames dim"]:
        """The prediction in float32 (equation 6)."""
        parts = self.final_modulation(c)
        return self.prediction(modulate(h, parts[:, :, 0], parts[:, :, 1]).astype(jnp.float32))
