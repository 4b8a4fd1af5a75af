"""Kept keys and values against reading all of the past anew: the same prediction at every chunk of a long rollout.

The reference knows nothing of a memory: at every step it shows the training network the finished chunks, each at the level that
the law of history gives its age, followed by those in flight.
"""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.actor.toy import AUDIO, DIM, randomised, toy_config
from xactor_jax.actor.model import ActorModel, make_guide
from xactor_jax.actor.network import Conditions
from xactor_jax.actor.objective import keep_all
from xactor_jax.actor.rollout import HISTORY, INITIAL, Window
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.actor.stream import _advance, _start
from xactor_jax.actor.task import ActorTask
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.emotion import frames_of
from xactor_jax.errors import UserError

CHUNK, CONTEXT, BATCH, DEPTH, RADIUS = 10, 20, 2, 2, 2
HISTORIES = {
    "geometric": {"history": "geometric", "history_level": 0.05, "history_decay": 0.3},
    "linear": {"history": "linear", "history_level": 0.3, "history_span": 3},
    "constant": {"history": "constant", "history_level": 0.1},
    "none": {"history": "none"},
}
SCHEDULES = {
    "autoregressive": {"steps": 2},
    "pyramid": {"schedule": "pyramid", "steps": 4, "offset": 2},
    "full_sequence": {"schedule": "full_sequence", "steps": 2, "chunks": 3},
}


@cache
def actor(**network):
    config = toy_config(DEPTH)
    config.network.update({"chunk": CHUNK, "context": CONTEXT, **network})
    config.diffusion.shift = 1.0
    task = ActorTask.from_config(config)
    return task.model, randomised(jax.jit(task.init)(jax.random.key(0)))


def level(settings: RolloutSettings, age: int) -> float:
    """The laws of history, written out."""
    falling = settings.history_level * settings.history_decay**age
    return {
        "geometric": falling if falling >= 1e-3 else 0.0,
        "linear": settings.history_level * max(0.0, 1 - age / settings.history_span),
        "constant": settings.history_level,
        "none": 0.0,
    }[settings.history]


class Anew:
    """The reference: everything back to `oldest` chunks ago is shown to the training network at each step."""

    def __init__(self, model: ActorModel, params, guide, window: Window, audio: np.ndarray, oldest: int):
        self.window, self.guide, self.oldest, self.process = window, guide, oldest, model.process
        before = np.repeat(audio[:, :1], RADIUS, axis=1)
        self.audio = np.concatenate([before, audio, np.repeat(audio[:, -1:], 10 * CHUNK, axis=1)], axis=1)
        self.predict = jax.jit(partial(model.network.apply, {"params": params}))
        self.noise = jax.jit(window.noise, static_argnums=2)

    def shown(self, finished: np.ndarray, position: int) -> tuple[np.ndarray, np.ndarray]:
        """The finished chunks, noised to their levels, and these levels, frame by frame."""
        chunks = np.arange(max(0, position - self.oldest), position)
        t = np.repeat([level(self.window.settings, position - 1 - c) for c in chunks], CHUNK)
        if not len(chunks):
            return np.zeros((BATCH, 0, DIM), np.float32), t
        eps = np.asarray(self.noise(self.guide.keys, jnp.asarray(chunks), HISTORY))
        x0 = finished[:, chunks[0] * CHUNK : position * CHUNK]
        return np.cos(np.pi * t / 2)[:, None] * x0 + np.sin(np.pi * t / 2)[:, None] * eps, t

    def call(self, finished: np.ndarray, flying: np.ndarray, position: int) -> np.ndarray:
        """The chunks in flight after one call, from those before it."""
        history, old = self.shown(finished, position)
        skipped = max(0, -position) * CHUNK  # chunks from before the beginning are seen by none
        start = max(0, position) * CHUNK - history.shape[1]
        for before, after in zip(self.window.schedule.levels[:-1], self.window.schedule.levels[1:], strict=True):
            t, s = np.repeat(before, CHUNK), np.repeat(after, CHUNK)
            x, levels = np.concatenate([history, flying[:, skipped:]], axis=1), np.concatenate([old, t[skipped:]])
            prediction = np.asarray(self.prediction(x, levels, start))[:, history.shape[1] :]
            tokens = [jnp.broadcast_to(jnp.float32(v[skipped:]), prediction.shape[:2]) for v in (t, s)]
            moved = ddim_step(self.process, jnp.asarray(flying[:, skipped:]), jnp.asarray(prediction), *tokens)
            flying = np.concatenate(
                [flying[:, :skipped], np.where((t != s)[None, skipped:, None], moved, flying[:, skipped:])], 1
            )
        return flying

    def prediction(self, x: np.ndarray, t: np.ndarray, start: int) -> jax.Array:
        """Padded to one length, so that it is compiled once."""
        room = (self.oldest + self.window.schedule.active) * CHUNK
        pad = [(0, 0), (0, room - x.shape[1])]
        audio = self.audio[:, start : start + room + 2 * RADIUS]
        audio = np.pad(audio, [(0, 0), (0, room + 2 * RADIUS - audio.shape[1]), (0, 0)], mode="edge")
        t = jnp.broadcast_to(jnp.float32(np.pad(t, pad[1:])), (BATCH, room))
        conditions = Conditions(jnp.asarray(audio), self.guide.reference, frames_of(None, BATCH, 0, room))
        valid = jnp.broadcast_to(jnp.arange(room) < x.shape[1], (BATCH, room))
        return self.predict(jnp.float32(np.pad(x, [*pad, (0, 0)])), t, conditions, keep_all(BATCH), valid)[:, : x.shape[1]]


