"""Cached keys and values against reading all of the past again: the same prediction at every chunk of a long rollout.

The reference has no cache: at every step it gives the training network the finished chunks, each at the level that the history
schedule sets for its age, followed by those in flight.
"""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.actor.toy import AUDIO, DIM, random_variables, toy_config
from xactor_jax.actor.model import ActorModel, make_guide
from xactor_jax.actor.network import Conditions
from xactor_jax.actor.objective import keep_all
from xactor_jax.actor.program import schedule_of
from xactor_jax.actor.rollout import HISTORY, INITIAL
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
    if config.network.bidirectional_window:
        config.objective.noise_levels.update(independent_per_chunk=0.0, sampling_schedule=1.0)
    config.diffusion.shift = 1.0
    task = ActorTask.from_config(config)
    return task.model, random_variables(task)


def level(settings: RolloutSettings, age: int) -> float:
    """The history schedules, written out."""
    falling = settings.history_level * settings.history_decay**age
    return {
        "geometric": falling if falling >= 1e-3 else 0.0,
        "linear": settings.history_level * max(0.0, 1 - age / settings.history_span),
        "constant": settings.history_level,
        "none": 0.0,
    }[settings.history]


class Uncached:
    """The reference: everything back to `oldest` chunks ago is shown to the training network at each step.

    Frames are laid out as [margin, finished, in flight]; the margin holds those in flight that come from before the beginning.
    """

    def __init__(self, model: ActorModel, params, guide, noise, settings: RolloutSettings, audio: np.ndarray, oldest: int):
        self.settings, self.schedule, self.guide, self.oldest = settings, schedule_of(settings, model.network), guide, oldest
        self.margin = (self.schedule.active - self.schedule.advance) * CHUNK
        self.room = self.margin + (oldest + self.schedule.active) * CHUNK
        self.audio = np.pad(audio, [(0, 0), (self.margin + RADIUS, self.room), (0, 0)], mode="edge")
        self.noise = jax.jit(noise, static_argnums=2)
        self.steps = jax.jit(partial(self._steps, model, params))

    def call(self, finished: np.ndarray, flying: np.ndarray, position: int) -> np.ndarray:
        """The chunks in flight after one call, from those before it."""
        start = max(0, position - self.oldest) * CHUNK
        history = finished[:, start:]
        chunks = start // CHUNK + np.arange(self.oldest)
        t = np.repeat([level(self.settings, max(0, position - 1 - c)) for c in chunks], CHUNK)[: history.shape[1]]
        eps = np.asarray(self.noise(self.guide.keys, jnp.asarray(chunks), HISTORY))[:, : history.shape[1]]
        x, levels = np.zeros((BATCH, self.room, DIM), np.float32), np.zeros(self.room, np.float32)
        inside = slice(self.margin, self.margin + history.shape[1])
        x[:, inside] = np.cos(np.pi * t / 2)[:, None] * history + np.sin(np.pi * t / 2)[:, None] * eps
        levels[inside] = t
        audio = self.audio[:, start : start + self.room + 2 * RADIUS]
        return np.asarray(self.steps(x, levels, flying, self.margin + position * CHUNK - start, audio))

    def _steps(self, model: ActorModel, params, x, levels, flying, place, audio):
        conditions = Conditions(audio, self.guide.reference, frames_of(None, BATCH, 0, self.room))
        valid = jnp.broadcast_to(jnp.arange(self.room) >= self.margin, x.shape[:2])
        flies = (jnp.arange(self.room) >= place) & (jnp.arange(self.room) < place + flying.shape[1])
        in_flight = jnp.broadcast_to(flies, x.shape[:2])

        def step(flying, row):
            t, s = row
            shown = jax.lax.dynamic_update_slice_in_dim(x, flying, place, axis=1)
            all_levels = jnp.broadcast_to(jax.lax.dynamic_update_slice_in_dim(levels, t, place, axis=0), x.shape[:2])
            arguments = shown, all_levels, conditions, keep_all(BATCH), valid, in_flight
            answer = model.network.apply({"params": params}, *arguments)
            prediction = jax.lax.dynamic_slice_in_dim(answer.prediction, place, flying.shape[1], axis=1)
            tokens = [jnp.broadcast_to(v, flying.shape[:2]) for v in (t, s)]
            return jnp.where((t != s)[:, None], ddim_step(model.process, flying, prediction, *tokens), flying), None

        rows = np.float32(np.repeat(self.schedule.levels, CHUNK, axis=1))
        return jax.lax.scan(step, flying, (rows[:-1], rows[1:]))[0]


