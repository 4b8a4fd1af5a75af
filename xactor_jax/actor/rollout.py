"""Sampling motion of unbounded length: a window moves over the recording and caches keys and values of the past.

The window holds finished chunks (history), followed by A chunks in flight. One call of `advance`

(1)  moves the window by the chunks that the last call finished, and appends as many chunks of noise, τ ε, ε ~ N(0, I); τ, the
     temperature, is 1 in training;
(2)  adds noise to recent history: x_k = alpha(k) x_0 + sigma(k) eps, or without the noise term ("scale"); the level k falls
     with age. The network reads these chunks, and their keys and values are written into the memory;
(3)  calls the network on the chunks in flight for each row m of the scheduling matrix. They attend to the memory. Frames whose
     level changes take a step from K[m] to K[m + 1];
(4)  outputs the first chunks in flight, which are now clean.

A chunk must be read again while its own level, or that of an earlier chunk, still changes. After that its keys and values are
*settled*: they stay cached, first in, first out, until they leave the context. Let n be the first age from which the level is
constant, and d the number of chunks that a call outputs. Then (2) reads n + d chunks. The memory holds W more settled chunks,
because the oldest chunk that is read attends to as many. So the result equals that of reading the whole past again, at a cost
that does not grow.

Keys are cached before their rotation, and positions are counted from the start of each call's memory, so that positions stay in
the range of training. All shapes are independent of the length, so there is one compilation. Settings that change only numbers
(guidance scales, levels) share a compiled program. Chunks before the beginning are masked out. All randomness of chunk n comes
from fold_in(key of the example, n), in whichever call it is drawn.

What the settings come to for a network is in program.py; matrices and levels are in `xactor_jax.diffusion.scheduling`.
(2): Chen et al. 2024 (2407.01392), stabilisation, and X-Actor (2508.02944), monotonically decreasing noise over the
historical motion context.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from xactor_jax.actor.network import ActorNetwork, Conditions, Keep, Memory
from xactor_jax.actor.program import Numbers, Structure, planned
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import weighted
from xactor_jax.diffusion.steppers import take_step
from xactor_jax.emotion import Emotion, frames_of
from xactor_jax.layers.attention import KeyValue, cut, joined
from xactor_jax.variables import Tree, applied

INITIAL, HISTORY, STEP = range(3)
"""Uses of a chunk's randomness: initial noise, noise added to it as history, noise of stochastic steps (STEP and above)."""


class Frames(NamedTuple):
    """Data of the frames of recent history and of the frames in flight."""

    latents: Float[Array, "batch frames dim"]
    audio: Float[Array, "batch wide features"]
    """With `audio_before` more frames before them and `audio_radius` more after them."""
    emotion: Emotion
    """Labels and intensities [batch, frames]."""


class RolloutState(NamedTuple):
    """Everything that the next call needs from the past. Its size is constant."""

    position: Int[Array, ""]
    """Number of the first chunk in flight."""
    frames: Frames
    memory: Memory
    """Keys and values of the settled chunks, for each branch of guidance and each example: batch axis [branches × batch]."""


class Guide(NamedTuple):
    """Inputs that stay constant over a whole rollout."""

    params: Tree
    keys: Key[Array, "batch"]
    reference: Float[Array, "batch dim"]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["numbers"], meta_fields=["network", "process", "structure"])
