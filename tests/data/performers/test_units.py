"""Controls, sounds and emotions become expression units by one table."""

from __future__ import annotations

import numpy as np
import pytest

from data.performers import units
from data.performers.controls import NEUTRAL
from data.performers.emotion import ACTED_EMOTIONS
from data.performers.performance import make_performance
from data.performers.phonemes import INDEX, TICK_RATE
from xactor_jax.labels import CONTROLS, UNITS

LEFT = {name: UNITS.index(name) for name in UNITS if name.endswith("Left")}


def one(**controls: float) -> dict[str, float]:
    """Units of one frame, those above zero, by name."""
    row = NEUTRAL.copy()
    for name, value in controls.items():
        row[CONTROLS.index(name)] = value
    values = units.expression_units(row[None])[0]
    return {name: float(value) for name, value in zip(UNITS, values, strict=True) if value > 0}


def test_a_face_at_rest_uses_none():
    assert one() == {}


@pytest.mark.parametrize(
    ("control", "value", "strongest"),
    [
        ("jaw", 1.0, {"jawOpen"}),
        ("lip_round", 1.0, {"mouthPucker"}),
        ("smile", 1.0, {"mouthSmileLeft", "mouthSmileRight"}),
        ("smile", -1.0, {"mouthFrownLeft", "mouthFrownRight"}),
        ("brow_raise", 1.0, {"browOuterUpLeft", "browOuterUpRight"}),
        ("brow_tilt", -1.0, {"browDownLeft", "browDownRight"}),
        ("lids", 0.0, {"eyeBlinkLeft", "eyeBlinkRight"}),
        ("lids", 1.0, {"eyeWideLeft", "eyeWideRight"}),
        ("gaze_x", 1.0, {"eyeLookOutLeft", "eyeLookInRight"}),  # to the right of the picture, which is the person's left
        ("gaze_y", 1.0, {"eyeLookDownLeft", "eyeLookDownRight"}),
    ],
)
def test_each_control_has_its_units(control, value, strongest):
    used = one(**{control: value})
    assert {name for name, weight in used.items() if weight == max(used.values())} == strongest


def test_rounded_lips_form_a_ring_when_the_jaw_opens():
    closed, opened = one(lip_round=1.0), one(lip_round=1.0, jaw=0.6)
    assert closed["mouthPucker"] > 1.5 * closed["mouthFunnel"] and opened["mouthFunnel"] > 1.5 * opened["mouthPucker"] > 0.5


def test_closed_eyes_are_closed_and_heads_turns_use_no_unit():
    assert one(lids=0.0)["eyeBlinkLeft"] == 1.0
    assert one(yaw=0.4, pitch=0.2, roll=0.2, shift_x=0.04) == {}


@pytest.mark.parametrize(("sound", "unit"), [("p", "mouthPressLeft"), ("f", "mouthRollLower"), ("ʃ", "mouthFunnel")])
def test_sounds_show_what_controls_cannot_say(sound, unit):
    performance = make_performance(0, 3, 0, 500, emotion=0)
    spoken = performance.speech.utterance.spread(performance.speech.utterance.phoneme == INDEX[sound])
    share = spoken.reshape(500, TICK_RATE // 25).mean(1)
    assert (share > 0.6).sum() >= 3
    column = performance.units[:, UNITS.index(unit)]
    assert column[share > 0.6].mean() > column[share == 0].mean() + 0.1


def test_emotions_show_beside_the_controls():
    felt = {name: make_performance(0, 2, 0, 100, emotion=i).units for i, name in enumerate(ACTED_EMOTIONS)}
    nose = {name: values[:, UNITS.index("noseSneerLeft")].mean() for name, values in felt.items()}
    assert nose["angry"] > 0.15 and max(value for e, value in nose.items() if e != "angry") < 0.05


def test_a_style_is_the_persons_own_and_leaves_blinks_even():
    gains = [units.make_style(0, person).gain for person in range(20)]
    np.testing.assert_array_equal(gains[3], units.make_style(0, 3).gain)
    smile = np.array([gain[UNITS.index("mouthSmileLeft")] / gain[UNITS.index("mouthSmileRight")] for gain in gains])
    assert smile.std() > 0.05 and 0.6 < smile.min() < 1 < smile.max() < 1.6
    for gain in gains:
        assert gain[UNITS.index("eyeBlinkLeft")] == gain[UNITS.index("eyeBlinkRight")] == 1.0


def test_units_stay_in_range_for_any_emotion_and_speech():
    values = np.concatenate([make_performance(0, person, 1, 100).units for person in range(6)])
    assert values.shape == (600, 52) and values.dtype == np.float32
    assert values.min() >= 0.0 and values.max() <= 1.0
    moving = values.std(axis=0) > 0.01
    assert moving.sum() >= 30


def test_unknown_names_in_the_table_are_refused():
    with pytest.raises(ValueError, match="tuple"):
        units.row({"mouthSmil": 1.0})
