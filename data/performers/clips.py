"""Clips of puppets: everything drawn from (seed, person, clip)."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int16, UInt8

from data.performers.controls import NEUTRAL, make_controls
from data.performers.emotion import Mood, make_mood
from data.performers.speech import synthesise
from data.performers.voice import Voice, make_voice
from data.puppets import face
from data.puppets.identity import Identity, make_identity
from data.records import Clip, encode_frames


def person_name(person: int) -> str:
    """Person id in the records."""
    return f"puppet{person:05d}"


def clip_name(clip: int) -> str:
    """Clip id in the records."""
    return f"{clip:04d}"


@dataclasses.dataclass(frozen=True)
class Performance:
    """What a puppet says and does over T frames, before it is drawn."""

    identity: Identity
    voice: Voice
    mood: Mood
    audio: Int16[np.ndarray, "samples"]
    controls: Float[np.ndarray, "t 14"]


def make_performance(seed: int, person: int, clip: int, num_frames: int, emotion: int | None = None) -> Performance:
    """The performance of a clip; its emotions are drawn, unless `emotion` (an index of `FELT`) fixes one."""
    streams = (np.random.default_rng(s) for s in np.random.SeedSequence([seed, person, clip]).spawn(3))
    mood_rng, speech_rng, motion_rng = streams
    voice = make_voice(seed, person)
    mood = make_mood(mood_rng, num_frames, emotion)
    speech = synthesise(voice, mood, speech_rng)
    controls = make_controls(motion_rng, mood, speech)
    return Performance(make_identity(seed, person), voice, mood, speech.audio, controls)


def make_clip(seed: int, person: int, clip: int, num_frames: int, size: int) -> Clip:
    """A clip of `num_frames` at 25 a second with its sound and truth; the same bytes for the same arguments."""
    performance = make_performance(seed, person, clip, num_frames)
    return Clip(
        person=person_name(person),
        clip=clip_name(clip),
        frames=encode_frames(face.render(performance.identity, performance.controls, size)),
        audio=performance.audio,
        emotion=performance.mood.label,
        emotion_intensity=performance.mood.intensity,
        controls=performance.controls,
        component_boxes=face.component_boxes(performance.identity, performance.controls),
    )


def make_portrait(seed: int, person: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The person at rest, looking ahead."""
    return face.render(make_identity(seed, person), NEUTRAL[None], size)[0]


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """A portrait at rest, speech as float32 in [-1, 1] at 16 kHz, and what a true performance of it would do."""

    portrait: UInt8[np.ndarray, "size size 3"]
    waveform: Float[np.ndarray, "samples"]
    performance: Performance


def make_demonstration(
    seed: int, person: int, clip: int, num_frames: int, size: int, emotion: int | None = None
) -> Demonstration:
    """What a demo needs of one person: portrait and voice as inputs, the performance as truth."""
    performance = make_performance(seed, person, clip, num_frames, emotion)
    waveform = performance.audio.astype(np.float32) / 32768.0
    return Demonstration(make_portrait(seed, person, size), waveform, performance)
