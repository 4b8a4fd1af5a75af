"""From what a performer does to the 52 expression units of a face (ARKit's), in one table.

Over T frames, with the controls x [T, 14], the share of each lip gesture g(t) that the sounds ask for, and the share of each
emotion m(t),

    u(t) = clip( s * [ A⁺ max(x - x₀, 0) + A⁻ max(x₀ - x, 0) + R r(t) + G g(t) + E m(t) ], 0, 1 )                         (1)

x₀ are the controls at rest; A⁺ and A⁻ say what a control moves above and below it: opposite movements use different
units. Rounded lips r are two units: they reach forward most when they are nearly closed (pucker), and form a ring when
the jaw is open (funnel); either alone is too weak to be seen as rounded. G holds what the controls cannot say: pressed
lips of p, b, m, the lip under the teeth of f, v, the tongue between them of th, the lips of sh. E holds what an emotion does
beside the controls: cheeks, nose, narrowed eyes. The style s [52] is the person's own: some do it more, some less, and no
face is the same on both sides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from data.performers.controls import NEUTRAL
from data.performers.emotion import FELT, Mood
from data.performers.mouth import Speech, gesture_tracks
from data.performers.phonemes import INDEX
from data.performers.voice import STYLE, person_rng
from xactor_jax.labels import CONTROLS, UNITS

Weights = Mapping[str, float]
"""Unit → weight; a name without a side means both sides."""

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
"""A⁺ for each unit of a control above rest."""

BELOW: Mapping[str, Weights] = {
    "lip_width": {"mouthPucker": 0.25},
    "smile": {"mouthFrown": 0.75, "mouthShrugLower": 0.2},
    "brow_raise": {"browDown": 1.0},
    "brow_tilt": {"browDown": 0.9, "browOuterUp": 0.25},
    "lids": {"eyeBlink": 1.25},
    "gaze_x": {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
    "gaze_y": {"eyeLookUp": 0.8},
}
"""A⁻ for each unit of a control below rest."""

GESTURES: Mapping[str, tuple[tuple[str, ...], Weights]] = {
    "press": (("p", "b", "m"), {"mouthPress": 0.4, "mouthRollLower": 0.12, "mouthRollUpper": 0.1}),
    "bite": (("f", "v"), {"mouthRollLower": 0.35, "mouthUpperUp": 0.25}),
    "tongue": (("θ", "ð"), {"tongueOut": 0.35}),
    "protrude": (("ʃ", "ʒ"), {"mouthFunnel": 0.5, "mouthPucker": 0.3}),
}
"""Sounds of each lip gesture, and G."""

EMOTION: Mapping[str, Weights] = {
    "neutral": {},
    "happy": {"cheekSquint": 0.25, "eyeSquint": 0.2, "mouthDimple": 0.15, "mouthUpperUp": 0.15},
    "sad": {"mouthShrugLower": 0.2, "eyeSquint": 0.1},
    "angry": {"noseSneer": 0.4, "browDown": 0.3, "eyeSquint": 0.35, "mouthUpperUp": 0.25, "jawForward": 0.2},
    "surprised": {"eyeWide": 0.25, "mouthFunnel": 0.1},
}
"""E, for full intensity."""

ROUND_CLOSED: Weights = {"mouthPucker": 0.85, "mouthFunnel": 0.45}
ROUND_OPEN: Weights = {"mouthPucker": 0.45, "mouthFunnel": 0.8}
"""R: of fully rounded lips with the jaw closed, and with it open."""

JAW_OF_RING = 0.5
"""The jaw from which on rounded lips form a ring."""

SIDES = ("Left", "Right")


def row(weights: Weights) -> Float[np.ndarray, "52"]:
    """Weights as one row, names without a side on both."""
    values = np.zeros(len(UNITS))
    for name, weight in weights.items():
        for unit in (name,) if name in UNITS else [name + side for side in SIDES]:
            values[UNITS.index(unit)] = weight
    return values


def _matrix(table: Mapping[str, Weights], names: tuple[str, ...]) -> Float[np.ndarray, "n 52"]:
    return np.stack([row(table.get(name, {})) for name in names])


@dataclasses.dataclass(frozen=True)
class Style:
    """How strongly a person uses each unit, about 1."""

    gain: Float[np.ndarray, "52"]


NEUTRAL_STYLE = Style(np.ones(len(UNITS)))
"""Nobody's own: every unit as the table has it."""


def _region(unit: str) -> str:
    """What moves together: brow, cheek, eye, jaw, mouth, nose, tongue."""
    return next(region for region in ("brow", "cheek", "eye", "jaw", "mouth", "nose", "tongue") if unit.startswith(region))


def make_style(seed: int, person: int) -> Style:
    """A person's own use of their face: more or less of each region, and each region more on one side.

    Lids and gaze have no side: a blink that leaves one eye open would be another expression.
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
    """R r(t): lips that are rounded, as the jaw is."""
    lips, jaw = (np.clip(controls[:, [CONTROLS.index(name)]], 0.0, None) for name in ("lip_round", "jaw"))
    ring = np.clip(jaw / JAW_OF_RING, 0.0, 1.0)
    return lips * ((1.0 - ring) * row(ROUND_CLOSED) + ring * row(ROUND_OPEN))


def units_of_controls(controls: Float[np.ndarray, "t 14"]) -> Float[np.ndarray, "t 52"]:
    """The part of equation 1 that the controls determine, before it is clipped."""
    away = np.asarray(controls, np.float64) - NEUTRAL
    above, below = (_matrix(table, CONTROLS) for table in (ABOVE, BELOW))
    return np.maximum(away, 0.0) @ above + np.maximum(-away, 0.0) @ below + _rounding(controls)


def expression_units(controls: Float[np.ndarray, "t 14"], style: Style = NEUTRAL_STYLE) -> Float[np.ndarray, "t 52"]:
    """Units of controls alone, without speech and emotion."""
    return np.clip(style.gain * units_of_controls(controls), 0.0, 1.0).astype(np.float32)


def make_units(controls: Float[np.ndarray, "t 14"], speech: Speech, mood: Mood, style: Style) -> Float[np.ndarray, "t 52"]:
    """Equation 1; columns `xactor_jax.labels.UNITS`."""
    sounds = {name: tuple(INDEX[sound] for sound in sounds) for name, (sounds, _) in GESTURES.items()}
    gestures = gesture_tracks(speech.utterance, sounds) @ np.stack([row(weights) for _, weights in GESTURES.values()])
    felt = mood.share @ _matrix(EMOTION, FELT)
    return np.clip(style.gain * (units_of_controls(controls) + gestures + felt), 0.0, 1.0).astype(np.float32)
