"""The skin's place in its texture, laid out again for heads: MakeHuman's chart gives the face a fiftieth of its area.

An island of the source's chart is a rectangle of it. It moves to a rectangle of ours, and is magnified about a point

    (1) t ↦ (g(t) − g(0)) / (g(1) − g(0)),  g(t) = asinh(k (t − c))

along each axis, k = 0 leaving the axis as it is: fine about eyes and lips (c), coarse at the back of the head,
and nowhere folded.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Island:
    """Boxes are (u0, v0, u1, v1) with v up."""

    source: tuple[float, float, float, float]
    ours: tuple[float, float, float, float]
    turned: bool = False
    """Whether the source's u points down in ours, and its v to the right."""
    centre: tuple[float, float] = (0.5, 0.5)
    """What is magnified most, in fractions of our box."""
    pull: tuple[float, float] = (0.0, 0.0)
    """k of equation (1) along our u and v; 0 for none."""


ISLANDS = (
    Island((0.640, 0.145, 0.996, 0.819), (0.0, 0.25, 1.0, 1.0), True, (0.5, 0.35), (14.0, 4.0)),  # head and neck
    Island((0.119, 0.664, 0.642, 0.976), (0.0, 0.0, 0.48, 0.24)),  # shoulders and chest
    Island((0.750, 0.007, 0.930, 0.142), (0.52, 0.0, 0.74, 0.24)),  # inside of the mouth
    Island((0.010, 0.546, 0.154, 0.635), (0.78, 0.0, 1.0, 0.24)),  # sockets of the eyes
)

MOUTH, SOCKETS = 2, 3
"""Indices into ISLANDS."""


def _bend(t: np.ndarray, centre: float, pull: float) -> np.ndarray:
    if not pull:
        return t
    low, high = np.arcsinh(-pull * centre), np.arcsinh(pull * (1.0 - centre))
    return (np.arcsinh(pull * (t - centre)) - low) / (high - low)


def _unbend(t: np.ndarray, centre: float, pull: float) -> np.ndarray:
    if not pull:
        return t
    low, high = np.arcsinh(-pull * centre), np.arcsinh(pull * (1.0 - centre))
    return centre + np.sinh(low + t * (high - low)) / pull


def _fractions(uv: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    return (uv - box[:2]) / np.subtract(box[2:], box[:2])


def _within(fractions: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    return box[:2] + fractions * np.subtract(box[2:], box[:2])


def _ours(piece: Island, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    t = _fractions(uv, piece.source)
    if piece.turned:
        t = np.stack([t[:, 1], 1.0 - t[:, 0]], axis=1)
    t = np.stack([_bend(t[:, k], piece.centre[k], piece.pull[k]) for k in range(2)], axis=1)
    return _within(t, piece.ours)


def _theirs(piece: Island, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    t = _fractions(uv, piece.ours)
    t = np.stack([_unbend(t[:, k], piece.centre[k], piece.pull[k]) for k in range(2)], axis=1)
    if piece.turned:
        t = np.stack([1.0 - t[:, 1], t[:, 0]], axis=1)
    return _within(t, piece.source)


def island(uv: Float[np.ndarray, "n 2"]) -> np.ndarray:
    """Index of the island that places in the source's chart lie in, -1 for none."""
    out = np.full(len(uv), -1)
    for index, box in enumerate(piece.source for piece in ISLANDS):
        t = _fractions(uv, box)
        out[((t >= 0.0) & (t <= 1.0)).all(axis=1)] = index
    return out


def skin_uv(uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Places in the source's chart → places in ours."""
    index, out = island(uv), np.empty_like(uv)
    if (index < 0).any():
        raise ValueError("a corner of the skin lies in none of the chart's islands")
    for k, piece in enumerate(ISLANDS):
        out[index == k] = _ours(piece, uv[index == k])
    return out


def part_uv(uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Places of another part, stretched so that it fills its own unit square."""
    return (uv - uv.min(axis=0)) / np.ptp(uv, axis=0)


def skin_image(image: UInt8[np.ndarray, "a a"], side: int) -> UInt8[np.ndarray, "side side"]:
    """An image in the source's chart → in ours; 0 between the islands. Row 0 is v = 1 in both."""
    axis = (np.arange(side) + 0.5) / side
    uv = np.stack(np.meshgrid(axis, 1.0 - axis), axis=-1).reshape(-1, 2)
    place = np.full((side * side, 2), -len(image), np.float32)
    for piece in ISLANDS:
        t = _fractions(uv, piece.ours)
        inside = ((t >= 0.0) & (t <= 1.0)).all(axis=1)
        place[inside] = (_theirs(piece, uv[inside]) * [1, -1] + [0, 1]) * len(image) - 0.5
    return cv2.remap(image, place.reshape(side, side, 2), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
