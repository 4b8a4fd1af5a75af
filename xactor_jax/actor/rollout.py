"""Sampling motion of unbounded length: a window that moves over the recording, and keeps what it has read.

Chunks are finished history, or A of them in flight. One call of `advance`

(1)  moves the window by the chunks that the last call finished, and appends as many of pure noise;
(2)  presents young history at its level: x_k = alpha(k) x_0 + sigma(k) eps, or without the noise term ("scale"), k falling
     with age, and has the network read it: its keys and values are written into the memory;
(3)  for each row m of the scheduling matrix asks the network about the chunks in flight, which look back into the memory,
     and takes a step from K[m] to K[m + 1] on the frames whose level changes;
(4)  gives out the first chunks in flight, now clean.

A chunk of age a is written again only while its level, or that of one before it, still changes; then its keys and values are
*settled* and stay until the context has left them, first in, first out. With n the first age from which the level is the same
for ever, and d chunks given out by a call, (2) reads n + d chunks; those of W chunks more are settled, as the oldest that is
read looks back so far. So memory says exactly what reading all of the past anew would say, at a cost that does not grow.

Keys are kept from before their rotation, and positions are counted from the start of each call's memory: they stay where
training had them. Everything has one shape for every length, so it is compiled once; settings that differ in numbers alone, of
guidance and of levels, share a program. Chunks before the beginning are seen by none. All randomness of chunk n is
fold_in(example's key, n), whatever call it is drawn in.

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
from xactor_jax.variables import Tree

INITIAL, HISTORY, STEP = range(3)
"""What a chunk's randomness is used for: its first noise, the noise it shows as history, that of its stochastic steps."""


class Frames(NamedTuple):
    """What is known of the frames of young history and of those in flight."""

    latents: Float[Array, "batch frames dim"]
    audio: Float[Array, "batch wide features"]
    """With `audio_before` frames more before them and `audio_radius` after."""
    emotion: Emotion
    """[batch, frames]"""


class RolloutState(NamedTuple):
    """Everything the next call needs of the past; the same size for ever."""

    position: Int[Array, ""]
    """Number of the first chunk in flight."""
    frames: Frames
    memory: Memory
    """Of the settled chunks, for each branch of guidance and example: batch axis [branches × batch]."""


class Guide(NamedTuple):
    """What stays the same over a whole rollout."""

    params: Tree
    keys: Key[Array, "batch"]
    reference: Float[Array, "batch dim"]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["numbers"], meta_fields=["network", "process", "structure"])
