"""Heads as a body of the performers: people in three dimensions, moved by expression units."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from data.heads.camera import Framing
from data.heads.model import Model, make_model
from data.heads.render import component_boxes, find_frame, render
from data.heads.scene import Scene, make_scene
from data.heads.shape import Shape, draw_kind, make_shape
from data.heads.stage import Stage, make_stage
from data.performers.performance import Acting
from data.performers.voice import FACE, LOOKS, person_rng
from data.performers.voices import VoiceKind

PERSON = "head"
GENERATOR = 2
VOICE: VoiceKind = "recorded"
HAS_UNITS = True

_PLACE = 2
"""Key of the streams of chance of a clip's light, lens and background, beside those of people (0) and of splits (1)."""


@dataclasses.dataclass(frozen=True)
class Head:
    """A person, the scene of one of their clips, and the square that is cut out of it."""

    shape: Shape
    model: Model
    scene: Scene
    framing: Framing
    stage: Stage

    def render(self, acting: Acting, size: int, first: int = 0) -> UInt8[np.ndarray, "t size size 3"]:
        """RGB frames, one for each row of the acting, which begins with frame `first` of the clip."""
        who = (self.model, self.shape, self.scene)
        return render(*who, acting.controls, acting.units, size, framing=self.framing, first=first, stage=self.stage)

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
        return component_boxes(self.model, self.shape, self.scene, acting.controls, acting.units, framing=self.framing)


def is_man(seed: int, person: int) -> bool:
    """Whether a person looks like a man rather than like a woman."""
    return draw_kind(person_rng(seed, person, FACE))[1] > 0.5


def make_figure(seed: int, person: int, clip: int, acting: Acting) -> Head:
    """The person in the scene of a clip, framed as `launch/prepare.py` would frame what they do in it."""
    shape = make_shape(person_rng(seed, person, FACE))
    model = make_model(person_rng(seed, person, LOOKS), shape)
    scene = make_scene(np.random.default_rng(np.random.SeedSequence([seed, person, clip], spawn_key=(_PLACE,))))
    stage = make_stage(model, shape)
    return Head(shape, model, scene, find_frame(model, shape, scene, acting.controls, acting.units, stage=stage), stage)
