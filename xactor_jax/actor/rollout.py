"""Sampling motion of unbounded length: one window that moves over the recording.

The window holds H chunks of finished history, then A chunks in flight. One call of `advance`

(1)  moves the window by the chunks that the last call finished, and appends as many of pure noise;
(2)  presents history at its small level: x_k = alpha(k) x_0 + sigma(k) eps, or without the noise term ("scale");
(3)  for each row m of the scheduling matrix asks the network once for the whole window and takes a DDIM step from K[m] to
     K[m + 1] on the frames whose level changes;
(4)  gives out the first chunks in flight, now clean.

It has one shape for every length, so it is compiled once, and its cost and memory do not grow. Chunks before the beginning
are not valid: none sees them. All randomness of chunk n is fold_in(example's key, n), whatever the window it is seen in.
Matrices: `xactor_jax.diffusion.scheduling`; (2): Chen et al. 2024 (2407.01392), stabilisation.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from xactor_jax.actor.network import ActorNetwork, Conditions, Keep
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.diffusion.guidance import combined
from xactor_jax.diffusion.scheduling import SCHEDULES, WindowSchedule, history_levels, per_frame, window_schedule
from xactor_jax.diffusion.steppers import ddim_step
from xactor_jax.errors import UserError
from xactor_jax.labels import UNKNOWN_EMOTION
from xactor_jax.training.task import Tree

INITIAL, HISTORY, STEP = range(3)
"""What a chunk's randomness is used for: its first noise, the noise it shows as history, that of its stochastic steps."""


HISTORY_NOISE = ("noise", "scale")
"""Whether history carries noise of its level, or is only scaled down and said to be at it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How motion is sampled."""

    steps: int = 16
    """Network calls from noise to motion, for each chunk."""
    schedule: str = "autoregressive"
    """autoregressive, pyramid or full_sequence."""
    offset: int = 4
    """Of the pyramid: network calls between a chunk and the next."""
    chunks: int = 0
    """Of the full sequence: chunks denoised together; 0: as many as the context."""
    audio_guidance: float = 1.5
    emotion_guidance: float = 1.0
    history_level: float = 0.05
    """Noise level (time in [0, 1]) at which the youngest finished chunk is presented; 0 presents history as clean."""
    history_decay: float = 0.5
    """Factor by which that level falls with every chunk of age; 1 keeps it constant."""
    history_noise: str = "noise"
    """noise or scale, as in `HISTORY_NOISE`."""
    eta: float = 0.0
    """0: deterministic DDIM steps; 1: ancestral."""

    def __post_init__(self) -> None:
        for kind, names in (("schedule", SCHEDULES), ("history_noise", HISTORY_NOISE)):
            if getattr(self, kind) not in names:
                raise UserError(f"there is no {kind} {getattr(self, kind)!r}: choose one of {', '.join(names)}")
        if self.steps < 1:
            raise UserError(f"{self.steps} sampling steps are too few: take at least 1")
        if self.schedule == "pyramid" and not 1 <= self.offset <= self.steps:
            raise UserError(f"a pyramid offset of {self.offset} does not fit {self.steps} steps: choose from 1 to {self.steps}")
        if not 0.0 <= self.history_level < 1.0 or not 0.0 <= self.history_decay <= 1.0:
            raise UserError("the history's noise level must lie in [0, 1) and its decay in [0, 1]")


class RolloutState(NamedTuple):
    """The window after a call: everything the next one needs of the past, the same size for ever."""

    position: Int[Array, ""]
    """Number of the first chunk in flight."""
    latents: Float[Array, "batch frames dim"]
    audio: Float[Array, "batch wide features"]
    emotion: Int[Array, "batch frames"]


class Guide(NamedTuple):
    """What stays the same over a whole rollout."""

    params: Tree
    keys: Key[Array, "batch"]
    reference: Float[Array, "batch dim"]


