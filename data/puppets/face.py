"""Draws a puppet: (identity, controls over time) → frames, and the boxes of eyes and mouth in them.

OpenCV fills the outlines on a larger canvas, which is reduced by area averaging. The result is shaded by a smooth light map
that moves with the head. Frames do not depend on each other.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data.puppets import features, head
from data.puppets.identity import Identity
from data.puppets.pose import Pose, column

BLOCK = 125
"""Number of frames whose outlines are in memory at a time."""

_SHIFT = 4
"""Fractional bits of the coordinates given to OpenCV."""

_UNIT = 160.0
"""Value of the light map that leaves a pixel unchanged."""


def face_layers(identity: Identity, controls: features.Controls) -> list[features.Layer]:
    """All outlines of the puppet in painting order, points [T, K, 2] in half crops."""
    pose = Pose.from_controls(controls)
    return [
        *head.back_hair_layers(identity, pose),
        *head.body_layers(identity, pose),
        *head.head_layers(identity, controls, pose),
        *features.cheek_layers(identity, controls, pose),
        *head.jaw_hair_layers(identity, controls, pose),
        *features.eye_layers(identity, controls, pose),
        *features.nose_layers(identity, pose),
        *features.beard_layers(identity, controls, pose),
        *features.mouth_layers(identity, controls, pose),
        *head.front_hair_layers(identity, pose),
        *features.brow_layers(identity, controls, pose),
        *features.glasses_layers(identity, pose),
    ]


def _supersampling(size: int) -> int:
    """Canvas pixels per picture pixel along an axis: for about 256 canvas pixels a side, at least two."""
    return max(2, min(4, round(256 / size)))


def _background(identity: Identity, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A colour gradient with a few soft spots."""
    rng = np.random.default_rng(identity.pattern)
    small = np.linspace(identity.background[0], identity.background[1], 8)[:, None] + rng.normal(0.0, 9.0, (8, 8, 1))
    return cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)


def _light_map(identity: Identity, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Light on a head: a lit side, a dark rim. The map is twice as wide as the picture, so that shifts need no border."""
    axis = np.linspace(-2.0, 2.0, 2 * size)
    x, y = np.meshgrid(axis / identity.width, axis / 0.85)
    radius = np.sqrt(x**2 + y**2)
    inside = 1.0 / (1.0 + np.exp(14.0 * (radius - 1.08)))
    depth = np.sqrt(np.maximum(1.0 - np.minimum(radius, 1.0) ** 2, 0.0))
    lit = 0.72 + 0.36 * depth + 0.1 * (identity.light * x - 0.7 * y) * np.minimum(1.0, 1.2 / np.maximum(radius, 1e-3))
    gain = 1.0 + inside * (lit - 1.0)
    return np.repeat(np.clip(_UNIT * gain, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _light_motion(controls: features.Controls, size: int) -> Float[np.ndarray, "t 2 3"]:
    """Affine maps from picture pixels to the light map's: they undo roll and shift, and half of the parallax."""
    pose = Pose.from_controls(controls)
    zero = np.zeros(1)
    centre = pose.slide(zero, zero, 0.3)[:, 0]
    cos, sin = np.cos(pose.roll[:, 0]), np.sin(pose.roll[:, 0])
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
    pixel = 0.5 * size * (centre + 1.0) - 0.5
    offset = (size - 0.5) - np.einsum("tij,tj->ti", linear, pixel)
    return np.concatenate([linear, offset[..., None]], axis=2)


def _fixed_point(points: Float[np.ndarray, "t k 2"], canvas: int) -> np.ndarray:
    return np.round((0.5 * canvas * (points + 1.0) - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _render_block(identity: Identity, controls: features.Controls, size: int, out: UInt8[np.ndarray, "t size size 3"]) -> None:
    scale = _supersampling(size)
    canvas_size = size * scale
    layers = [(_fixed_point(points, canvas_size), colour) for points, colour in face_layers(identity, controls)]
    empty, light = _background(identity, canvas_size), _light_map(identity, size)
    motion = _light_motion(controls, size)
    canvas, shade = np.empty_like(empty), np.empty_like(out[0])
    edges = cv2.LINE_8 if scale == 4 else cv2.LINE_AA
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for t in range(len(controls)):
        np.copyto(canvas, empty)
        for points, colour in layers:
            cv2.fillPoly(canvas, [points[t]], colour, edges, _SHIFT)
        cv2.resize(canvas, (size, size), dst=out[t], interpolation=cv2.INTER_AREA)
        cv2.warpAffine(light, motion[t], (size, size), dst=shade, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        cv2.multiply(out[t], shade, dst=out[t], scale=1.0 / _UNIT)


def render(identity: Identity, controls: Float[np.ndarray, "t 14"], size: int) -> UInt8[np.ndarray, "t size size 3"]:
    """RGB frames of the puppet, one per row of controls (columns `xactor_jax.labels.CONTROLS`)."""
    controls = np.asarray(controls, np.float64)
    frames = np.empty((len(controls), size, size, 3), np.uint8)
    for start in range(0, len(controls), BLOCK):
        block = slice(start, start + BLOCK)
        _render_block(identity, controls[block], size, frames[block])
    return frames


def _bounds(points: np.ndarray, margin: float) -> Float[np.ndarray, "t 4"]:
    low, high = points.min(axis=1) - margin, points.max(axis=1) + margin
    box = np.stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]], axis=-1)
    return np.clip(0.5 * (box + 1.0), 0.0, 1.0)


def component_boxes(identity: Identity, controls: Float[np.ndarray, "t 14"]) -> Float[np.ndarray, "t 2 4"]:
    """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
    controls = np.asarray(controls, np.float64)
    pose = Pose.from_controls(controls)
    eyes = [*features.eye_layers(identity, controls, pose), *features.brow_layers(identity, controls, pose)]
    chin = identity.bottom + head.CHIN_DROP * column(controls, "jaw")
    mouth = [layer.points for layer in features.mouth_layers(identity, controls, pose)]
    boxes = [
        np.concatenate([layer.points for layer in eyes], axis=1),
        np.concatenate([*mouth, pose.slide(np.zeros(1), chin, 0.4)], axis=1),
    ]
    return np.stack([_bounds(points, 0.03) for points in boxes], axis=1).astype(np.float32)
