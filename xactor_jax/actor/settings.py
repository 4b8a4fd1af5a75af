"""How motion is sampled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from xactor_jax.actor.branches import Branch, weighted_branches
from xactor_jax.diffusion.scheduling import HISTORY_LAWS, SCHEDULES
from xactor_jax.diffusion.steppers import STEPPERS
from xactor_jax.errors import UserError

HISTORY_NOISE = ("noise", "scale")
"""Whether history carries noise of its level, or is only scaled down and said to be at it."""

CHOICES = {"schedule": SCHEDULES, "history": HISTORY_LAWS, "history_noise": HISTORY_NOISE, "stepper": STEPPERS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How motion is sampled; hashable."""

    steps: int = 16
    """Steps from noise to motion, for each chunk."""
    stepper: str = "ddim"
    """ddim, ancestral, euler or heun (two network calls a step)."""
    eta: float = 0.0
    """Of ddim: 0 is deterministic, 1 ancestral."""
    schedule: str = "autoregressive"
    """autoregressive, pyramid or full_sequence."""
    offset: int = 4
    """Of the pyramid: steps between a chunk and the next."""
    chunks: int = 0
    """Of the full sequence: chunks denoised together; 0: as many as the context."""
    context: int = 0
    """Frames of past that a chunk sees, at most as many as in training; 0: as many."""
    use_reference: bool = True
    """Whether the network is shown the reference motion; else only speech and its own history say how it goes on."""
    audio_guidance: float = 1.5
    """Guidance scale; 1: the conditional prediction alone."""
    emotion_guidance: float = 1.0
    nested_guidance: bool = False
    """Whether emotion guides what audio has guided, (2) of `xactor_jax.actor.branches`, or each by itself, (1)."""
    history_guidance: float = 1.0
    history_fraction: float = 0.0
    """0: vanilla history guidance; else the noise level of the history that guides."""
    history: str = "geometric"
    """How the noise level of finished history goes with its age: constant, geometric, linear or none."""
    history_level: float = 0.05
    """Noise level (time in [0, 1]) at which the youngest finished chunk is presented; 0 presents history as clean."""
    history_decay: float = 0.5
    """Of the geometric law: factor by which that level falls with every chunk of age."""
    history_span: int = 4
    """Of the linear law: chunks after which the level is 0."""
    history_noise: str = "noise"
    """noise or scale, as in `HISTORY_NOISE`."""

    def __post_init__(self) -> None:
        for kind, names in CHOICES.items():
            if getattr(self, kind) not in names:
                raise UserError(f"there is no {kind} {getattr(self, kind)!r}: choose one of {', '.join(names)}")
        if self.steps < 1:
            raise UserError(f"{self.steps} sampling steps are too few: take at least 1")
        if self.schedule == "pyramid" and not 1 <= self.offset <= self.steps:
            raise UserError(f"a pyramid offset of {self.offset} does not fit {self.steps} steps: choose from 1 to {self.steps}")
        if not all(0.0 <= x < 1.0 for x in (self.history_level, self.history_fraction)) or not 0.0 <= self.history_decay <= 1.0:
            raise UserError("the history's noise level and fraction must lie in [0, 1) and its decay in [0, 1]")
        if not 0.0 <= self.eta <= 1.0 or (self.eta and self.stepper != "ddim"):
            raise UserError(f"eta {self.eta} with {self.stepper} steps makes no sense: it is of ddim alone, from 0 to 1")
        if self.history_span < 1:
            raise UserError(f"a history span of {self.history_span} chunks is too short: take at least 1")

    @property
    def branches(self) -> dict[Branch, float]:
        """What the network is asked at each step, and how the answers are weighed."""
        return weighted_branches(
            self.audio_guidance,
            self.emotion_guidance,
            self.history_guidance,
            nested=self.nested_guidance,
            fraction=self.history_fraction,
        )


def parse_changes(settings: Iterable[str], defaults: Any = RolloutSettings(), what: str = "the rollout") -> dict[str, Any]:
    """KEY=VALUE as fields of the dataclass of `defaults`, of the types that they have there; `what` has these settings.

    Raises:
        UserError: there is no such setting, or the value is of another type.
    """
    known, changes = dataclasses.asdict(defaults), {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in known:
            raise UserError(f"there is no setting {key!r} of {what}: choose one of {', '.join(known)}")
        kind = type(known[key])
        try:
            changes[key] = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            raise UserError(f"{key} must be of type {kind.__name__}, not {value!r}") from None
    return changes
