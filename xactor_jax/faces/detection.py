"""Decodes BlazeFace's output: detects faces in a picture at several sizes, and merges repeated detections.

Detections of one face by several anchors are replaced by their mean, weighted by score, instead of non-maximum suppression
(section 4 of arXiv 1907.05047).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from xactor_jax.faces.blazeface import MAPS, NUMBERS, BlazeFace
from xactor_jax.faces.weights import load

BEST = 64
"""Number of anchors of a picture that are evaluated further: those with the highest scores."""

SAME_IOU = 0.3
"""Two boxes are one face from this intersection over union on: MediaPipe's value."""


class Found(NamedTuple):
    """Faces in pixels: scores in 0..1; boxes (x0, y0, x1, y1), brows to chin; six points: the person's right eye, left eye,
    tip of the nose, mouth, right ear and left ear."""

    scores: Float[np.ndarray, "n"]
    boxes: Float[np.ndarray, "n 4"]
    points: Float[np.ndarray, "n 6 2"]


@functools.cache
def anchors(height: int, width: int) -> Float32[np.ndarray, "n 2"]:
    """Centres (x, y) of the anchors of a picture, in pixels."""
    found = []
    for step, count in MAPS:
        y, x = np.mgrid[: height // step, : width // step].reshape(2, -1)
        found.append(np.repeat((np.stack([x, y], 1) + 0.5) * step, count, axis=0))
    return np.concatenate(found).astype(np.float32)


@jax.jit
def _best(
    variables: dict, picture: UInt8[Array, "h w 3"]
) -> tuple[Float[Array, "k"], Float[Array, "k 4"], Float[Array, "k 6 2"]]:
    """Scores, boxes and points of the `BEST` anchors."""
    logits, numbers = BlazeFace().apply(variables, picture[None] / jnp.float32(127.5) - 1.0)
    best, chosen = jax.lax.top_k(logits[0], BEST)
    numbers = numbers[0, chosen].reshape(BEST, NUMBERS // 2, 2)
    middles = jnp.asarray(anchors(*picture.shape[:2]))[chosen]
    points = middles[:, None] + jnp.delete(numbers, 1, axis=1, assume_unique_indices=True)
    middle, half = points[:, 0], numbers[:, 1] / 2
    return jax.nn.sigmoid(best), jnp.concatenate([middle - half, middle + half], 1), points[:, 1:]


def in_square(image: UInt8[np.ndarray, "h w 3"], side: int) -> tuple[UInt8[np.ndarray, "side side 3"], float]:
    """The image in the upper left corner of a black square, as large as fits, and the factor that scales coordinates back."""
    factor = max(image.shape[:2]) / side
    size = [max(1, min(side, round(length / factor))) for length in image.shape[1::-1]]
    square = np.zeros((side, side, 3), np.uint8)
    way = cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR
    square[: size[1], : size[0]] = cv2.resize(image, size, interpolation=way)
    return square, factor


def look(image: UInt8[np.ndarray, "h w 3"], side: int, threshold: float) -> Found:
    """Detections above a score in the image, resized to `side` pixels (a multiple of 16)."""
    square, factor = in_square(image, side)
    scores, boxes, points = (np.asarray(part, np.float64) for part in _best(load("blazeface"), square))
    kept = scores > threshold
    return Found(scores[kept], boxes[kept] * factor, points[kept] * factor)


def joined(found: Sequence[Found]) -> Found:
    """All detections of several calls of `look`."""
    return Found(*map(np.concatenate, zip(*found, strict=True)))


def iou(box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n"]:
    """Intersection over union of a box with each of `boxes`."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0.0), axis=1)
    area = lambda b: np.prod(b[..., 2:] - b[..., :2], axis=-1)
    return common / np.maximum(area(box) + area(boxes) - common, 1e-9)


def merged(found: Found) -> Found:
    """Every face once, highest score first: the score-weighted mean of the detections that overlap with its best one."""
    left, faces = np.argsort(-found.scores, kind="stable"), []
    while len(left):
        same = iou(found.boxes[left[0]], found.boxes[left]) > SAME_IOU
        same[0] = True
        group, left = left[same], left[~same]
        weights = found.scores[group] / found.scores[group].sum()
        mean = lambda values, weights=weights, group=group: np.tensordot(weights, values[group], 1)
        faces.append((found.scores[group[0]], mean(found.boxes), mean(found.points)))
    empty = [np.zeros((0, *part.shape[1:])) for part in found]
    return Found(*map(np.array, zip(*faces, strict=True))) if faces else Found(*empty)


def find(image: UInt8[np.ndarray, "h w 3"], sides: Sequence[int], threshold: float) -> Found:
    """Faces of an image, detected at several sizes and merged."""
    return merged(joined([look(image, side, threshold) for side in sides]))
