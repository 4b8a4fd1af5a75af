"""What the settings of the network and of sampling may be, and how motion is sampled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from xactor_jax.actor.branches import Branch, weighted_branches
from xactor_jax.diffusion.guidance import GUIDANCE
from xactor_jax.diffusion.noise_levels import SAMPLERS
from xactor_jax.diffusion.scheduling import HISTORY_SCHEDULES, SCHEDULES
from xactor_jax.diffusion.steppers import STEPPERS
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS
from xactor_jax.settings import SHARE, Flag, Interval, check_fields, check_value, choice, ranges, real, setting, whole

HISTORY_NOISE = ("noise", "scale")
"""Whether history carries noise of its level, or is only scaled down and said to be at it."""

MOST_STEPS = 10_000
DECAY = Interval(0.0, 0.99, besides=(1.0,))
"""Between its two ends hundreds of chunks would differ in their noise, and be read again by every call."""
LEVEL = real(0.0, 1.0, below=True)
"""Of noise that leaves something of the motion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorNetworkSettings:
    """`config.network` of configs/actor.py: what the fields of `ActorNetwork`, and `audio_dim`, may be."""

    latent_dim: int = setting(allowed=whole(1))
    audio_dim: int = setting(allowed=whole(1))
    width: int = setting(allowed=whole(1))
    depth: int = setting(allowed=whole(1))
    heads: int = setting(allowed=whole(1))
    chunk: int = setting(allowed=whole(1))
    context: int = setting(allowed=whole(0))
    audio_radius: int = setting(allowed=whole(0))
    audio_memory: int = setting(allowed=whole(0))
    emotions: int = setting(allowed=whole(1, len(EMOTIONS)))
    mlp_ratio: int = setting(allowed=whole(1))
    look_ahead: int = setting(allowed=whole(-1))
    scan_layers: bool = setting(allowed=Flag())
    sink_chunk: bool = setting(allowed=Flag())


NoiseLevelWeights = dataclasses.make_dataclass(
    "NoiseLevelWeights", [(name, float, setting(allowed=real(0.0))) for name in SAMPLERS], frozen=True
)
"""`config.objective.noise_levels`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How motion is sampled; hashable."""

    steps: int = setting(16, whole(1, MOST_STEPS))
    """Steps from noise to motion, for each chunk."""
    stepper: str = setting("ddim", choice(STEPPERS))
    """ddim, ancestral, euler or heun (two network calls a step)."""
    eta: float = setting(0.0, SHARE)
    """Of ddim: 0 is deterministic, 1 ancestral."""
    schedule: str = setting("autoregressive", choice(SCHEDULES))
    """autoregressive, pyramid or full_sequence."""
    offset: int = setting(4, whole(1, MOST_STEPS))
    """Of the pyramid: steps between a chunk and the next."""
    chunks: int = setting(0, whole(0, 1_000))
    """Of the full sequence: chunks denoised together; 0: as many as the context."""
    context: int = setting(0, whole(0))
    """Frames of past that a chunk sees, at most as many as in training; 0: as many."""
    use_reference: bool = setting(True, Flag())
    """Whether the network is shown the reference motion; else only speech and its own history say how it goes on."""
    audio_guidance: float = setting(1.5, GUIDANCE)
    """Guidance scale; 1: the conditional prediction alone."""
    emotion_guidance: float = setting(1.0, GUIDANCE)
    nested_guidance: bool = setting(False, Flag())
    """Whether emotion guides what audio has guided, (2) of `xactor_jax.actor.branches`, or each by itself, (1)."""
    history_guidance: float = setting(1.0, GUIDANCE)
    history_fraction: float = setting(0.0, LEVEL)
    """0: vanilla history guidance; else the noise level of the history that guides."""
    history: str = setting("geometric", choice(HISTORY_SCHEDULES))
    """How the noise level of finished history goes with its age: constant, geometric, linear or none."""
    history_level: float = setting(0.05, LEVEL)
    """Noise level (time in [0, 1]) at which the youngest finished chunk is presented; 0 presents history as clean."""
    history_decay: float = setting(0.5, DECAY)
    """Of the geometric law: factor by which that level falls with every chunk of age."""
    history_span: int = setting(4, whole(1, 1_000))
    """Of the linear law: chunks after which the level is 0."""
    history_noise: str = setting("noise", choice(HISTORY_NOISE))
    """noise or scale, as in `HISTORY_NOISE`."""

    def __post_init__(self) -> None:
        check_fields(self, "rollout")
        if self.schedule == "pyramid" and self.offset > self.steps:
            raise UserError(f"a pyramid offset of {self.offset} does not fit {self.steps} steps: choose from 1 to {self.steps}")
        if self.eta and self.stepper != "ddim":
            raise UserError(f"eta {self.eta} with {self.stepper} steps makes no sense: it is of ddim alone")

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
        UserError: there is no such setting, or the value is of another type or out of its range.
    """
    known, allowed, changes = dataclasses.asdict(defaults), ranges(type(defaults)), {}
    for text in settings:
        key, _, value = text.partition("=")
        if key not in known:
            raise UserError(f"there is no setting {key!r} of {what}: choose one of {', '.join(known)}")
        kind = type(known[key])
        try:
            changes[key] = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            raise UserError(f"{key} must be of type {kind.__name__}, not {value!r}") from None
        if key in allowed:
            check_value(key, changes[key], allowed[key])
    return changes
