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
"""Spawn key of a clip's random light, lens and background; 0 is that of people, 1 that of splits."""


@dataclasses.dataclass(frozen=True)
class Head:
    """A person, the scene of one of their clips, and the square of it that is shown."""

    shape: Shape
    model: Model
    scene: Scene
    framing: Framing
    stage: Stage

    def render(self, acting: Acting, size: int, first: int = 0) -> UInt8[np.ndarray, "t size size 3"]:
        """RGB frames, one per row of the acting; the first row is frame `first` of the clip."""
        who = (self.model, self.shape, self.scene)
        return render(*who, acting.controls, acting.units, size, framing=self.framing, first=first, stage=self.stage)

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
        return component_boxes(self.model, self.shape, self.scene, acting.controls, acting.units, framing=self.framing)


def is_man(seed: int, person: int) -> bool:
    """Whether a person looks like a man (True) or like a woman (False)."""
    return draw_kind(person_rng(seed, person, FACE))[1] > 0.5


def make_figure(seed: int, person: int, clip: int, acting: Acting) -> Head:
    """The person in the scene of a clip, framed as `launch/prepare.py` would frame the clip."""
    shape = make_shape(person_rng(seed, person, FACE))
    model = make_model(person_rng(seed, person, LOOKS), shape)
    scene = make_scene(np.random.default_rng(np.random.SeedSequence([seed, person, clip], spawn_key=(_PLACE,))))
    stage = make_stage(model, shape)
    return Head(shape, model, scene, find_frame(model, shape, scene, acting.controls, acting.units, stage=stage), stage)