def largest_difference(frames: int, settings: dict, network: dict, oldest: int | None) -> float:
    """Over all calls of a rollout, each starting from what the rollout with a memory has made so far."""
    model, variables = actor(**network)
    settings = RolloutSettings(audio_guidance=1.0, **settings)
    window, schedule = model.window(settings), schedule_of(settings, model.network)
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((BATCH, frames, AUDIO)).astype(np.float32)
    guide = make_guide(variables, jax.random.key(5), rng.standard_normal((BATCH, DIM)).astype(np.float32))
    uncached = Uncached(model, variables.params, guide, window.noise, settings, audio, oldest or frames // CHUNK)
    state = _start(window, guide, audio[:, :RADIUS], audio[:, 0])
    unknown, finished, worst = frames_of(None, BATCH, 0, window.stride), np.zeros((BATCH, 0, DIM), np.float32), 0.0
    for call in range(frames // window.stride):
        piece = audio[:, RADIUS + call * window.stride :][:, : window.stride]
        piece = np.pad(piece, [(0, 0), (0, window.stride - piece.shape[1]), (0, 0)], mode="edge")
        position = (call + 1) * schedule.advance - schedule.active
        fresh = jnp.arange(schedule.advance) + position + schedule.active - schedule.advance
        entering = np.asarray(uncached.noise(guide.keys, fresh, INITIAL))
        flying = np.concatenate([np.asarray(state.frames.latents)[:, window.recent + window.stride :], entering], axis=1)
        state, out = _advance(window, guide, state, piece, unknown)
        after = np.asarray(state.frames.latents)[:, window.recent :]
        known = max(0, -position) * CHUNK
        worst = max(worst, np.abs(after - uncached.call(finished, flying, position))[:, known:].max(initial=0.0))
        finished = np.concatenate([finished, out], axis=1) if position >= 0 else finished
    assert finished.std() > 0.3
    return worst


SLOW = pytest.mark.slow  # those of the same test without it are quick


@pytest.mark.parametrize(
    ("schedule", "frames"), [("autoregressive", 500), *(pytest.param(name, 2000, marks=SLOW) for name in SCHEDULES)]
)
def test_a_long_rollout_equals_one_that_reads_its_past_again(schedule: str, frames: int) -> None:
    oldest = DEPTH * CONTEXT // CHUNK + 3 + 3  # all that two layers of context can reach, from history that is read again
    assert largest_difference(frames, SCHEDULES[schedule] | HISTORIES["geometric"], {}, oldest) < 1e-5


@pytest.mark.parametrize(
    ("network", "history"),
    [
        ({"sink_chunk": True}, "linear"),
        pytest.param({"look_ahead": 2}, "constant", marks=SLOW),
        pytest.param({"audio_memory": 25}, "geometric", marks=SLOW),
        pytest.param({"context": 30, "sink_chunk": True, "look_ahead": 0}, "none", marks=SLOW),
    ],
)
def test_sinks_look_ahead_and_other_history_schedules_equal_it_as_well(network: dict, history: str) -> None:
    ends_early = {"history_span": 2}  # so that a short context holds all of the noise
    assert largest_difference(120, SCHEDULES["autoregressive"] | HISTORIES[history] | ends_early, network, None) < 1e-5


@pytest.mark.parametrize("history", ["geometric", pytest.param("none", marks=SLOW)])
def test_chunks_in_flight_attend_in_both_directions_as_in_training(history: str) -> None:
    network = {"bidirectional_window": True}
    assert largest_difference(120, SCHEDULES["pyramid"] | HISTORIES[history], network, None) < 1e-5


@pytest.mark.parametrize("stays", [False, True])
def test_the_first_chunk_is_always_seen_if_it_is_a_sink(stays: bool) -> None:
    """Changing what is kept of it changes what is said of chunks whose context has left it, and of no others."""
    model, variables = actor(sink_chunk=stays)
    guide = make_guide(variables, jax.random.key(5), jnp.zeros((1, DIM)))
    window = model.window(RolloutSettings(steps=2, history="none", audio_guidance=1.0))
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
            model.window(RolloutSettings(**wrong))
