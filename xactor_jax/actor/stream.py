"""A performance that goes on for as long as features come in, and can be stopped and taken up again.

    stream = actor.open_stream(variables, key, reference_motion)
    for features in microphone:
        for motion_latents in stream.push(features): ...
    for motion_latents in stream.finish(): ...

What comes out does not depend on how the features were cut into pieces. `stream.state` is all that it remembers, a small pytree
of arrays whose size does not grow; a stream opened with the same arguments and given that state goes on bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from flax import serialization
from jaxtyping import Array, Float, Int

from xactor_jax.actor.rollout import Guide, RolloutState, Window
from xactor_jax.emotion import Emotion
from xactor_jax.errors import UserError
from xactor_jax.finite import check_frames, finite_frames

Features = Float[Array, "batch frames features"] | Float[np.ndarray, "batch frames features"]
Feel = Callable[[int, int], Emotion]
"""(first frame, count) → the emotion of these frames."""
MARK = b"xactor_jax stream\n"
"""Begins a state that has its SHA-256 behind it."""


class Buffer(NamedTuple):
    """Features that have arrived and are still to be taken; the first and the last stand for all before and after."""

    waiting: Float[np.ndarray, "batch n features"]
    first: Float[np.ndarray, "batch features"]
    last: Float[np.ndarray, "batch features"]
    arrived: Int[np.ndarray, ""]
    """Frames in all."""

    def appended(self, piece: Float[np.ndarray, "batch frames features"]) -> Buffer:
        if not piece.shape[1]:
            return self
        first = self.first if self.arrived else piece[:, 0]
        waiting = np.concatenate([self.waiting, piece], axis=1)
        return Buffer(waiting, first, piece[:, -1], np.int64(self.arrived + piece.shape[1]))

    def take(self, count: int) -> tuple[Float[np.ndarray, "batch {count} features"], Buffer]:
        """The next `count` frames, the last one repeated where they are not enough; and what is left."""
        taken, left = self.waiting[:, :count], self.waiting[:, count:]
        missing = np.repeat(self.last[:, None], count - taken.shape[1], axis=1)
        return np.concatenate([taken, missing], axis=1), self._replace(waiting=left)


class StreamState(NamedTuple):
    """All that a stream remembers."""

    buffer: Buffer
    calls: Int[np.ndarray, ""]
    """Calls of the window so far."""
    rollout: RolloutState


class Stream:
    """One performance on its way; made by `ActorModel.open_stream`."""

    def __init__(self, window: Window, guide: Guide, feel: Feel, audio_dim: int):
        self.window, self.guide, self.feel, self.audio_dim = window, guide, feel, audio_dim
        batch, radius = len(guide.keys), window.network.audio_radius
        nothing = np.zeros((batch, 0, audio_dim), np.float32)
        buffer = Buffer(nothing, nothing.sum(1), nothing.sum(1), np.int64(0))
        # Made anew at the first call, from its features; until then it gives the state its shapes, which `restore` checks.
        arguments = np.zeros((batch, radius, audio_dim), np.float32), np.zeros((batch, audio_dim), np.float32)
        self.state = StreamState(buffer, np.int64(0), _start(window, guide, *arguments))

    @property
    def given(self) -> int:
        """Number of the first frame that the next call gives out; below 0 it counts for nothing."""
        return int(self.state.calls) * self.window.stride - self.window.delay

    def push(self, features: Features) -> Iterator[Float[Array, "batch stride dim"]]:
        """Motion latents that become final by these features, a stride at a time."""
        piece = np.asarray(features, np.float32)
        if piece.shape[-1] != self.audio_dim:
            raise UserError(
                f"audio features of {piece.shape[-1]} numbers do not fit an actor trained on {self.audio_dim}: encode anew"
            )
        self.state = self.state._replace(buffer=self.state.buffer.appended(piece))
        ahead = self.window.network.audio_radius + self.window.stride
        while self.state.buffer.arrived >= ahead + int(self.state.calls) * self.window.stride:
            yield from self._advanced()

    def finish(self) -> Iterator[Float[Array, "batch n dim"]]:
        """The rest, so that as many frames have been given out as features came in."""
        while self.state.buffer.arrived > self.given:
            yield from self._advanced()

    def _advanced(self) -> Iterator[Float[Array, "batch n dim"]]:
        """One call of the window, and those of its frames that count. Raises `UserError` for numbers that are not finite."""
        window, guide = self.window, self.guide
        buffer, calls, rollout = self.state
        if not calls:
            ahead, buffer = buffer.take(window.network.audio_radius)
            rollout = _start(window, guide, ahead, buffer.first)
        audio, buffer = buffer.take(window.stride)
        given, emotion = self.given, self.feel(int(calls) * window.stride, window.stride)
        rollout, latents = _advance(window, guide, rollout, audio, emotion)
        check_frames(finite_frames(np.asarray(latents)), given, "motion")
        self.state = StreamState(buffer, np.int64(calls + 1), rollout)
        start, end = max(0, -given), min(window.stride, int(buffer.arrived) - given)
        if end > start:
            yield latents if end - start == window.stride else latents[:, start:end]

    def to_bytes(self) -> bytes:
        """The state, for a file, behind a hash of it, by which `restore` notices a bit that has changed since."""
        state = serialization.to_bytes(jax.device_get(self.state))
        return MARK + hashlib.sha256(state).digest() + state

    def restore(self, data: bytes) -> None:
        """Goes on from a state written by `to_bytes` of a stream with the same arguments.

        Raises:
            UserError: the state is another actor's, or of other settings, or damaged.
        """
        try:
            state = serialization.from_bytes(self.state, unwrapped(data))
        except Exception as error:  # whatever the reader of damaged bytes comes up with
            raise UserError(f"the state is no stream's of this actor, or damaged ({error}): start anew.") from None
        shapes = lambda tree: [(np.shape(x), np.asarray(x).dtype) for x in jax.tree.leaves(tree)]
        if shapes(state.rollout) != shapes(self.state.rollout):
            raise UserError(
                "the state was written by another actor or under other settings: open the stream with the same ones."
            )
        if not all(np.isfinite(x).all() for x in jax.tree.leaves(state) if np.issubdtype(np.asarray(x).dtype, np.floating)):
            raise UserError("the state of the stream is damaged, for it has numbers that are not finite: start anew.")
        self.state = state


def unwrapped(data: bytes) -> bytes:
    """The state of what `Stream.to_bytes` gave, now or in a version without a hash. Raises ValueError for a wrong hash."""
    if not data.startswith(MARK):
        return data
    digest, state = data[len(MARK) : len(MARK) + 32], data[len(MARK) + 32 :]
    if hashlib.sha256(state).digest() != digest:
        raise ValueError("it is not what was written")
    return state


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
