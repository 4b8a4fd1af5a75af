"""Controls of a performer's face and head while speaking: the sum of speech, emotion and random motion.

Brows, smile, lids and head follow emotion and melody, plus random motion of the same size. So no control can be predicted from
another one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.performers.emotion import Mood
from data.performers.motion import smooth, wander
from data.performers.mouth import Speech
from xactor_jax.labels import CONTROLS
from xactor_jax.timing import FRAME_RATE

LIMITS = {
    "jaw": (0.0, 1.0),
    "lip_width": (-1.0, 1.0),
    "lip_round": (0.0, 1.0),
    "smile": (-1.0, 1.0),
    "brow_raise": (-1.0, 1.0),
    "brow_tilt": (-1.0, 1.0),
    "lids": (0.0, 1.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "yaw": (-0.42, 0.42),
    "pitch": (-0.26, 0.26),
    "roll": (-0.28, 0.28),
    "shift_x": (-0.04, 0.04),
    "shift_y": (-0.04, 0.04),
}
"""(Smallest, largest) value of every control. Angles in radians, shifts in fractions of the crop."""

NEUTRAL = np.array([0.8 if name == "lids" else 0.0 for name in CONTROLS])
"""Controls of a face at rest, looking ahead."""


def _blinks(rng: np.random.Generator, num_frames: int) -> Float[np.ndarray, "t"]:
    """Lid opening over time, 1 open, 0 closed: a blink of 0.2 to 0.4 s every 1 to 5 s, sometimes a longer one."""
    frames, openness = np.arange(num_frames), np.ones(num_frames)
    middle = FRAME_RATE * rng.uniform(0.2, 3.0)
    while middle < num_frames + 10:
        half = FRAME_RATE * (rng.uniform(0.1, 0.2) if rng.uniform() < 0.8 else rng.uniform(0.25, 0.6))
        openness = np.minimum(openness, np.clip(2.0 * np.abs(frames - middle) / half - 0.9, 0.0, 1.0))
        middle += FRAME_RATE * (1.0 + rng.exponential(1.8))
    return openness


def _saccades(rng: np.random.Generator, num_frames: int) -> Float[np.ndarray, "t 2"]:
    """Gaze that rests on a point for 0.3 to 2 s and jumps to the next; every other point is near straight ahead."""
    points = np.zeros((num_frames, 2))
    start, away = 0, bool(rng.integers(2))
    while start < num_frames:
        stop = start + round(FRAME_RATE * rng.uniform(0.3, 2.0))
        points[start:stop] = rng.uniform(-1.0, 1.0, 2) * (0.95 if away else 0.25)
        start, away = stop, not away
    return smooth(points, 0.8)


def _head(rng: np.random.Generator, mood: Mood, speech: Speech) -> dict[str, np.ndarray]:
    frames, size = len(mood.label), mood.effect("motion")

    def sway(slow: float, quick: float, bias: float) -> np.ndarray:
        moving = slow * wander(rng, frames, 0.9 * FRAME_RATE) + quick * wander(rng, frames, 0.25 * FRAME_RATE)
        return bias * rng.normal() + size * moving

    nod = -0.05 * smooth(speech.melody, 1.5) - 0.07 * smooth(speech.stress - speech.stress.mean(), 1.5)
    return {
        "yaw": sway(0.12, 0.035, 0.07),
        "pitch": sway(0.05, 0.015, 0.035) + nod + mood.effect("pitch"),
        "roll": sway(0.06, 0.02, 0.04),
        "shift_x": sway(0.012, 0.003, 0.008),
        "shift_y": sway(0.01, 0.003, 0.008),
    }


def _face(rng: np.random.Generator, mood: Mood, speech: Speech) -> dict[str, np.ndarray]:
    frames = len(mood.label)
    own = lambda seconds: wander(rng, frames, seconds * FRAME_RATE)
    accent = smooth(speech.stress - 0.8, 1.5)
    gaze = _saccades(rng, frames)
    return {
        "smile": mood.effect("smile") + 0.45 * own(0.6) - 0.25 * speech.lip_round,
        "brow_raise": mood.effect("brow_raise") + 0.42 * own(0.4) + 0.3 * accent,
        "brow_tilt": mood.effect("brow_tilt") + 0.4 * own(0.5),
        "lids": _blinks(rng, frames) * np.clip(0.78 + mood.effect("lids") + 0.1 * own(0.6), 0.25, 1.0),
        "gaze_x": gaze[:, 0],
        "gaze_y": gaze[:, 1],
    }


def make_controls(rng: np.random.Generator, mood: Mood, speech: Speech) -> Float[np.ndarray, "t 14"]:
    """All controls for the frames of the mood, within `LIMITS`; columns as in `xactor_jax.labels.CONTROLS`."""
    stretch = 0.28 * wander(rng, len(mood.label), 0.6 * FRAME_RATE)
    mouth = {"jaw": speech.jaw, "lip_width": speech.lip_width + stretch, "lip_round": speech.lip_round}
    values = {**mouth, **_face(rng, mood, speech), **_head(rng, mood, speech)}
    return np.stack([np.clip(values[name], *LIMITS[name]) for name in CONTROLS], axis=1).astype(np.float32)
