"""Performances: speech, emotion and motion of the face and head, determined by (seed, person, clip)."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int16

from data.performers.controls import make_controls
from data.performers.emotion import Mood, make_mood
from data.performers.mouth import Speech
from data.performers.units import Style, make_style, make_units
from data.performers.voices import VoiceKind, cast_voice

LONG = 1_000_000
"""Clip number of long performances, larger than those in data sets."""


@dataclasses.dataclass(frozen=True)
class Acting:
    """Input of a body over T frames: the controls, and the 52 expression units computed from them."""

    controls: Float[np.ndarray, "t 14"]
    units: Float[np.ndarray, "t 52"]

    def __getitem__(self, frames: slice) -> Acting:
        """Some of the frames."""
        return Acting(self.controls[frames], self.units[frames])


@dataclasses.dataclass(frozen=True)
class Performance:
    """Speech, emotion and motion of a performer over T frames, before pictures are drawn."""

    mood: Mood
    speech: Speech
    style: Style
    controls: Float[np.ndarray, "t 14"]

    @property
    def audio(self) -> Int16[np.ndarray, "samples"]:
        """The speech at 16 kHz, 640 samples a frame."""
        return self.speech.audio

    @functools.cached_property
    def units(self) -> Float[np.ndarray, "t 52"]:
        """Expression units, columns `xactor_jax.labels.UNITS`."""
        return make_units(self.controls, self.speech, self.mood, self.style)

    @property
    def acting(self) -> Acting:
        """Input of a body."""
        return Acting(self.controls, self.units)


def make_performance(
    seed: int,
    person: int,
    clip: int,
    num_frames: int,
    *,
    emotion: int | None = None,
    voice: VoiceKind = "formant",
    split: str = "train",
    man: bool | None = None,
) -> Performance:
    """The performance of a clip. Its emotions are random, unless `emotion` (an index of `ACTED_EMOTIONS`) gives one.

    Args:
        voice: kind of voice (`data.performers.voices`).
        split: split of the data set that the clip is for; recorded voices of the test split are in no other.
        man: whether the person's face is a man's; None: no sex.
    """
    streams = (np.random.default_rng(s) for s in np.random.SeedSequence([seed, person, clip]).spawn(3))
    mood_rng, speech_rng, motion_rng = streams
    mood = make_mood(mood_rng, num_frames, emotion)
    speech = cast_voice(seed, person, voice, split, man)(mood, speech_rng)
    controls = make_controls(motion_rng, mood, speech)
    return Performance(mood, speech, make_style(seed, person), controls)
