"""Names of the labels of a clip, in the order of their columns or indices."""

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
"""Ground-truth controls of a performance, one column each."""

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
"""ARKit's names of the 52 expression units of a face, in alphabetical order. A unit is 0 at rest and 1 at full strength."""

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "afraid", "disgusted", "contemptuous")
"""Emotion labels. Neutral is first because an intensity below 1 blends an emotion with it. An index of -1 means unknown.

An actor uses the first `network.emotions` of them.
"""

UNKNOWN_EMOTION = -1
