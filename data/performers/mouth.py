"""Mouth motion for a sequence of speech sounds, and conversion between the rates of speech ticks and video frames.

Mouth targets of neighbouring sounds blend by dominance (Cohen and Massaro, 1993, "Modeling coarticulation in
synthetic visual speech"):

    x(t) = Σ_p (g * D_p x_p)(t) / Σ_p (g * D_p)(t)                                                                        (1)

g is a Gaussian, x_p the target and D_p the dominance of sound p while it lasts: a /p/ must close the lips, a /k/ need not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int16

from data.performers.emotion import Mood
from data.performers.motion import smooth
from data.performers.phonemes import TICK_RATE, Utterance, property_of
from xactor_jax.timing import FRAME_RATE

TICKS_PER_FRAME = TICK_RATE // FRAME_RATE
MOUTH_BLUR = 24.0
"""Standard deviation of g for the mouth, ms."""


@dataclasses.dataclass(frozen=True)
class Speech:
    """Speech: waveform, and at every frame the mouth, loudness (about 0 to 1), melody (octaves) and stress."""

    audio: Int16[np.ndarray, "samples"]
    jaw: Float[np.ndarray, "t"]
    lip_width: Float[np.ndarray, "t"]
    lip_round: Float[np.ndarray, "t"]
    loudness: Float[np.ndarray, "t"]
    melody: Float[np.ndarray, "t"]
    stress: Float[np.ndarray, "t"]
    utterance: Utterance


def per_tick(values: Float[np.ndarray, "t"]) -> Float[np.ndarray, "ticks"]:
    """Values of video frames, interpolated at the ticks inside them."""
    frames = len(values)
    ticks = (np.arange(frames * TICKS_PER_FRAME) + 0.5) / TICKS_PER_FRAME - 0.5
    return np.interp(ticks, np.arange(frames), values)


def per_frame(values: Float[np.ndarray, "ticks"]) -> Float[np.ndarray, "t"]:
    """The mean of tick values over each video frame."""
    return values.reshape(-1, TICKS_PER_FRAME).mean(axis=1)


def blend(utterance: Utterance, values: np.ndarray, std: float, dominance: np.ndarray) -> np.ndarray:
    """Blends targets over time (equation 1). `values` and `dominance` are per sound, `std` is in ms."""
    weight = utterance.spread(dominance)
    ticks = std * TICK_RATE / 1000.0
    return smooth(weight * utterance.spread(values), ticks) / smooth(weight, ticks)


def effort_of(utterance: Utterance, mood: Mood) -> Float[np.ndarray, "ticks"]:
    """Strength of articulation at every tick: stress times the effect of the emotion."""
    return smooth(utterance.spread(utterance.stress), 0.03 * TICK_RATE) * per_tick(mood.effect("articulation"))


def mouth_tracks(utterance: Utterance, effort: np.ndarray) -> dict[str, np.ndarray]:
    """Mouth controls at every tick. The jaw opens with the effort."""
    dominance = property_of("dominance")[utterance.phoneme]
    tracks = {
        n: blend(utterance, property_of(n)[utterance.phoneme], MOUTH_BLUR, dominance) for n in ("jaw", "lip_width", "lip_round")
    }
    tracks["jaw"] = np.clip(tracks["jaw"] * effort, 0.0, 1.0)
    return tracks


def gesture_tracks(utterance: Utterance, gestures: Mapping[str, tuple[int, ...]]) -> Float[np.ndarray, "t gestures"]:
    """Strength of each gesture, a set of sounds (indices of `PHONEMES`), in every frame, in [0, 1]."""
    dominance = property_of("dominance")[utterance.phoneme]
    shares = [blend(utterance, np.isin(utterance.phoneme, sounds) * 1.0, MOUTH_BLUR, dominance) for sounds in gestures.values()]
    return np.stack([per_frame(share) for share in shares], axis=1)
