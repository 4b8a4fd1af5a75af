"""Emotion of a performer over time, and its effects on voice and face."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data.performers.motion import smooth
from xactor_jax.timing import FRAME_RATE


class Effect(NamedTuple):
    """Effects of an emotion at full intensity. Factors multiply those of neutral speech; offsets add to the controls."""

    f0: float  # factor of the fundamental
    f0_range: float  # factor of the melody's range
    rate: float  # factor of the tempo
    loudness: float  # factor of the amplitude
    brightness: float  # exponent of frequency that is added to the voice's spectrum
    breath: float  # added to the voice's share of noise
    articulation: float  # factor of the jaw's opening
    motion: float  # factor of the head's movement
    smile: float
    brow_raise: float
    brow_tilt: float
    lids: float
    pitch: float  # radians added to the head's pitch, positive down


EFFECTS = {
    "neutral": Effect(1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "happy": Effect(1.22, 1.5, 1.08, 1.2, 0.1, 0.0, 1.08, 1.3, 0.72, 0.15, 0.1, -0.06, -0.03),
    "sad": Effect(0.88, 0.5, 0.78, 0.6, -0.25, 0.25, 0.78, 0.7, -0.6, 0.05, 0.75, -0.2, 0.1),
    "angry": Effect(1.12, 1.25, 1.14, 1.5, 0.3, -0.05, 1.2, 1.3, -0.4, -0.5, -0.8, -0.04, 0.04),
    "surprised": Effect(1.45, 1.8, 1.0, 1.15, 0.1, 0.08, 1.12, 1.1, 0.05, 0.8, 0.15, 0.2, -0.06),
}

ACTED_EMOTIONS = tuple(EFFECTS)
"""The emotions that performers have: the first ones of `EMOTIONS`."""


@dataclasses.dataclass(frozen=True)
class Mood:
    """Emotion over T frames: the label, and the share of every emotion (columns `ACTED_EMOTIONS`; rows sum to one)."""

    label: Int[np.ndarray, "t"]
    share: Float[np.ndarray, "t emotions"]

    @property
    def intensity(self) -> Float[np.ndarray, "t"]:
        """Share of the labelled emotion, in [0, 1]. The rest is neutral, except during fades between emotions."""
        return np.clip(self.share[np.arange(len(self.label)), self.label], 0.0, 1.0).astype(np.float32)

    def effect(self, name: str) -> Float[np.ndarray, "t"]:
        """One effect over time: the mean over emotions, weighted by share."""
        return self.share @ np.array([getattr(EFFECTS[emotion], name) for emotion in ACTED_EMOTIONS])


def make_mood(rng: np.random.Generator, num_frames: int, emotion: int | None = None) -> Mood:
    """Random emotions of 3 to 9 s each, with fades between them; only `emotion` where one is given."""
    label, strength = np.zeros(num_frames, np.int32), np.zeros(num_frames)
    start = 0
    while start < num_frames:
        stop = start + round(FRAME_RATE * rng.uniform(3.0, 9.0))
        drawn = rng.integers(len(ACTED_EMOTIONS))
        label[start:stop] = drawn if emotion is None else emotion
        strength[start:stop] = rng.uniform(0.6, 1.0)
        start = stop
    share = strength[:, None] * np.eye(len(ACTED_EMOTIONS))[label]
    share[:, 0] += 1.0 - strength
    return Mood(label, smooth(share, 0.3 * FRAME_RATE))