@dataclasses.dataclass(frozen=True)
class Window:
    """The moving window of one network. It is a pytree of its numbers, so `jax.jit` compiles once for each structure."""

    network: ActorNetwork
    process: GaussianProcess
    structure: Structure
    numbers: Numbers

    @classmethod
    def of(cls, network: ActorNetwork, process: GaussianProcess, settings: RolloutSettings) -> Window:
        """Under the given settings. Raises `UserError` where they do not fit the network."""
        return cls(network, process, *planned(network, settings))

    @property
    def context(self) -> int:
        """W, the number of chunks of context."""
        return self.network.context // self.network.chunk

    @property
    def stride(self) -> int:
        """Frames that enter and leave the window in each call."""
        return self.structure.advance * self.network.chunk

    @property
    def recent(self) -> int:
        """Frames of recent history, which each call reads."""
        return self.structure.read * self.network.chunk

    @property
    def delay(self) -> int:
        """Frames of output before the first real frame; they lie before the beginning and are dropped."""
        return (self.structure.active - self.structure.advance) * self.network.chunk

    @property
    def steps(self) -> int:
        """Steps of each call: the rows of the scheduling matrix minus one."""
        return len(self.numbers.levels) - 1

    @property
    def needed(self) -> int:
        """Frames of audio that must have arrived before the first frame is output."""
        return self.network.audio_radius + (1 + self.delay // self.stride) * self.stride

    def initial_state(
        self, guide: Guide, audio: Float[Array, "batch radius features"], first: Float[Array, "batch features"]
    ) -> RolloutState:
        """State before the first call. `audio`: the first `audio_radius` frames; `first`: the first, for all before it."""
        batch, _, features = audio.shape
        count = self.recent + self.structure.active * self.network.chunk
        before = jnp.broadcast_to(first[:, None], (batch, self.network.audio_before + count, features))
        frames = Frames(
            latents=jnp.zeros((batch, count, self.network.latent_dim)),
            audio=jnp.concatenate([before, audio], axis=1),
            emotion=frames_of(None, batch, 0, count),
        )
        return RolloutState(jnp.int32(-self.structure.active), frames, self.empty_memory(guide))

    def empty_memory(self, guide: Guide) -> Memory:
        """A memory with the reference token, and zeros in the slots of the first chunk and of the context."""
        keep = self.keep(len(guide.reference)).reference
        memory = applied(self.network, guide.params, self.tiled(guide.reference), keep, method="remembered")
        room = lambda frames: KeyValue(*(jnp.zeros((*x.shape[:2], frames, *x.shape[3:]), x.dtype) for x in memory.past))
        return memory._replace(first=room(self.network.first_frames), past=room(self.context * self.network.chunk))

    def advance(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Emotion,
    ) -> tuple[RolloutState, Float[Array, "batch stride dim"]]:
        """One call, steps 1 to 4. `emotion` belongs to the entering frames; `audio` is `audio_radius` frames ahead of them."""
        position, frames = self.moved(guide, state, audio, emotion)
        kept = joined(state.memory.past, self.written(guide, position, frames, state.memory))
        first = self.first_chunk(position, kept, state.memory.first)
        memory = Memory(state.memory.reference, first, cut(kept, self.recent, kept.key.shape[-3]))
        done = self.denoised(guide, position, frames, memory)
        frames = frames._replace(latents=jnp.concatenate([frames.latents[:, : self.recent], done], axis=1))
        settled = cut(kept, self.stride, self.stride + self.context * self.network.chunk)
        return RolloutState(position, frames, memory._replace(past=settled)), done[:, : self.stride]

    def moved(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Emotion,
    ) -> tuple[Int[Array, ""], Frames]:
        """Moves the window and appends noise (step 1). Returns the number of the first chunk in flight and the frames."""
        advance = self.structure.advance
        position = state.position + advance
        fresh = position + self.structure.active - advance + jnp.arange(advance)
        entering = Frames(jnp.asarray(self.numbers.temperature) * self.noise(guide.keys, fresh, INITIAL), audio, emotion)
        shifted = lambda old, new: jnp.concatenate([old[:, self.stride :], new], axis=1)
        return position, jax.tree.map(shifted, state.frames, entering)

    def written(self, guide: Guide, position: Int[Array, ""], frames: Frames, memory: Memory) -> KeyValue:
        """Keys and values of recent history in every branch (step 2)."""
        levels, read = jnp.asarray(self.numbers.history), self.structure.read
        start = position - read
        eps = self.noise(guide.keys, start + jnp.arange(read), HISTORY)
        eps = eps if self.structure.history_noise else jnp.zeros_like(eps)
        x0 = frames.latents[:, : self.recent]
        presented = [self.process.add_noise(x0, eps, jnp.broadcast_to(level, x0.shape[:2])) for level in levels]
        t = jnp.repeat(levels, len(x0), axis=0)
        conditions = self.conditions(guide, frames, 0, self.recent)
        arguments = jnp.concatenate(presented), t, conditions, self.keep(len(x0)), start * self.network.chunk, memory
        return applied(self.network, guide.params, *arguments, method="continued")[1]

    def first_chunk(self, position: Int[Array, ""], kept: KeyValue, stored: KeyValue) -> KeyValue:
        """Keys and values of the first chunk: from `kept` while it is among them, later from `stored`."""
        if not self.network.sink_chunk:
            return stored
        chunk, past = self.network.chunk, self.context + self.structure.read
        slot = past - position
        there = (slot >= 0) & (slot < past)
        found = lambda x: jax.lax.dynamic_slice_in_dim(x, jnp.maximum(slot, 0) * chunk, chunk, axis=-3)
        return KeyValue(*(jnp.where(there, found(new), old) for new, old in zip(kept, stored, strict=True)))

    def denoised(
        self, guide: Guide, position: Int[Array, ""], frames: Frames, memory: Memory
    ) -> Float[Array, "batch active dim"]:
        """Denoises the chunks in flight through all rows of the scheduling matrix (step 3)."""
        how, levels = self.structure, jnp.asarray(self.numbers.levels)
        eta = self.numbers.eta if how.stochastic else 0.0
        chunks, conditions = position + jnp.arange(how.active), self.conditions(guide, frames, self.recent, None)
        predict = lambda x, t: self.guided(guide, position, x, t, conditions, memory)

        def row(x: jax.Array, m: jax.Array) -> tuple[jax.Array, None]:
            t, s = (jnp.broadcast_to(levels[m + i], x.shape[:2]) for i in (0, 1))
            noise = self.noise(guide.keys, chunks, self.step_uses(m)) if how.stochastic else None
            stepped = take_step(how.stepper, self.process, predict, x, t, s, eta=eta, noise=noise)
            return jnp.where((t != s)[..., None], stepped, x), None

        return jax.lax.scan(row, frames.latents[:, self.recent :], jnp.arange(self.steps))[0]

    def step_uses(self, m: Int[Array, ""]) -> Int[Array, "active"]:
        """A unique use of randomness for each chunk at row m: the number of steps since the chunk entered the window."""
        active, advance = self.structure.active, self.structure.advance
        return STEP + m + self.steps * ((active - 1 - jnp.arange(active)) // advance)

    def guided(
        self,
        guide: Guide,
        position: Int[Array, ""],
        x: Float[Array, "batch active dim"],
        t: Float[Array, "batch active"],
        conditions: Conditions,
        memory: Memory,
    ) -> Float[Array, "batch active dim"]:
        """The network's prediction under guidance; one batched call computes all branches."""
        arguments = self.tiled((x, t)), conditions, self.keep(len(x)), position * self.network.chunk, memory
        continued = functools.partial(applied, self.network, guide.params, method="continued", in_flight=True)
        out, _ = continued(*arguments[0], *arguments[1:])
        return weighted(jnp.split(out, self.structure.branches), jnp.asarray(self.numbers.weights, out.dtype))

    def conditions(self, guide: Guide, frames: Frames, start: int, stop: int | None) -> Conditions:
        """Conditions of the frames from `start` to `stop` (exclusive), for every branch."""
        stop = frames.latents.shape[1] if stop is None else stop
        audio = frames.audio[:, start : stop + self.network.audio_before + self.network.audio_radius]
        return self.tiled(Conditions(audio, guide.reference, Emotion(*(x[:, start:stop] for x in frames.emotion))))

    def keep(self, batch: int) -> Keep:
        """Which conditions each branch uses, repeated for the examples of a batch."""
        return Keep(*jnp.repeat(jnp.asarray(self.numbers.shown), batch, axis=1))

    def tiled(self, tree: Tree) -> Tree:
        """Repeats arrays for every branch along the batch axis."""
        count = self.structure.branches
        return jax.tree.map(lambda a: jnp.tile(a, (count,) + (1,) * (a.ndim - 1)), tree)

    def noise(
        self, keys: Key[Array, "batch"], chunks: Int[Array, "chunks"], use: int | Int[Array, "chunks"]
    ) -> Float[Array, "batch frames dim"]:
        """Unit Gaussian noise of the given chunks for one use."""
        shape = (self.network.chunk, self.network.latent_dim)
        uses = jnp.broadcast_to(jnp.asarray(use, jnp.int32), chunks.shape)
        one = lambda key, chunk, use: jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, chunk), use), shape)
        drawn = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))(keys, chunks, uses)
        return drawn.reshape(len(keys), -1, self.network.latent_dim)
