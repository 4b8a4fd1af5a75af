"""Noise and strokes that all painting functions share."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

_SHIFT = 4
"""Fractional bits of the coordinates given to OpenCV."""


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Smooth noise with a variance of about 1 and about `cells` (rows, columns) maxima and minima."""
    small = rng.standard_normal((max(2, min(cells[0], shape[0])), max(2, min(cells[1], shape[1]))), np.float32)
    return cv2.resize(small * np.float32(1.3), shape[::-1], interpolation=cv2.INTER_CUBIC)


def strokes(
    canvas: UInt8[np.ndarray, "h w"], lines: Float[np.ndarray, "n k 2"], strength: np.ndarray, width: int = 1
) -> UInt8[np.ndarray, "h w"]:
    """Draws lines of texels (column, row) on the canvas, each with a strength from 0 to 255; at crossings the stronger wins."""
    points = np.round(lines * (1 << _SHIFT)).astype(np.int32)
    for level in np.unique(np.round(strength / 16.0).astype(int)):  # a few levels, so that OpenCV is rarely called
        mine = list(points[np.round(strength / 16.0).astype(int) == level])
        layer = cv2.polylines(np.zeros_like(canvas), mine, False, int(min(255, level * 16)), width, cv2.LINE_AA, _SHIFT)
        np.maximum(canvas, layer, out=canvas)
    return canvas