def largest_difference(frames: int, settings: dict, network: dict, oldest: int | None) -> float:
    """Over all calls of a rollout, each starting from what the rollout with a memory has made so far."""
    model, variables = actor(**network)
    window = Window(model.network, model.process, RolloutSettings(audio_guidance=1.0, **settings))
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((BATCH, frames, AUDIO)).astype(np.float32)
    guide = make_guide(variables, jax.random.key(5), rng.standard_normal((BATCH, DIM)).astype(np.float32))
    anew = Anew(model, variables.params, guide, window, audio, oldest or frames // CHUNK)
    state = _start(window, guide, audio[:, :RADIUS], audio[:, 0])
    unknown, finished, worst = frames_of(None, BATCH, 0, window.stride), np.zeros((BATCH, 0, DIM), np.float32), 0.0
    for call in range(frames // window.stride):
        piece = audio[:, RADIUS + call * window.stride :][:, : window.stride]
        piece = np.pad(piece, [(0, 0), (0, window.stride - piece.shape[1]), (0, 0)], mode="edge")
        position = (call + 1) * window.schedule.advance - window.schedule.active
        fresh = jnp.arange(window.schedule.advance) + position + window.schedule.active - window.schedule.advance
        entering = np.asarray(anew.noise(guide.keys, fresh, INITIAL))
        flying = np.concatenate([np.asarray(state.frames.latents)[:, window.young + window.stride :], entering], axis=1)
        state, out = _advance(window, guide, state, piece, unknown)
        after = np.asarray(state.frames.latents)[:, window.young :]
        known = max(0, -position) * CHUNK
        worst = max(worst, np.abs(after - anew.call(finished, flying, position))[:, known:].max(initial=0.0))
        finished = np.concatenate([finished, out], axis=1) if position >= 0 else finished
    assert finished.std() > 0.3
    return worst


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_long_rollout_is_what_reading_its_past_anew_gives(schedule: str) -> None:
    oldest = DEPTH * CONTEXT // CHUNK + 3 + 3  # all that two layers of context can reach, from history that is read again
    for history in ["geometric"] if schedule != "autoregressive" else ["geometric", "constant"]:
        assert largest_difference(2000, SCHEDULES[schedule] | HISTORIES[history], {}, oldest) < 1e-5, history


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("network", [{"sink_chunk": True}, {"look_ahead": 2}, {"context": 30, "sink_chunk": True}])
def test_sinks_and_look_ahead_are_kept_as_well(network: dict, history: str) -> None:
    ends_early = {"history_decay": 0.05, "history_span": 2}  # so that a short context holds all of the noise
    settings = SCHEDULES["autoregressive"] | HISTORIES[history] | ends_early
    assert largest_difference(120, settings, network, None) < 1e-5


@pytest.mark.parametrize("stays", [False, True])
def test_the_first_chunk_is_seen_for_ever_if_it_is_a_sink(stays: bool) -> None:
    """Changing what is kept of it changes what is said of chunks whose context has left it, and of no others."""
    model, variables = actor(sink_chunk=stays)
    guide = make_guide(variables, jax.random.key(5), jnp.zeros((1, DIM)))
    window = Window(model.network, model.process, RolloutSettings(steps=2, history="none", audio_guidance=1.0))
    memory = _start(window, guide, jnp.zeros((1, RADIUS, AUDIO)), jnp.zeros((1, AUDIO))).memory
    changed = memory._replace(first=jax.tree.map(lambda x: x + 1.0, memory.first))
    audio = jax.random.normal(jax.random.key(1), (1, CHUNK + 2 * RADIUS, AUDIO))

    @jax.jit
    def said(memory, start):
        x, t = jnp.zeros((1, CHUNK, DIM)), jnp.full((1, CHUNK), 0.5)
        arguments = x, t, Conditions(audio, guide.reference, frames_of(None, 1, 0, CHUNK)), keep_all(1), start, memory
        return model.network.apply({"params": variables.params}, *arguments, method="continued")[0]

    moved = [bool((said(memory, c * CHUNK) != said(changed, c * CHUNK)).any()) for c in range(6)]
    assert moved == [stays and c > CONTEXT // CHUNK for c in range(6)]


def test_chunks_at_once_must_fit_a_context_whose_first_chunk_stays() -> None:
    model, _ = actor(sink_chunk=True)
    for wrong in ({"schedule": "full_sequence", "chunks": 4}, {"history": "linear", "history_level": 0.5, "history_span": 9}):
        with pytest.raises(UserError, match="first chunk stays"):
            Window(model.network, model.process, RolloutSettings(**wrong))
