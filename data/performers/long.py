"""Long performances of one person: minutes or hours of speech with an emotion that changes every few seconds.

The performance (sound, controls, emotion of every frame) is in memory as a whole; pictures are drawn piece by piece.
Measured on 2026-11-24 on puppets: 60 minutes take 26 s of one core of an AMD EPYC and at most 2.5 GB; 8 minutes 0.4 GB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8

from data.performers.bodies import Body, Figure, perform, person_name
from data.performers.performance import LONG, Performance
from xactor_jax.clips import Encoder, ReadClip
from xactor_jax.errors import UserError
from xactor_jax.timing import FRAME_RATE

PIECE = 20 * FRAME_RATE
"""Number of frames that are drawn at a time."""


def make_long_performance(body: Body, seed: int, person: int, minutes: float) -> Performance:
    """Speech, emotion and motion of a person; `mood.label` has the emotion of every frame. Deterministic in its arguments.

    Raises:
        UserError: it is shorter than a second.
    """
    frames = round(60 * minutes * FRAME_RATE)
    if frames < FRAME_RATE:
        raise UserError(f"a performance of {minutes:g} minutes is too short: take at least a second.")
    return perform(body, seed, person, LONG, frames, split="test")


def iter_frames(
    figure: Figure, performance: Performance, size: int, piece: int = PIECE
) -> Iterator[UInt8[np.ndarray, "_ size size 3"]]:
    """Pictures of the performance, at most `piece` frames at a time."""
    starts = range(0, len(performance.controls), piece)
    return (figure.render(performance.acting[start : start + piece], size, start) for start in starts)


def iter_latents(
    figure: Figure, performance: Performance, size: int, encode: Encoder, piece: int = PIECE
) -> Iterator[Float[np.ndarray, "_ d"]]:
    """True motion latents, at most `piece` frames at a time; `encode` comes from `xactor_jax.motion.pictures.frame_encoder`."""
    return (encode(frames) for frames in iter_frames(figure, performance, size, piece))


def read_person(body: Body, seed: int, person: int, size: int, encode: Encoder, frames: int, step: int) -> ReadClip:
    """Every `step`-th of `frames` frames of a clip of a person, in the form that probes need."""
    performance = perform(body, seed, person, LONG, frames, split="test")
    acting = performance.acting[::step]
    latents = encode(body.make_figure(seed, person, LONG, performance.acting).render(acting, size))
    emotion = performance.mood.label[::step]
    name = person_name(body, person)
    return ReadClip(person=name, clip=str(LONG), latents=latents, controls=acting.controls, emotion=emotion)
