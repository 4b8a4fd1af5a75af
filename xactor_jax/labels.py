"""Names of what a clip can be labelled with, in the order of their columns and indices."""

from __future__ import annotations

CONTROLS = (
    "jaw",
    "lip_width",
    "lip_round",
    "smile",
    "brow_raise",
    "brow_tilt",
    "lids",
    "gaze_x",
    "gaze_y",
    "yaw",
    "pitch",
    "roll",
    "shift_x",
    "shift_y",
)
"""Ground-truth controls of a puppet, one column each."""

UNITS = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
"""ARKit's names of the 52 expression units of a face, in alphabetical order; 0 at rest and 1 at full strength."""

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "afraid", "disgusted", "contemptuous")
"""Emotion labels, the neutral one first: intensities blend the others with it. An index of -1 means unknown.

An actor knows as many of them, from the first on, as its `network.emotions` says.
"""

UNKNOWN_EMOTION = -1
