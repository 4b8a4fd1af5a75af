"""Puts newly drawn faces back into the picture from which they were cut.

Face i was cut out of a square with the centre c_i and the side s_i. At the position p, the picture x becomes

    (1)  y(p) = x(p) + Σ_i w_i(p) (r_i(p) - x(p))
    (2)  w_i(p) = m_i(p) Π_j h((p - b_ij) · u_ij / (`FEATHER` (s_i + s_j) / 2) + 1/2)
    (3)  m_i(p) = h(d_i(p) / (`FEATHER` s_i)),      h(t) = t² (3 - 2t), t clipped to [0, 1]

r_i is the drawn face, resized to the square (equation 4). d_i is the distance from the square's border, inside, with corners of
radius `ROUND` s_i. So a face fades into the picture on a frame of `FEATHER` s_i, whose ends have no edge because h is flat
there. A side of the square on the edge of the picture, or beyond it, has no fading.

The product in (2) is over the faces j whose squares overlap with that of i, whether they are drawn or not. u_ij is the unit
vector from c_j to c_i. b_ij divides the line between the centres as the sides of the squares do, so that two faces of one size
are divided midway. As h(t) + h(1 - t) = 1, the weights of all faces add up to 1 at most.

A drawn face f of n × n pixels is resized along both axes at once, to positions between pixels as well:

    (4)  r = A f Bᵀ,      A_pk ∝ L((u_p - k) / z),      L(t) = sinc(t) sinc(t / 3) for |t| < 3

u_p is the position of pixel p of the picture in pixels of f, rows of A add up to 1, z = max(1, n / s), and B is the same for
columns. This is Lanczos interpolation; with z > 1 it averages, so that nothing is skipped where a face gets smaller. OpenCV's
`resize` cannot begin between two pixels, and its `warpAffine` with this kernel takes eight times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from xactor_jax.media.crop import SquareBox
from xactor_jax.media.faces import overlap

FEATHER, ROUND = 0.08, 0.25
"""Width of the fading, and radius of the corners, as fractions of the square's side.

A chin is as near to the lower side as .06. With a fading of .12, the chin of an open mouth is blurred, as it lies over that of
the picture; with .05, hair above the upper side is seen to end."""


class Patch(NamedTuple):
    """Where a face goes: the part of the picture that its square covers, the weights w there (equation 2), the same for the
    three colours, and the matrices A and B of equation 4."""

    rows: slice
    columns: slice
    weight: Float32[np.ndarray, "h w 3"]
    to_rows: Float32[np.ndarray, "h n"]
    to_columns: Float32[np.ndarray, "w n"]


def patches_of(
    image_shape: tuple[int, ...], side: int, squares: Sequence[SquareBox], beside: Sequence[SquareBox] = ()
) -> tuple[Patch, ...]:
    """The patches of faces.

    Args:
        image_shape: of the picture: height, width, …
        side: of the drawn faces, in pixels.
        squares: of these faces in the picture.
        beside: squares of faces that stay as they are.
    """
    everyone = [*squares, *beside]
    others = lambda square: [other for other in everyone if other is not square]
    return tuple(_patch(image_shape, side, square, others(square)) for square in squares)


def composite(
    still: UInt8[np.ndarray, "h w 3"], patches: Sequence[Patch], drawn: Iterable[UInt8[np.ndarray, "n n 3"]]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with one drawn face per patch (equation 1). Where all weights are 0 it is the same to the bit."""
    picture = still.copy()
    for patch, face in zip(patches, drawn, strict=True):
        place = (patch.rows, patch.columns)
        difference = cv2.subtract(resized(face, patch), still[place], dtype=cv2.CV_32F)
        change = cv2.multiply(difference, patch.weight)
        picture[place] = cv2.add(picture[place], change, dtype=cv2.CV_8U)  # rounded, and clipped to 0…255
    return picture


def resized(face: UInt8[np.ndarray, "n n 3"], patch: Patch) -> Float32[np.ndarray, "h w 3"]:
    """A drawn face in the pixels of its patch (equation 4), the inverse of `crop.crop_square`. It may exceed 0…255 a little."""
    colours = cv2.split(face.astype(np.float32))
    return cv2.merge([patch.to_rows @ colour @ patch.to_columns.T for colour in colours])


def _patch(image_shape: tuple[int, ...], side: int, square: SquareBox, others: Sequence[SquareBox]) -> Patch:
    height, width = image_shape[:2]
    rows = slice(max(0, int(square.y0)), min(height, int(np.ceil(square.y1))))
    columns = slice(max(0, int(square.x0)), min(width, int(np.ceil(square.x1))))
    y, x = (np.arange(part.start, part.stop) + 0.5 for part in (rows, columns))
    at = (x[None, :], y[:, None])
    weight = smooth_step(_inside(at, square, (height, width)) / (FEATHER * square.size))
    for other in others:
        if overlap(square, other) > 0:
            weight = weight * _share(at, square, other)
    return Patch(rows, columns, np.repeat(weight.astype(np.float32)[..., None], 3, axis=2), *_matrices(y, x, square, side))


def _matrices(
    y: Float[np.ndarray, "h"], x: Float[np.ndarray, "w"], square: SquareBox, side: int
) -> tuple[Float32[np.ndarray, "h n"], Float32[np.ndarray, "w n"]]:
    """A and B of equation 4. The square is that of `crop.crop_square`, whose side is a whole number."""
    whole = max(1, round(square.x1 - square.x0))
    at = lambda p, middle: (p - middle + whole / 2) * side / whole - 0.5
    across, down = square.centre
    return lanczos(at(y, down), side, side / whole), lanczos(at(x, across), side, side / whole)


def lanczos(u: Float[np.ndarray, "p"], count: int, ratio: float) -> Float32[np.ndarray, "p {count}"]:
    """Weights of `count` pixels at the positions u, of which two neighbours are `ratio` apart (equation 4)."""
    t = (u[:, None] - np.arange(count)) / max(1.0, ratio)
    weights = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def smooth_step(t: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """h of equation 3."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


Positions = tuple[Float[np.ndarray, "1 w"], Float[np.ndarray, "h 1"]]
"""x and y of pixels."""


def _inside(at: Positions, square: SquareBox, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Distance d from the rounded border, positive inside. Sides at the edge of the picture are moved far away."""
    (height, width), side = size, square.size
    x0, y0 = (start if start > 0 else start - 2 * side for start in (square.x0, square.y0))
    x1, y1 = (end if end < edge else end + 2 * side for end, edge in ((square.x1, width), (square.y1, height)))
    # Distances beyond the rectangle whose corners are the centres of the rounded corners.
    beyond = [
        np.abs(p - (low + high) / 2) - (high - low) / 2 + ROUND * side
        for p, low, high in zip(at, (x0, y0), (x1, y1), strict=True)
    ]
    out = np.hypot(*(np.maximum(b, 0.0) for b in beyond))
    return ROUND * side - out - np.minimum(np.maximum(*beyond), 0.0)


def _share(at: Positions, square: SquareBox, other: SquareBox) -> Float[np.ndarray, "h w"]:
    """The share of a face in what it and another one cover (one factor of equation 2)."""
    centre, away = np.array(square.centre), np.array(other.centre)
    border = centre + (away - centre) * square.size / (square.size + other.size)
    direction = (centre - away) / max(float(np.linalg.norm(centre - away)), 1e-9)
    along = (at[0] - border[0]) * direction[0] + (at[1] - border[1]) * direction[1]
    return smooth_step(along / (FEATHER * (square.size + other.size) / 2) + 0.5)
