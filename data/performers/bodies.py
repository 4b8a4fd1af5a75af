"""The bodies that a performance can be given: each draws the same acting, of people of its own."""

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
        """RGB frames, one for each row of the acting, which begins with frame `first` of the clip."""

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""


class Body(Protocol):
    """A kind of people."""

    PERSON: str
    """Begins the name of every person."""
    GENERATOR: int
    """Version of how they look and move; raised whenever the same arguments give other records."""
    VOICE: VoiceKind
    """Where their speech comes from unless another voice is asked for."""
    KNOWS_UNITS: bool
    """Whether they are drawn from expression units, so that units are true of their pictures."""

    def is_man(self, seed: int, person: int) -> bool | None:
        """Whether a person looks like a man rather than like a woman; None: like neither."""

    def make_figure(self, seed: int, person: int, clip: int, acting: Acting) -> Figure:
        """The person of a clip, framed for what they do in all of it.

        Light and place may differ from clip to clip, the face does not.
        """


def load_body(kind: str) -> Body:
    """The body of that name.

    Raises:
        UserError: there is none.
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
    """`make_performance` of a person who has the body: with its kind of voice, unless another is asked for."""
    kind, man = voice or body.VOICE, body.is_man(seed, person)
    return make_performance(seed, person, clip, num_frames, emotion=emotion, voice=kind, split=split, man=man)


def person_name(body: Body, person: int) -> str:
    """Person id in the records."""
    return f"{body.PERSON}{person:05d}"


def clip_name(clip: int) -> str:
    """Clip id in the records."""
    return f"{clip:04d}"
