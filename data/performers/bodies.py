"""The interface of bodies: puppets and heads. A body draws a performance, and has people of its own."""

from __future__ import annotations

import importlib
from typing import Literal, Protocol, get_args

import numpy as np
from jaxtyping import Float, UInt8

from data.performers.performance import Acting, Performance, make_performance
from data.performers.voices import VoiceKind
from xactor_jax.errors import UserError

BodyKind = Literal["puppets", "heads"]
BODY_KINDS: tuple[str, ...] = get_args(BodyKind)


class Figure(Protocol):
    """One person as they look in one clip."""

    def render(self, acting: Acting, size: int, first: int = 0) -> UInt8[np.ndarray, "t size size 3"]:
        """RGB frames, one per row of the acting; the first row is frame `first` of the clip."""

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""


class Body(Protocol):
    """A kind of people: puppets or heads."""

    PERSON: str
    """Prefix of every person's name."""
    GENERATOR: int
    """Version of appearance and motion. It is increased whenever the same arguments give other records."""
    VOICE: VoiceKind
    """The default kind of voice."""
    HAS_UNITS: bool
    """Whether pictures are made from expression units, so that the units are ground truth."""

    def is_man(self, seed: int, person: int) -> bool | None:
        """Whether a person looks like a man (True) or like a woman (False); None: neither."""

    def make_figure(self, seed: int, person: int, clip: int, acting: Acting) -> Figure:
        """The person of a clip, with a camera that suits the acting of the whole clip.

        Light and place may differ between clips; the face is the same.
        """


def load_body(kind: str) -> Body:
    """The body with a name.

    Raises:
        UserError: there is no such body.
    """
    if kind not in BODY_KINDS:
        raise UserError(f"there is no data.kind {kind!r}: choose one of {', '.join(BODY_KINDS)}.")
    return importlib.import_module(f"data.{kind}.body")


def perform(
    body: Body,
    seed: int,
    person: int,
    clip: int,
    num_frames: int,
    *,
    emotion: int | None = None,
    voice: VoiceKind | None = None,
    split: str = "train",
) -> Performance:
    """`make_performance` for a person of a body; the voice is the body's kind, unless another is given."""
    kind, man = voice or body.VOICE, body.is_man(seed, person)
    return make_performance(seed, person, clip, num_frames, emotion=emotion, voice=kind, split=split, man=man)


def person_name(body: Body, person: int) -> str:
    """Name of a person in the records."""
    return f"{body.PERSON}{person:05d}"


def clip_name(clip: int) -> str:
    """Name of a clip in the records."""
    return f"{clip:04d}"
