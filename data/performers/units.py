"""Converts controls, speech and emotion into the 52 expression units of a face (ARKit's).

Over T frames, with the controls x [T, 14], the strength of each lip gesture g(t) that the sounds require, and the share of each
emotion m(t),

    u(t) = clip( s * [ A⁺ max(x - x₀, 0) + A⁻ max(x₀ - x, 0) + R r(t) + G g(t) + E m(t) ], 0, 1 )                         (1)

x₀ are the controls at rest. A⁺ and A⁻ are the effects of a control above and below it, because opposite motions use different
units. Rounded lips r use two units: lips protrude most when they are nearly closed (pucker), and form a ring when the jaw is
open (funnel); one of the two would be too weak to be visible. G holds what the controls do not have: pressed lips of p, b, m,
the lip under the teeth of f, v, the tongue between them of th, the lips of sh. E holds effects of an emotion that the controls
do not have: cheeks, nose, narrowed eyes. The style s [52] is personal: it differs in strength, and slightly between left and
right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from data.performers.controls import NEUTRAL
from data.performers.emotion import ACTED_EMOTIONS, Mood
from data.performers.mouth import Speech, gesture_tracks
from data.performers.phonemes import INDEX
from data.performers.voice import STYLE, person_rng
from xactor_jax.labels import CONTROLS, UNITS

Weights = Mapping[str, float]
"""Unit → weight. A name without a side means both sides."""

ABOVE: Mapping[str, Weights] = {
    "jaw": {"jawOpen": 0.95, "mouthLowerDown": 0.3, "mouthUpperUp": 0.12},
    "lip_width": {"mouthStretch": 0.45, "mouthSmile": 0.12, "mouthDimple": 0.15},
    "smile": {"mouthSmile": 0.85, "cheekSquint": 0.4, "mouthUpperUp": 0.25},
    "brow_raise": {"browInnerUp": 0.7, "browOuterUp": 0.8},
    "brow_tilt": {"browInnerUp": 0.8},
    "lids": {"eyeWide": 3.0},
    "gaze_x": {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8},
    "gaze_y": {"eyeLookDown": 0.8},
}
"""A⁺: effects of a control above rest."""

BELOW: Mapping[str, Weights] = {
    "lip_width": {"mouthPucker": 0.25},
    "smile": {"mouthFrown": 0.75, "mouthShrugLower": 0.2},
    "brow_raise": {"browDown": 1.0},
    "brow_tilt": {"browDown": 0.9, "browOuterUp": 0.25},
    "lids": {"eyeBlink": 1.25},
    "gaze_x": {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
    "gaze_y": {"eyeLookUp": 0.8},
}
"""A⁻: effects of a control below rest."""

GESTURES: Mapping[str, tuple[tuple[str, ...], Weights]] = {
    "press": (("p", "b", "m"), {"mouthPress": 0.4, "mouthRollLower": 0.12, "mouthRollUpper": 0.1}),
    "bite": (("f", "v"), {"mouthRollLower": 0.35, "mouthUpperUp": 0.25}),
    "tongue": (("θ", "ð"), {"tongueOut": 0.35}),
    "protrude": (("ʃ", "ʒ"), {"mouthFunnel": 0.5, "mouthPucker": 0.3}),
}
"""Sounds of each lip gesture, and its effects G."""

EMOTION: Mapping[str, Weights] = {
    "neutral": {},
    "happy": {"cheekSquint": 0.25, "eyeSquint": 0.2, "mouthDimple": 0.15, "mouthUpperUp": 0.15},
    "sad": {"mouthShrugLower": 0.2, "eyeSquint": 0.1},
    "angry": {"noseSneer": 0.4, "browDown": 0.3, "eyeSquint": 0.35, "mouthUpperUp": 0.25, "jawForward": 0.2},
    "surprised": {"eyeWide": 0.25, "mouthFunnel": 0.1},
}
"""E: effects of an emotion at full intensity."""

ROUND_CLOSED: Weights = {"mouthPucker": 0.85, "mouthFunnel": 0.45}
ROUND_OPEN: Weights = {"mouthPucker": 0.45, "mouthFunnel": 0.8}
"""R: fully rounded lips with the jaw closed, and with the jaw open."""

JAW_OF_RING = 0.5
"""Jaw opening from which rounded lips form a full ring."""

SIDES = ("Left", "Right")


def row(weights: Weights) -> Float[np.ndarray, "52"]:
    """Weights as one row; a name without a side sets both sides."""
    values = np.zeros(len(UNITS))
    for name, weight in weights.items():
        for unit in (name,) if name in UNITS else [name + side for side in SIDES]:
            values[UNITS.index(unit)] = weight
    return values


def _matrix(table: Mapping[str, Weights], names: tuple[str, ...]) -> Float[np.ndarray, "n 52"]:
    return np.stack([row(table.get(name, {})) for name in names])


@dataclasses.dataclass(frozen=True)
class Style:
    """Strength with which a person uses each unit, about 1."""

    gain: Float[np.ndarray, "52"]


NEUTRAL_STYLE = Style(np.ones(len(UNITS)))
"""No personal style: every unit as in the tables."""


def _region(unit: str) -> str:
    """Region that a unit belongs to: brow, cheek, eye, jaw, mouth, nose, tongue."""
    return next(region for region in ("brow", "cheek", "eye", "jaw", "mouth", "nose", "tongue") if unit.startswith(region))


def make_style(seed: int, person: int) -> Style:
    """Random style of a person: each region has its own strength, and is stronger on one side.

    Lids and gaze have the same strength for everybody and on both sides: a blink of one eye would be another expression.
    """
    rng = person_rng(seed, person, STYLE)
    regions = sorted({_region(unit) for unit in UNITS})
    strength = {region: rng.uniform(0.8, 1.15) for region in regions}
    lean = {region: np.clip(rng.normal(0.0, 0.1), -0.2, 0.2) for region in regions}
    lean["eye"], strength["eye"] = 0.0, 1.0

    def gain(unit: str) -> float:
        side = unit.endswith("Left") - unit.endswith("Right")
        return strength[_region(unit)] * (1.0 + lean[_region(unit)] * side)

    return Style(np.array([gain(unit) for unit in UNITS]))


def _rounding(controls: Float[np.ndarray, "t 14"]) -> Float[np.ndarray, "t 52"]:
    """The term R r(t): units of rounded lips, depending on the jaw."""
    lips, jaw = (np.clip(controls[:, [CONTROLS.index(name)]], 0.0, None) for name in ("lip_round", "jaw"))
    ring = np.clip(jaw / JAW_OF_RING, 0.0, 1.0)
    return lips * ((1.0 - ring) * row(ROUND_CLOSED) + ring * row(ROUND_OPEN))


def units_of_controls(controls: Float[np.ndarray, "t 14"]) -> Float[np.ndarray, "t 52"]:
    """The part of equation 1 that depends only on the controls, before clipping."""
    away = np.asarray(controls, np.float64) - NEUTRAL
    above, below = (_matrix(table, CONTROLS) for table in (ABOVE, BELOW))
    return np.maximum(away, 0.0) @ above + np.maximum(-away, 0.0) @ below + _rounding(controls)


def expression_units(controls: Float[np.ndarray, "t 14"], style: Style = NEUTRAL_STYLE) -> Float[np.ndarray, "t 52"]:
    """Units from controls only, without speech and emotion."""
    return np.clip(style.gain * units_of_controls(controls), 0.0, 1.0).astype(np.float32)


def make_units(controls: Float[np.ndarray, "t 14"], speech: Speech, mood: Mood, style: Style) -> Float[np.ndarray, "t 52"]:
    """Expression units (equation 1); columns `xactor_jax.labels.UNITS`."""
    sounds = {name: tuple(INDEX[sound] for sound in sounds) for name, (sounds, _) in GESTURES.items()}
    gestures = gesture_tracks(speech.utterance, sounds) @ np.stack([row(weights) for _, weights in GESTURES.values()])
    emotion = mood.share @ _matrix(EMOTION, ACTED_EMOTIONS)
    return np.clip(style.gain * (units_of_controls(controls) + gestures + emotion), 0.0, 1.0).astype(np.float32)