@dataclasses.dataclass(frozen=True)
class Window:
    """The moving window of one network; a pytree of its numbers, so that `jax.jit` compiles once for all of one structure."""

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
        """W, in chunks."""
        return self.network.context // self.network.chunk

    @property
    def stride(self) -> int:
        """Frames that one call takes in and gives out."""
        return self.structure.advance * self.network.chunk

    @property
    def young(self) -> int:
        """Frames of history that each call reads."""
        return self.structure.read * self.network.chunk

    @property
    def delay(self) -> int:
        """Frames given out before the first that counts."""
        return (self.structure.active - self.structure.advance) * self.network.chunk

    @property
    def steps(self) -> int:
        """Rows of the matrix less one: steps of each call."""
        return len(self.numbers.levels) - 1

    @property
    def needed(self) -> int:
        """Frames of audio that must have arrived before the first frame is given out."""
        return self.network.audio_radius + (1 + self.delay // self.stride) * self.stride

    def initial_state(
        self, guide: Guide, audio: Float[Array, "batch radius features"], first: Float[Array, "batch features"]
    ) -> RolloutState:
        """Before the first call: `audio` is the first `audio_radius` frames, `first` the first, standing for all before."""
        batch, _, features = audio.shape
        count = self.young + self.structure.active * self.network.chunk
        before = jnp.broadcast_to(first[:, None], (batch, self.network.audio_before + count, features))
        frames = Frames(
            latents=jnp.zeros((batch, count, self.network.latent_dim)),
            audio=jnp.concatenate([before, audio], axis=1),
            emotion=frames_of(None, batch, 0, count),
        )
        return RolloutState(jnp.int32(-self.structure.active), frames, self.empty_memory(guide))

    def empty_memory(self, guide: Guide) -> Memory:
        """The reference, and room for the first chunk and for the context."""
        keep = self.keep(len(guide.reference)).reference
        memory = self.network.apply({"params": guide.params}, self.tiled(guide.reference), keep, method="remembered")
        room = lambda frames: KeyValue(*(jnp.zeros((*x.shape[:2], frames, *x.shape[3:]), x.dtype) for x in memory.past))
        return memory._replace(first=room(self.network.first_frames), past=room(self.context * self.network.chunk))

    def advance(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Emotion,
    ) -> tuple[RolloutState, Float[Array, "batch stride dim"]]:
        """One call, (1) to (4). `audio` runs `audio_radius` frames ahead of `emotion`, which is of the frames entering."""
        position, frames = self.moved(guide, state, audio, emotion)
        kept = joined(state.memory.past, self.written(guide, position, frames, state.memory))
        first = self.first_chunk(position, kept, state.memory.first)
        memory = Memory(state.memory.reference, first, cut(kept, self.young, kept.key.shape[-3]))
        done = self.denoised(guide, position, frames, memory)
        frames = frames._replace(latents=jnp.concatenate([frames.latents[:, : self.young], done], axis=1))
        settled = cut(kept, self.stride, self.stride + self.context * self.network.chunk)
        return RolloutState(position, frames, memory._replace(past=settled)), done[:, : self.stride]

    def moved(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Emotion,
    ) -> tuple[Int[Array, ""], Frames]:
        """(1)."""
        advance = self.structure.advance
        position = state.position + advance
        fresh = position + self.structure.active - advance + jnp.arange(advance)
        entering = Frames(self.noise(guide.keys, fresh, INITIAL), audio, emotion)
        shifted = lambda old, new: jnp.concatenate([old[:, self.stride :], new], axis=1)
        return position, jax.tree.map(shifted, state.frames, entering)

    def written(self, guide: Guide, position: Int[Array, ""], frames: Frames, memory: Memory) -> KeyValue:
        """(2): keys and values of young history, in every branch."""
        levels, read = jnp.asarray(self.numbers.history), self.structure.read
        start = position - read
        eps = self.noise(guide.keys, start + jnp.arange(read), HISTORY)
        eps = eps if self.structure.history_noise else jnp.zeros_like(eps)
        x0 = frames.latents[:, : self.young]
        presented = [self.process.add_noise(x0, eps, jnp.broadcast_to(level, x0.shape[:2])) for level in levels]
        t = jnp.repeat(levels, len(x0), axis=0)
        conditions = self.conditions(guide, frames, 0, self.young)
        arguments = jnp.concatenate(presented), t, conditions, self.keep(len(x0)), start * self.network.chunk, memory
        return self.network.apply({"params": guide.params}, *arguments, method="continued")[1]

    def first_chunk(self, position: Int[Array, ""], kept: KeyValue, stored: KeyValue) -> KeyValue:
        """The first chunk's keys and values: where they are among the kept ones from there, else as they were stored."""
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
        """(3)."""
        how, levels = self.structure, jnp.asarray(self.numbers.levels)
        eta = self.numbers.eta if how.stochastic else 0.0
        chunks, conditions = position + jnp.arange(how.active), self.conditions(guide, frames, self.young, None)
        predict = lambda x, t: self.guided(guide, position, x, t, conditions, memory)

        def row(x: jax.Array, m: jax.Array) -> tuple[jax.Array, None]:
            t, s = (jnp.broadcast_to(levels[m + i], x.shape[:2]) for i in (0, 1))
            noise = self.noise(guide.keys, chunks, self.step_uses(m)) if how.stochastic else None
            stepped = take_step(how.stepper, self.process, predict, x, t, s, eta=eta, noise=noise)
            return jnp.where((t != s)[..., None], stepped, x), None

        return jax.lax.scan(row, frames.latents[:, self.young :], jnp.arange(self.steps))[0]

    def step_uses(self, m: Int[Array, ""]) -> Int[Array, "active"]:
        """A use of randomness for each chunk at row m that no other of its steps has: the steps since it entered."""
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
        """The network's prediction under guidance, all branches in one batched call."""
        arguments = self.tiled((x, t)), conditions, self.keep(len(x)), position * self.network.chunk, memory
        out, _ = self.network.apply({"params": guide.params}, *arguments[0], *arguments[1:], method="continued")
        return weighted(jnp.split(out, self.structure.branches), jnp.asarray(self.numbers.weights, out.dtype))

    def conditions(self, guide: Guide, frames: Frames, start: int, stop: int | None) -> Conditions:
        """Those of the frames from `start` to before `stop`, for every branch."""
        stop = frames.latents.shape[1] if stop is None else stop
        audio = frames.audio[:, start : stop + self.network.audio_before + self.network.audio_radius]
        return self.tiled(Conditions(audio, guide.reference, Emotion(*(x[:, start:stop] for x in frames.emotion))))

    def keep(self, batch: int) -> Keep:
        """Which conditions each branch is shown."""
        return Keep(*(jnp.repeat(jnp.asarray(flags), batch) for flags in self.numbers.shown))

    def tiled(self, tree: Tree) -> Tree:
        """The same for every branch."""
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
