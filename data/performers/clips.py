"""Clips of performers: everything drawn from (seed, person, clip)."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from data.performers.bodies import Body, clip_name, perform, person_name
from data.performers.controls import NEUTRAL
from data.performers.performance import Acting, Performance
from data.performers.units import expression_units
from data.performers.voices import VoiceKind
from data.records import Clip, encode_frames


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
) -> Clip:
    """A clip of `num_frames` at 25 a second with its sound and truth; the same bytes for the same arguments.

    voice: None for the body's own kind.
    """
    performance = perform(body, seed, person, clip, num_frames, voice=voice, split=split)
    acting = performance.acting
    figure = body.make_figure(seed, person, clip, acting)
    return Clip(
        person=person_name(body, person),
        clip=clip_name(clip),
        frames=encode_frames(figure.render(acting, size)),
        audio=performance.audio,
        emotion=performance.mood.label,
        emotion_intensity=performance.mood.intensity,
        controls=acting.controls,
        units=acting.units if body.KNOWS_UNITS else acting.units[:0],
        component_boxes=figure.component_boxes(acting),
    )


def acting_of(controls: Float[np.ndarray, "t 14"]) -> Acting:
    """Controls alone, as nobody in particular moves them, without speech."""
    return Acting(controls, expression_units(controls))


def make_portrait(body: Body, seed: int, person: int, size: int, clip: int = 0) -> UInt8[np.ndarray, "size size 3"]:
    """The person of a clip at rest, looking ahead."""
    acting = acting_of(NEUTRAL[None])
    return body.make_figure(seed, person, clip, acting).render(acting, size)[0]


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """A portrait at rest, speech as float32 in [-1, 1] at 16 kHz, and what a true performance of it would do."""

    portrait: UInt8[np.ndarray, "size size 3"]
    waveform: Float[np.ndarray, "samples"]
    performance: Performance


def make_demonstration(
    body: Body, seed: int, person: int, clip: int, num_frames: int, size: int, emotion: int | None = None
) -> Demonstration:
    """What a demo needs of one person: portrait and voice (of the test split) as inputs, the performance as truth."""
    performance = perform(body, seed, person, clip, num_frames, emotion=emotion, split="test")
    waveform = performance.audio.astype(np.float32) / 32768.0
    return Demonstration(make_portrait(body, seed, person, size, clip), waveform, performance)
