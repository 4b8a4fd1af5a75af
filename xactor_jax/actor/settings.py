"""Settings of the actor: network, noise levels in training, and sampling."""

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
"""What history contains in sampling: noise of its level (noise), or the clean motion scaled down without noise (scale)."""

MOST_STEPS = 10_000
DECAY = Interval(0.0, 0.99, extra=(1.0,))
"""Values between 0.99 and 1 are excluded: the levels of hundreds of chunks would differ, and every call would read them all."""
LEVEL = real(0.0, 1.0, below=True)
"""Range of a noise level. 1 is excluded: it would leave nothing of the motion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorNetworkSettings:
    """`config.network` of the actor: the fields of `ActorNetwork`, and `audio_dim`."""

    latent_dim: int = setting(512, whole(1), "D, size of a motion latent; the same as in the motion stage")
    audio_dim: int = setting(320, whole(1), "A, number of audio features per frame; log-mel: 320 (4 columns of 80 bands)")
    width: int = setting(96, whole(1), "features per token")
    depth: int = setting(3, whole(1), "number of transformer blocks")
    heads: int = setting(3, whole(1), "attention heads")
    chunk: int = setting(
        10, whole(1), "C, length of a chunk in frames; its frames share a noise level and attend to each other"
    )
    context: int = setting(50, whole(0), "number of past frames that a chunk attends to; a multiple of chunk")
    audio_radius: int = setting(2, whole(0), "frames of audio before and after its own that a token attends to")
    audio_memory: int = setting(
        0, whole(0), "frames of past audio in the audio summary that each token receives; 0: no summary"
    )
    emotions: int = setting(
        len(EMOTIONS),
        whole(1, len(EMOTIONS)),
        "number of emotion labels: the first ones of xactor_jax.labels.EMOTIONS; the label unknown is extra",
    )
    mlp_ratio: int = setting(4, whole(1), "hidden width of the MLPs, as a multiple of width")
    look_ahead: int = setting(-1, whole(-1), "number of later frames of its own chunk that a frame attends to; -1: all")
    scan_layers: bool = setting(False, Flag(), "whether the blocks are compiled as one loop")
    sink_chunk: bool = setting(
        False, Flag(), "whether the first chunk stays visible after it has left the context (attention sink)"
    )
    bidirectional_window: bool = setting(
        False,
        Flag(),
        "whether chunks in flight attend to each other in both directions; needs only levels of sampling_schedule",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseLevelWeights:
    """`config.objective.noise_levels`: relative frequency of each way to draw noise levels (`SAMPLERS`)."""

    independent_per_chunk: float = setting(
        1.0, real(0.0), "relative frequency of clips in which every chunk has its own noise level"
    )
    monotone_per_chunk: float = setting(0.0, real(0.0), "relative frequency of clips with such levels in rising order")
    monotone_from_anchor: float = setting(
        0.0,
        real(0.0),
        "relative frequency of clips with rising levels, close to 0 before a random chunk and close to 1 after it",
    )
    independent_per_token: float = setting(
        0.0, real(0.0), "relative frequency of clips in which every frame has its own noise level"
    )
    shared: float = setting(0.0, real(0.0), "relative frequency of clips with one noise level")
    teacher_forcing: float = setting(
        0.0, real(0.0), "relative frequency of clips with one noisy chunk and all others clean (ablation of diffusion forcing)"
    )
    sampling_schedule: float = setting(
        0.0,
        real(0.0),
        "relative frequency of clips with the levels of a random moment of sampling, and a loss only on chunks in flight",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """`config.rollout`: how motion is sampled; hashable."""

    steps: int = setting(12, whole(1, MOST_STEPS), "denoising steps per chunk")
    stepper: str = setting("ddim", choice(STEPPERS), "solver of a step; heun calls the network twice")
    eta: float = setting(0.0, SHARE, "ddim: amount of fresh noise per step; 0: deterministic, 1: ancestral sampling")
    temperature: float = setting(
        1.0, real(0.0, 2.0), "standard deviation of the noise that a chunk starts from; below 1: motion of less variety"
    )
    schedule: str = setting("autoregressive", choice(SCHEDULES), "order in which chunks are denoised")
    offset: int = setting(4, whole(1, MOST_STEPS), "pyramid: steps by which a chunk starts after the one before")
    chunks: int = setting(
        0, whole(0, 1_000), "full_sequence: number of chunks denoised together; 0: as many as fit the context"
    )
    context: int = setting(
        0, whole(0), "number of past frames that a chunk attends to, a multiple of chunk; 0: network.context, the most"
    )
    use_reference: bool = setting(
        True, Flag(), "whether the reference motion is a condition; False: only speech, emotion and history are"
    )
    audio_guidance: float = setting(1.5, GUIDANCE, "guidance scale of the audio; 1: no guidance")
    emotion_guidance: float = setting(1.0, GUIDANCE, "guidance scale of the emotion; 1: no guidance")
    nested_guidance: bool = setting(
        False,
        Flag(),
        "whether audio and emotion guidance are nested (equation 2 of xactor_jax.actor.branches) or separate (equation 1)",
    )
    history_guidance: float = setting(1.0, GUIDANCE, "guidance scale of history; 1: no guidance")
    history_fraction: float = setting(
        0.0, LEVEL, "history guidance: noise level of the history in the positive branch; 0: that of the history schedule"
    )
    history: str = setting(
        "geometric",
        choice(HISTORY_SCHEDULES),
        "history schedule: how the noise level of finished chunks decreases with their age",
    )
    history_level: float = setting(0.05, LEVEL, "noise level of the newest finished chunk; 0: clean")
    history_decay: float = setting(0.5, DECAY, "geometric: factor on the level per chunk of age; levels below 0.001 become 0")
    history_span: int = setting(4, whole(1, 1_000), "linear: age in chunks from which the level is 0")
    history_noise: str = setting(
        "noise",
        choice(HISTORY_NOISE),
        "content of the history: noise of its level added (noise), or scaled down to that level without noise (scale)",
    )

    def __post_init__(self) -> None:
        check_fields(self, "rollout")
        if self.schedule == "pyramid" and self.offset > self.steps:
            raise UserError(f"a pyramid offset of {self.offset} does not fit {self.steps} steps: choose from 1 to {self.steps}")
        if self.eta and self.stepper != "ddim":
            raise UserError(f"eta {self.eta} with {self.stepper} steps makes no sense: only ddim uses it")

    @property
    def branches(self) -> dict[Branch, float]:
        """The branches that the network computes at each step, and their weights."""
        return weighted_branches(
            self.audio_guidance,
            self.emotion_guidance,
            self.history_guidance,
            nested=self.nested_guidance,
            fraction=self.history_fraction,
        )


def parse_changes(settings: Iterable[str], defaults: Any = RolloutSettings(), what: str = "the rollout") -> dict[str, Any]:
    """Parses KEY=VALUE texts into fields of the dataclass of `defaults`, with their types there; errors call it `what`.

    Raises:
        UserError: there is no such setting, or its value has a wrong type or is out of range.
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
