"""The settings of the network, of noise levels in training, and of sampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from xactor_jax.actor.branches import Branch, weighted_branches
from xactor_jax.diffusion.guidance import GUIDANCE
from xactor_jax.diffusion.scheduling import HISTORY_SCHEDULES, SCHEDULES
from xactor_jax.diffusion.steppers import STEPPERS
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS
from xactor_jax.settings import SHARE, Flag, Interval, check_fields, check_value, choice, ranges, real, setting, whole

HISTORY_NOISE = ("noise", "scale")
"""Whether history carries noise of its level, or is only scaled down and said to be at it."""

MOST_STEPS = 10_000
DECAY = Interval(0.0, 0.99, extra=(1.0,))
"""Between its two ends hundreds of chunks would differ in their noise, and be read again by every call."""
LEVEL = real(0.0, 1.0, below=True)
"""Of noise that leaves something of the motion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorNetworkSettings:
    """`config.network` of configs/actor.py: the fields of `ActorNetwork`, and `audio_dim`."""

    latent_dim: int = setting(512, whole(1), "D, size of a motion latent: that of the motion stage")
    audio_dim: int = setting(320, whole(1), "A, size of a frame's audio features: 4 log-mel columns of 80 bands")
    width: int = setting(96, whole(1), "features of a token")
    depth: int = setting(3, whole(1), "transformer blocks")
    heads: int = setting(3, whole(1), "of every attention")
    chunk: int = setting(10, whole(1), "frames that share a noise level and see each other fully")
    context: int = setting(50, whole(0), "frames of past that a chunk sees, a multiple of chunk")
    audio_radius: int = setting(2, whole(0), "frames of audio on either side that a token attends to")
    audio_memory: int = setting(0, whole(0), "frames of past audio whose summary every token is given; 0: none")
    emotions: int = setting(
        len(EMOTIONS), whole(1, len(EMOTIONS)), "labels known, the first of xactor_jax.labels.EMOTIONS, beside unknown"
    )
    mlp_ratio: int = setting(4, whole(1), "width inside a block's MLP over width")
    look_ahead: int = setting(-1, whole(-1), "frames of its own chunk after itself that a frame sees; -1: the whole chunk")
    scan_layers: bool = setting(False, Flag(), "blocks as one loop of the compiled program")
    sink_chunk: bool = setting(False, Flag(), "whether the first chunk is seen for ever, when the context has left it behind")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseLevelWeights:
    """`config.objective.noise_levels`: how often levels are drawn in each way of `SAMPLERS`, relative to one another."""

    independent_per_chunk: float = setting(
        1.0, real(0.0), "how often every chunk has a noise level of its own, over the other ways"
    )
    monotone_per_chunk: float = setting(0.0, real(0.0), "the same, sorted: never falling from chunk to chunk")
    monotone_from_anchor: float = setting(0.0, real(0.0), "never falling, crowded towards 0 before a chunk and 1 after it")
    independent_per_token: float = setting(0.0, real(0.0), "every frame has its own")
    shared: float = setting(0.0, real(0.0), "one for the clip")
    teacher_forcing: float = setting(0.0, real(0.0), "one chunk noisy, all others clean: the ablation of diffusion forcing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """How motion is sampled; hashable."""

    steps: int = setting(12, whole(1, MOST_STEPS), "steps from noise to motion, for each chunk")
    stepper: str = setting("ddim", choice(STEPPERS), "how a step is taken; heun calls the network twice")
    eta: float = setting(0.0, SHARE, "of ddim: 0 is deterministic, 1 ancestral")
    schedule: str = setting("autoregressive", choice(SCHEDULES), "order in which chunks are denoised")
    offset: int = setting(4, whole(1, MOST_STEPS), "of the pyramid: steps between a chunk and the next")
    chunks: int = setting(0, whole(0, 1_000), "of full_sequence: chunks denoised together; 0: as many as the context holds")
    context: int = setting(
        0, whole(0), "frames of past that a chunk sees, a multiple of chunk up to network.context; 0: all of that"
    )
    use_reference: bool = setting(
        True, Flag(), "show the reference motion; False: only speech and its own history say how motion goes on"
    )
    audio_guidance: float = setting(1.5, GUIDANCE, "guidance scale; 1: the conditional prediction alone")
    emotion_guidance: float = setting(1.0, GUIDANCE, "guidance scale of the emotion; 1: none")
    nested_guidance: bool = setting(
        False,
        Flag(),
        "emotion guides what audio has guided, (2) of xactor_jax.actor.branches; else each by itself, (1)",
    )
    history_guidance: float = setting(1.0, GUIDANCE, "guidance scale away from the prediction without history; 1: none")
    history_fraction: float = setting(0.0, LEVEL, "noise level of the history that guides; 0: it guides as it is")
    history: str = setting("geometric", choice(HISTORY_SCHEDULES), "how the noise of finished history falls with its age")
    history_level: float = setting(
        0.05, LEVEL, "noise level in [0, 1] of the youngest finished chunk as the network sees it; 0: clean"
    )
    history_decay: float = setting(
        0.5, DECAY, "geometric: factor by which the level falls with every chunk of age, until it is below 0.001"
    )
    history_span: int = setting(4, whole(1, 1_000), "linear: chunks after which the level is 0")
    history_noise: str = setting(
        "noise", choice(HISTORY_NOISE), "scale: history is said to be at its level and scaled down, without the noise"
    )

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