@dataclasses.dataclass(frozen=True)
class Window:
    """The moving window of one network under one setting; hashable, so that `jax.jit` compiles each once."""

    network: ActorNetwork
    process: GaussianProcess
    settings: RolloutSettings

    @cached_property
    def history(self) -> int:
        """H, chunks."""
        return self.network.context // self.network.chunk

    @cached_property
    def schedule(self) -> WindowSchedule:
        """Of the chunks in flight."""
        s = self.settings
        return window_schedule(s.schedule, s.steps, offset=s.offset, chunks=s.chunks or self.history)

    @property
    def stride(self) -> int:
        """Frames that one call takes in and gives out."""
        return self.schedule.advance * self.network.chunk

    @property
    def frames(self) -> int:
        """Frames in the window."""
        return (self.history + self.schedule.active) * self.network.chunk

    @property
    def delay(self) -> int:
        """Frames given out before the first that counts."""
        return (self.schedule.active - self.schedule.advance) * self.network.chunk

    def levels(self) -> Float[np.ndarray, "rows frames"]:
        """The scheduling matrix of the whole window, per frame."""
        s = self.settings
        history = history_levels("geometric", self.history, s.history_level, s.history_decay)
        return per_frame(self.schedule.with_history(history), self.network.chunk)

    def initial_state(
        self, audio: Float[Array, "batch radius features"], first: Float[Array, "batch features"]
    ) -> RolloutState:
        """Before the first call: `audio` is the first `audio_radius` frames, `first` the first, standing for all before."""
        batch, radius, features = audio.shape
        before = jnp.broadcast_to(first[:, None], (batch, self.frames + radius, features))
        return RolloutState(
            position=jnp.int32(-self.schedule.active),
            latents=jnp.zeros((batch, self.frames, self.network.latent_dim)),
            audio=jnp.concatenate([before, audio], axis=1),
            emotion=jnp.full((batch, self.frames), UNKNOWN_EMOTION, jnp.int32),
        )

    def advance(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Int[Array, "batch stride"],
    ) -> tuple[RolloutState, Float[Array, "batch stride dim"]]:
        """One call, (1) to (4). `audio` runs `audio_radius` frames ahead of `emotion`, which is of the frames entering."""
        state = self.moved(guide, state, audio, emotion)
        chunks = state.position - self.history + jnp.arange(self.history + self.schedule.active)
        x = self.presented(guide, state.latents, chunks)
        denoised = self.denoised(guide, state, x, chunks)
        past = self.history * self.network.chunk
        latents = jnp.concatenate([state.latents[:, :past], denoised[:, past:]], axis=1)
        return state._replace(latents=latents), latents[:, past : past + self.stride]

    def moved(
        self,
        guide: Guide,
        state: RolloutState,
        audio: Float[Array, "batch stride features"],
        emotion: Int[Array, "batch stride"],
    ) -> RolloutState:
        """(1)."""
        position = state.position + self.schedule.advance
        fresh = position + self.schedule.active - self.schedule.advance + jnp.arange(self.schedule.advance)
        noise = self.noise(guide.keys, fresh, INITIAL)
        shifted = lambda old, new: jnp.concatenate([old[:, self.stride :], new], axis=1)
        return RolloutState(
            position, shifted(state.latents, noise), shifted(state.audio, audio), shifted(state.emotion, emotion)
        )

    def presented(
        self, guide: Guide, latents: Float[Array, "batch frames dim"], chunks: Int[Array, "chunks"]
    ) -> Float[Array, "batch frames dim"]:
        """(2): the window as the network is to see it."""
        past = self.history * self.network.chunk
        if past == 0 or self.settings.history_level == 0.0:
            return latents
        scale = 1.0 if self.settings.history_noise == "noise" else 0.0
        eps = scale * self.noise(guide.keys, chunks[: self.history], HISTORY)
        level = jnp.broadcast_to(jnp.asarray(self.levels()[0, :past], jnp.float32), eps.shape[:2])
        return jnp.concatenate([self.process.add_noise(latents[:, :past], eps, level), latents[:, past:]], axis=1)

    def denoised(
        self, guide: Guide, state: RolloutState, x: Float[Array, "batch frames dim"], chunks: Int[Array, "chunks"]
    ) -> Float[Array, "batch frames dim"]:
        """(3)."""
        levels = jnp.asarray(self.levels(), jnp.float32)
        valid = jnp.repeat(chunks >= 0, self.network.chunk)

        def row(x: jax.Array, m: jax.Array) -> tuple[jax.Array, None]:
            t, s = (jnp.broadcast_to(levels[m + i], x.shape[:2]) for i in (0, 1))
            prediction = self.guided(guide, state, x, t, jnp.broadcast_to(valid, x.shape[:2]))
            noise = self.noise(guide.keys, chunks, self.step_uses(m)) if self.settings.eta else None
            stepped = ddim_step(self.process, x, prediction, t, s, eta=self.settings.eta, noise=noise)
            return jnp.where((t != s)[..., None], stepped, x), None

        return jax.lax.scan(row, x, jnp.arange(len(levels) - 1))[0]

    def step_uses(self, m: Int[Array, ""]) -> Int[Array, "chunks"]:
        """A use of randomness for each chunk at row m that no other of its steps has: the steps since it entered."""
        rows, active = len(self.schedule.levels) - 1, self.schedule.active
        entered = active - 1 - jnp.arange(-self.history, active)
        return STEP + m + rows * (entered // self.schedule.advance)

    def guided(
        self,
        guide: Guide,
        state: RolloutState,
        x: Float[Array, "batch frames dim"],
        t: Float[Array, "batch frames"],
        valid: Bool[Array, "batch frames"],
    ) -> Float[Array, "batch frames dim"]:
        """The network's prediction under guidance, all branches in one batched call."""
        scales = (self.settings.audio_guidance, self.settings.emotion_guidance)
        dropped = [i for i, scale in enumerate(scales) if scale != 1.0]
        batch, branches = x.shape[0], 1 + len(dropped)
        shown = lambda i: jnp.repeat(jnp.array([True] + [i != d for d in dropped]), batch)
        tiled = lambda tree: jax.tree.map(lambda a: jnp.tile(a, (branches,) + (1,) * (a.ndim - 1)), tree)
        keep = Keep(audio=shown(0), reference=jnp.ones((batch * branches,), bool), emotion=shown(1))
        conditions = tiled(Conditions(state.audio, guide.reference, state.emotion))
        out = self.network.apply({"params": guide.params}, tiled(x), tiled(t), conditions, keep, tiled(valid))
        positive, *negatives = jnp.split(out, branches)
        return combined(positive, negatives, [scales[i] for i in dropped])

    def noise(
        self, keys: Key[Array, "batch"], chunks: Int[Array, "chunks"], use: int | Int[Array, "chunks"]
    ) -> Float[Array, "batch frames dim"]:
        """Unit Gaussian noise of the given chunks for one use."""
        shape = (self.network.chunk, self.network.latent_dim)
        uses = jnp.broadcast_to(jnp.asarray(use, jnp.int32), chunks.shape)
        one = lambda key, chunk, use: jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, chunk), use), shape)
        drawn = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))(keys, chunks, uses)
        return drawn.reshape(len(keys), -1, self.network.latent_dim)
