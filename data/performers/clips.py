"""Clips of performers. Everything in a clip is determined by (seed, person, clip)."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from data.frames import DEFAULT, encode_frames
from data.performers.bodies import Body, clip_name, perform, person_name
from data.performers.controls import NEUTRAL
from data.performers.performance import Acting, Performance
from data.performers.units import expression_units
from data.performers.voices import VoiceKind
from data.records import Clip


def make_clip(
    body: Body,
    seed: int,
    person: int,
    clip: int,
    num_frames: int,
    size: int,
    *,
    voice: VoiceKind | None = None,
    split: str = "train",
    frames: str = DEFAULT,
) -> Clip:
    """A clip of `num_frames` at 25 a second with sound and ground truth. The same arguments give the same bytes.

    Args:
        voice: None: the body's default.
        frames: their format, see `data.frames`.
    """
    performance = perform(body, seed, person, clip, num_frames, voice=voice, split=split)
    acting = performance.acting
    figure = body.make_figure(seed, person, clip, acting)
    return Clip(
        person=person_name(body, person),
        clip=clip_name(clip),
        frames=encode_frames(figure.render(acting, size), frames),
        audio=performance.audio,
        emotion=performance.mood.label,
        emotion_intensity=performance.mood.intensity,
        controls=acting.controls,
        units=acting.units if body.HAS_UNITS else acting.units[:0],
        component_boxes=figure.component_boxes(acting),
    )


def acting_of(controls: Float[np.ndarray, "t 14"]) -> Acting:
    """An acting from controls only: no speech, no emotion, and no personal style."""
    return Acting(controls, expression_units(controls))


def make_portrait(body: Body, seed: int, person: int, size: int, clip: int = 0) -> UInt8[np.ndarray, "size size 3"]:
    """A person at rest, looking ahead, as they look in a clip."""
    acting = acting_of(NEUTRAL[None])
    return body.make_figure(seed, person, clip, acting).render(acting, size)[0]


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """A portrait at rest, speech as float32 in [-1, 1] at 16 kHz, and the true performance of it."""

    portrait: UInt8[np.ndarray, "size size 3"]
    waveform: Float[np.ndarray, "samples"]
    performance: Performance


def make_demonstration(
    body: Body, seed: int, person: int, clip: int, num_frames: int, size: int, emotion: int | None = None
) -> Demonstration:
    """Inputs of a demo (portrait, voice of the test split) and the true performance of one person."""
    performance = perform(body, seed, person, clip, num_frames, emotion=emotion, split="test")
    waveform = performance.audio.astype(np.float32) / 32768.0
    return Demonstration(make_portrait(body, seed, person, size, clip), waveform, performance)
