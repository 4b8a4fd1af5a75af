"""The settings of a rollout for one network, split into what is compiled (`Structure`) and numbers passed as arguments.

Settings that differ only in guidance scales and noise levels share one compiled window (rollout.py).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from xactor_jax.actor.network import ActorNetwork
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.diffusion.noise_levels import RolloutLevels
from xactor_jax.diffusion.scheduling import WindowSchedule, ages_that_change, history_levels, per_frame, window_schedule
from xactor_jax.diffusion.steppers import is_stochastic
from xactor_jax.errors import UserError


class Numbers(NamedTuple):
    """Arguments of a compiled window."""

    levels: Float[Array | np.ndarray, "rows_and_one active"]
    """K: the level of each frame in flight before and after every step."""
    history: Float[Array | np.ndarray, "branches recent"]
    """The level of each frame of recent history, in each branch."""
    shown: Bool[Array | np.ndarray, "conditions branches"]
    """Which conditions each branch uses, in the order of `Keep`."""
    weights: Float[Array | np.ndarray, "branches"]
    """Weights of the branches' predictions."""
    eta: Float[ArrayLike, ""]
    temperature: Float[ArrayLike, ""]
    """Standard deviation of the noise that a chunk starts from."""


@dataclasses.dataclass(frozen=True)
class Structure:
    """Settings that determine the compiled program and the sizes in `Numbers`. Lengths are in chunks."""

    active: int
    """A: chunks in flight."""
    advance: int
    """d: chunks that enter and leave the window in each call."""
    read: int
    """n + d: chunks of recent history that each call reads."""
    branches: int
    """Number of branches of guidance."""
    history_noise: bool
    """Whether noise is added to history; if not, it is only scaled."""
    stepper: str
    stochastic: bool


def planned(network: ActorNetwork, settings: RolloutSettings) -> tuple[Structure, Numbers]:
    """The structure and the numbers. Raises `UserError` if the settings do not fit the network."""
    schedule, branches, chunk = schedule_of(settings, network), settings.branches, network.chunk
    ages = ages_that_change(settings.history, settings.history_level, settings.history_decay, settings.history_span)
    structure = Structure(
        active=schedule.active,
        advance=schedule.advance,
        read=schedule.advance + ages,
        branches=len(branches),
        history_noise=settings.history_noise == "noise",
        stepper=settings.stepper,
        stochastic=is_stochastic(settings.stepper, settings.eta),
    )
    _check_sink(network, structure)
    numbers = Numbers(
        levels=np.asarray(per_frame(schedule.levels, chunk), np.float32),
        history=np.asarray(per_frame(_history(settings, structure.read), chunk), np.float32),
        shown=np.array([(b.audio, settings.use_reference, b.emotion) for b in branches]).T,
        weights=np.array([*branches.values()], np.float32),
        eta=np.float32(settings.eta),
        temperature=np.float32(settings.temperature),
    )
    return structure, numbers


def schedule_of(settings: RolloutSettings, network: ActorNetwork) -> WindowSchedule:
    """The schedule of the chunks in flight."""
    chunks = settings.chunks or max(1, network.context // network.chunk)
    return window_schedule(settings.schedule, settings.steps, offset=settings.offset, chunks=chunks)


def rollout_levels(settings: RolloutSettings, network: ActorNetwork) -> RolloutLevels:
    """Noise levels of the main branch, for training on the moments of a rollout."""
    rows, history = schedule_of(settings, network).levels, _history(settings, 1 + network.context // network.chunk)[0]
    return RolloutLevels(tuple(map(tuple, rows.tolist())), tuple(history[::-1].tolist()))


def _history(s: RolloutSettings, read: int) -> Float[np.ndarray, "branches read"]:
    """The level of each chunk of recent history, in each branch."""
    levels = history_levels(s.history, read, s.history_level, s.history_decay, s.history_span)
    return np.stack([levels if b.history is None else np.full(read, b.history) for b in s.branches])


def _check_sink(network: ActorNetwork, structure: Structure) -> None:
    """Raises `UserError` if the first chunk is a sink and more chunks are processed at once than the context allows."""
    together, context = max(structure.active, structure.read), network.context // network.chunk
    if network.sink_chunk and together > context + 1:
        raise UserError(
            f"{together} chunks at once do not fit a context of {context} whose first chunk stays: "
            "take fewer chunks, a larger offset or a history whose noise ends earlier"
        )
