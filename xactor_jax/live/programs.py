"""The loaded stages under fixed settings, and the programs that all sessions of a server share."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xactor_jax.actor.rollout import RolloutState, Window
from xactor_jax.audio.features import AudioFeatures
from xactor_jax.errors import UserError
from xactor_jax.live import slots
from xactor_jax.live.slots import Mapped, Segment, Stride
from xactor_jax.pictures import to_float
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings, motion_of_reference
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME
from xactor_jax.video import conditions
from xactor_jax.video.pictures import Drawn
from xactor_jax.video.rendering import prepare
from xactor_jax.video.windows import SegmentPlan


class Programs:
    """Stages, settings, and how many sessions one program computes (`together`).

    Raises `UserError` for offline rendering, which needs all motion before the first picture.
    """

    def __init__(self, models: Models, settings: Settings, together: int = 1):
        if settings.render.whole_clip:
            raise UserError("a live renderer cannot wait for the whole clip: leave --offline out.")
        self.models, self.settings, self.together = models, settings, together
        self.window: Window = models.actor.model.window(settings.rollout)
        self.plan: SegmentPlan = settings.render.plan(models.video.model.window)

    @property
    def audio(self) -> AudioFeatures:
        """The actor's audio features."""
        return self.models.actor.audio

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal in a process that takes up a session: hashes of the checkpoints, and settings."""
        return {"checkpoints": {name: stage.hash for name, stage in self.models.present.items()}, **self.settings.to_dict()}

    def prepared(self, portrait: Portrait) -> tuple[Float[np.ndarray, "d"], conditions.Portrait]:
        """Motion of a portrait, and what the renderer needs of it."""
        motion, video = motion_of_reference(self.models, portrait), self.models.video
        picture = jnp.asarray(to_float(portrait.for_video))[None]
        return motion, prepare(video.model, video.variables, picture, jnp.asarray(motion)[None])

    def advance(self, strides: Sequence[Stride], mapped: Mapped = map) -> list[tuple[RolloutState, Float[Array, "1 stride d"]]]:
        """One call of the actor for each stream."""
        return slots.advance(self.window, self.models.actor.variables.params, self.together, strides, mapped)

    def render(self, segments: Sequence[Segment], mapped: Mapped = map) -> list[tuple[Drawn, Float[Array, "1 k h w c"]]]:
        """One segment of the renderer for each stream."""
        video = self.models.video
        return slots.render(video.model, self.settings.render, video.variables, self.together, segments, mapped)

    @functools.cached_property
    def delay_seconds(self) -> float:
        """Largest time from the beginning of a frame's sound to the arrival of the last sound that its picture needs."""
        ahead = frames_ahead(self.audio)
        return max(needed + ahead - first for first, needed in needs(self.window, self.plan)) * SAMPLES_PER_FRAME / SAMPLE_RATE


def needs(window: Window, plan: SegmentPlan) -> list[tuple[int, int]]:
    """(first frame, frames of features that must have arrived) of each segment, until the pattern repeats."""
    period = math.lcm(window.stride, plan.new) // plan.new
    calls = lambda last: (last + window.delay) // window.stride + 1
    needed = lambda last: window.network.audio_radius + calls(last) * window.stride
    return [(index * plan.new, needed((index + 1) * plan.new - 1)) for index in range(period)]


def frames_ahead(audio: AudioFeatures) -> int:
    """Frames of sound after the first frame that must arrive before its features come: no later frame needs more."""
    sound, done, arrived = audio.begin(), [], 0
    while not done:
        sound, done = audio.push(sound, np.zeros(SAMPLES_PER_FRAME, np.float32))
        arrived += 1
    return arrived - 1
