"""Streaming: motion is generated for as long as features arrive, and can be stopped and resumed.

    stream = actor.open_stream(variables, key, reference_motion)
    for features in microphone:
        for motion_latents in stream.push(features): ...
    for motion_latents in stream.finish(): ...

The result does not depend on how the features are cut into pieces. `stream.state` is a small pytree of arrays of constant size
that holds all of the stream's memory. A stream opened with the same arguments and given that state continues bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import serialization
from jaxtyping import Array, Float

from xactor_jax.actor.rollout import Guide, RolloutState, Window
from xactor_jax.emotion import Emotion
from xactor_jax.errors import UserError
from xactor_jax.finite import check_frames, finite_frames
from xactor_jax.sealing import opened, sealed

Features = Float[Array, "batch frames features"] | Float[np.ndarray, "batch frames features"]
EmotionAt = Callable[[int, int], Emotion]
"""(first frame, count) → emotion of these frames."""
MARK = b"xactor_jax stream\n"
"""First bytes of a saved state; the SHA-256 hash of the state follows, then the state."""


class Buffer(NamedTuple):
    """Features that have arrived and are not used yet. The first and the last frame are repeated beyond the recording."""

    waiting: Float[np.ndarray, "batch n features"]
    first: Float[np.ndarray, "batch features"]
    last: Float[np.ndarray, "batch features"]
    arrived: np.int64
    """Total number of frames that have arrived."""

    def appended(self, piece: Float[np.ndarray, "batch frames features"]) -> Buffer:
        if not piece.shape[1]:
            return self
        first = self.first if self.arrived else piece[:, 0]
        waiting = np.concatenate([self.waiting, piece], axis=1)
        return Buffer(waiting, first, piece[:, -1], np.int64(self.arrived + piece.shape[1]))

    def take(self, count: int) -> tuple[Float[np.ndarray, "batch {count} features"], Buffer]:
        """The next `count` frames, and the rest of the buffer. If there are too few frames, the last one is repeated."""
        taken, left = self.waiting[:, :count], self.waiting[:, count:]
        missing = np.repeat(self.last[:, None], count - taken.shape[1], axis=1)
        return np.concatenate([taken, missing], axis=1), self._replace(waiting=left)


class StreamState(NamedTuple):
    """The complete state of a stream."""

    buffer: Buffer
    calls: np.int64
    """Calls of the window so far."""
    rollout: RolloutState


class Call(NamedTuple):
    """Inputs of the next call of the window, and the features that it leaves."""

    rollout: RolloutState
    audio: Float[np.ndarray, "batch stride features"]
    emotion: Emotion
    left: Buffer


class Stream:
    """One batch of motion that is being generated. `ActorModel.open_stream` creates it."""

    def __init__(self, window: Window, guide: Guide, emotion_at: EmotionAt, audio_dim: int):
        self.window, self.guide, self.emotion_at, self.audio_dim = window, guide, emotion_at, audio_dim
        batch, radius = len(guide.keys), window.network.audio_radius
        nothing = np.zeros((batch, 0, audio_dim), np.float32)
        buffer = Buffer(nothing, nothing.sum(1), nothing.sum(1), np.int64(0))
        # The first call replaces this state, because it needs the first features. Until then it has the right shapes for
        # `restore` to check.
        arguments = np.zeros((batch, radius, audio_dim), np.float32), np.zeros((batch, audio_dim), np.float32)
        self.state = StreamState(buffer, np.int64(0), _start(window, guide, *arguments))

    @property
    def given(self) -> int:
        """Number of the first frame that the next call outputs; frames below 0 are dropped."""
        return int(self.state.calls) * self.window.stride - self.window.delay

    @property
    def ready(self) -> bool:
        """Whether the features of the next call have arrived."""
        ahead = self.window.network.audio_radius + self.window.stride
        return bool(self.state.buffer.arrived >= ahead + int(self.state.calls) * self.window.stride)

    @property
    def unfinished(self) -> bool:
        """Whether frames that have arrived have no motion latents yet."""
        return bool(self.state.buffer.arrived > self.given)

    def push(self, features: Features) -> Iterator[Float[Array, "batch stride dim"]]:
        """Adds features and yields the motion latents that they complete, one stride at a time."""
        self.add(features)
        while self.ready:
            yield from self._advanced()

    def finish(self) -> Iterator[Float[Array, "batch n dim"]]:
        """Yields the remaining frames, so that every frame of the features has its motion latent."""
        while self.unfinished:
            yield from self._advanced()

    def add(self, features: Features) -> None:
        """Adds features and computes nothing. Raises `UserError` if they are not those of the actor."""
        piece = np.asarray(features, np.float32)
        if piece.shape[-1] != self.audio_dim:
            raise UserError(
                f"audio features of {piece.shape[-1]} numbers do not fit an actor trained on {self.audio_dim}: encode again"
            )
        self.state = self.state._replace(buffer=self.state.buffer.appended(piece))

    def next_call(self) -> Call:
        """Inputs of the next call. They may be computed elsewhere, as in a batch of streams; `took` takes the result."""
        buffer, calls, rollout = self.state
        if not calls:
            ahead, buffer = buffer.take(self.window.network.audio_radius)
            rollout = _start(self.window, self.guide, ahead, buffer.first)
        audio, buffer = buffer.take(self.window.stride)
        return Call(rollout, audio, self.emotion_at(int(calls) * self.window.stride, self.window.stride), buffer)

    def took(
        self, call: Call, rollout: RolloutState, latents: Float[Array, "batch stride dim"]
    ) -> Iterator[Float[Array, "batch n dim"]]:
        """Continues with the result of a call; yields its real frames. Raises `UserError` for numbers that are not finite."""
        given, stride = self.given, self.window.stride
        check_frames(finite_frames(np.asarray(latents)), given, "motion")
        self.state = StreamState(call.left, np.int64(self.state.calls + 1), rollout)
        start, end = max(0, -given), min(stride, int(call.left.arrived) - given)
        if end > start:
            yield latents if end - start == stride else latents[:, start:end]

    def _advanced(self) -> Iterator[Float[Array, "batch n dim"]]:
        """One call of the window; yields its real frames."""
        call = self.next_call()
        yield from self.took(call, *_advance(self.window, self.guide, call.rollout, call.audio, call.emotion))

    def to_bytes(self) -> bytes:
        """The state as bytes for a file, after a hash of it, so that `restore` can detect damage."""
        return sealed(MARK, serialization.to_bytes(jax.device_get(self.state)))

    def restore(self, data: bytes) -> None:
        """Continues from a state that `to_bytes` of a stream with the same arguments wrote.

        Raises:
            UserError: the state is from another actor or other settings, or it is damaged.
        """
        try:
            state: Any = serialization.from_bytes(self.state, unwrapped(data))
        except Exception as error:  # damaged bytes can cause any error in the deserialiser
            raise UserError(
                f"the state is not from a stream of this actor, or it is damaged ({error}): start a new stream."
            ) from None
        shapes = lambda tree: [(np.shape(x), np.asarray(x).dtype) for x in jax.tree.leaves(tree)]
        if shapes(state.rollout) != shapes(self.state.rollout):
            raise UserError(
                "the state was written by another actor or under other settings: open the stream with the same ones."
            )
        if not all(np.isfinite(x).all() for x in jax.tree.leaves(state) if np.issubdtype(np.asarray(x).dtype, np.floating)):
            raise UserError("the state of the stream is damaged, for it has numbers that are not finite: start a new stream.")
        self.state = state


def unwrapped(data: bytes) -> bytes:
    """The state inside the bytes of `Stream.to_bytes`. Raises ValueError for a wrong hash."""
    if not data.startswith(MARK):  # written by a version without a hash
        return data
    return opened(MARK, data)


@jax.jit
def _start(window: Window, guide: Guide, audio: jax.Array, first: jax.Array) -> RolloutState:
    """`Window.initial_state`, compiled once for a window's structure and the shapes of a batch."""
    return window.initial_state(guide, audio, first)


@jax.jit
def _advance(
    window: Window, guide: Guide, state: RolloutState, audio: jax.Array, emotion: Emotion
) -> tuple[RolloutState, jax.Array]:
    """`Window.advance`, compiled once for a window's structure and the shapes of a batch."""
    return window.advance(guide, state, audio, emotion)
