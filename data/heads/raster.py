"""A rasteriser in NumPy that works row by row: it decides which triangle is visible at every pixel.

A triangle covers a pixel if the pixel's centre (column + 1/2, row + 1/2) lies inside. In each row, a triangle covers the pixels
between two of its edges. Edge a → b, with a above b, crosses the row of height y at

    x(y) = x_a + (y - y_a) (x_b - x_a) / (y_b - y_a),       y_a <= y < y_b,                               (1)

and the columns with x_left <= column + 1/2 < x_right are covered. Two triangles with a common edge compute (1) from the same
numbers in the same order, so their rows meet without a gap and without an overlap. Along edges and rows the nearness n > 0 is
interpolated linearly, which is exact for n = 1 / depth (perspective) and for n = constant - depth (parallel light).
Interpolated values stay between those of the corners at every distance, so no range of depth has to be fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32

HALF = np.float32(0.5)

_LEAST_AREA = 1e-5
"""Twice a triangle's area in square pixels, below which values are constant over the triangle."""

_AROUND = 8
"""Pixels around a triangle's centre that are searched for nearer surfaces."""


class Fragments(NamedTuple):
    """Fragments: one row for every pixel that a triangle covers, or for every pixel where one is visible."""

    pixel: Int32[np.ndarray, "n"]  # row · side + column
    triangle: Int32[np.ndarray, "n"]
    nearness: Float32[np.ndarray, "n"]

    def of(self, chosen: np.ndarray) -> Fragments:
        """Some of the fragments, by a mask or by indices."""
        return Fragments(*(column[chosen] for column in self))


Holes = Callable[[Fragments], Bool[np.ndarray, "n"]]
"""Whether fragments are solid (True) or lie in a hole of their triangle."""


def signed_areas(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"]) -> Float32[np.ndarray, "f"]:
    """Twice the areas in square pixels; positive where the corners run counter-clockwise in the picture (y points down)."""
    x, y = np.take(points[:, 0], triangles.T), np.take(points[:, 1], triangles.T)
    return (y[1] - y[0]) * (x[2] - x[0]) - (x[1] - x[0]) * (y[2] - y[0])


def _by_height(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"]) -> list[np.ndarray]:
    """The upper, middle and lower corner of every triangle: (x, y, nearness) [3, f] each."""
    a, b, c = (np.ascontiguousarray(corner) for corner in triangles.T)
    height = np.ascontiguousarray(points[:, 1])
    a, b = _sorted_pair(height, a, b)
    b, c = _sorted_pair(height, b, c)
    a, b = _sorted_pair(height, a, b)
    columns = np.ascontiguousarray(points.T)
    return [np.take(columns, corner, axis=1) for corner in (a, b, c)]


def _sorted_pair(height: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    below = np.take(height, a) > np.take(height, b)
    return np.where(below, b, a), np.where(below, a, b)


def _owners(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For consecutive ranges of `count` members each: the range of every member (int64, the index type that NumPy uses
    fastest), and its position in the range."""
    owner = np.repeat(np.arange(len(count)), count)
    before = (np.cumsum(count) - count).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) - np.take(before, owner)


def _first_at_or_after(edge: np.ndarray, side: int) -> Int32[np.ndarray, "n"]:
    """The first pixel whose centre is at or after `edge`, clipped to 0 … side."""
    return np.clip(np.ceil(edge - HALF), 0, side).astype(np.int32)


def _edge(upper: np.ndarray, lower: np.ndarray) -> list[np.ndarray]:
    """An edge (equation 1): (x, y, nearness) at the upper end, and the changes of x and nearness per row."""
    drop = lower[1] - upper[1]
    slope = np.float32(1.0) / np.where(drop > 0, drop, np.float32(1.0))
    return [*upper, (lower[0] - upper[0]) * slope, (lower[2] - upper[2]) * slope]


def _halves(upper: np.ndarray, middle: np.ndarray, lower: np.ndarray) -> Float32[np.ndarray, "10 h"]:
    """The long edge and the opposite one: first those above the middle corner of every triangle, then those below."""
    long, above, below = _edge(upper, lower), _edge(upper, middle), _edge(middle, lower)
    return np.stack([np.concatenate(pair) for pair in zip(long + above, long + below, strict=True)])


class _Spans(NamedTuple):
    """Columns first … stop - 1 that a triangle covers in a row, the nearness at the first, and its change per column."""

    triangle: np.ndarray
    row: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    nearness: np.ndarray
    step: np.ndarray


def _spans(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], side: int) -> _Spans:
    """The spans of all triangles in all rows of a picture."""
    corners = _by_height(points, triangles)
    ends = [_first_at_or_after(corner[1], side) for corner in corners]
    start = np.concatenate(ends[:2])
    count = np.concatenate(ends[1:]) - start
    owner, below = _owners(np.maximum(count, 0))
    row = np.take(start, owner) + below
    values = np.take(_halves(*corners), owner, axis=1)
    height = row.astype(np.float32) + HALF
    (x, nearness), (x2, nearness2) = (_crossing(values[i : i + 5], height) for i in (0, 5))
    first, stop = (_first_at_or_after(edge, side) for edge in (np.minimum(x, x2), np.maximum(x, x2)))
    filled = np.flatnonzero(stop > first)
    number = owner % max(1, len(triangles))
    all_of = (number.astype(np.int32), row, first, stop, x, nearness, x2, nearness2)
    triangle, row, first, stop, x, nearness, x2, nearness2 = (np.take(value, filled) for value in all_of)
    step = (nearness2 - nearness) / (x2 - x)
    return _Spans(triangle, row, first, stop, nearness + (first.astype(np.float32) + HALF - x) * step, step)


def _crossing(edge: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, nearness, x_step, nearness_step = edge
    down = height - y
    return x + down * x_step, nearness + down * nearness_step


def cover(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], side: int) -> Fragments:
    """All fragments of triangles in a picture of `side` × `side` pixels, in the order of triangles, visible or not.

    `points` are (x, y, nearness): pixels to the right and down from the upper left corner, and a positive number that falls
    with depth, as the module docstring says.
    """
    spans = _spans(points, triangles, side)
    owner, along = _owners(spans.stop - spans.first)
    pixel = np.take(spans.row * np.int32(side) + spans.first, owner) + along
    nearness = np.take(spans.nearness, owner) + along.astype(np.float32) * np.take(spans.step, owner)
    return Fragments(pixel, np.take(spans.triangle, owner), nearness)


def nearest(
    fragments: Fragments, side: int, floor: np.ndarray | None = None
) -> tuple[Fragments, Float32[np.ndarray, "pixels"]]:
    """The nearest fragment of every pixel, if it is nearer than `floor`, and the nearness of every pixel (0: no fragment).

    Of equally near fragments the last is taken.
    """
    depth = np.zeros(side * side, np.float32) if floor is None else floor.copy()
    np.maximum.at(depth, fragments.pixel, fragments.nearness)
    winner = np.full(side * side, -1, np.int32)
    seen = np.flatnonzero(fragments.nearness == np.take(depth, fragments.pixel))
    winner[fragments.pixel[seen]] = seen
    return fragments.of(winner[winner >= 0]), depth


def _hidden(
    points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], depth: Float32[np.ndarray, "side side"]
) -> Bool[np.ndarray, "f"]:
    """Triangles that are certainly hidden: their nearest corner is behind all of `depth` around them.

    Triangles larger than `_AROUND` pixels are never counted as hidden.
    """
    corners = np.take(points, triangles.T, axis=0)
    low, high = corners.min(0), corners.max(0)
    middle = np.floor(0.5 * (low + high)[:, :2])
    reach = np.maximum(middle - low[:, :2], high[:, :2] - middle).max(1)
    farthest = cv2.erode(depth, np.ones((2 * _AROUND + 1,) * 2, np.uint8))
    column, row = np.clip(middle.T, 0, len(depth) - 1).astype(np.int64)
    return (high[:, 2] < farthest[row, column]) & (reach < _AROUND)


def _cover_some(points: np.ndarray, triangles: np.ndarray, some: np.ndarray, side: int) -> Fragments:
    covered = cover(points, np.take(triangles, some, axis=0), side)
    return covered._replace(triangle=np.take(some.astype(np.int32), covered.triangle))


def rasterise(
    points: Float32[np.ndarray, "v 3"],
    triangles: Int32[np.ndarray, "f 3"],
    side: int,
    two_sided: Bool[np.ndarray, "f"],
    cut: Bool[np.ndarray, "f"],
    solid: Holes,
) -> Fragments:
    """Visible fragments of triangles that face the viewer or are two-sided. `solid` tells where `cut` ones have no holes.

    `solid` is evaluated only where no solid triangle hides the fragment.
    """
    area = signed_areas(points, triangles)
    shown = (area > 0) | (two_sided & (area != 0))
    opaque, depth = nearest(_cover_some(points, triangles, np.flatnonzero(shown & ~cut), side), side)
    doubtful = np.flatnonzero(shown & cut)
    doubtful = doubtful[~_hidden(points, triangles[doubtful], depth.reshape(side, side))]
    before = _cover_some(points, triangles, doubtful, side)
    before = before.of(np.flatnonzero(before.nearness > np.take(depth, before.pixel)))
    front, _ = nearest(before.of(np.flatnonzero(solid(before))), side, depth)
    hidden = np.zeros(side * side, bool)
    hidden[front.pixel] = True
    behind = opaque.of(np.flatnonzero(~hidden[opaque.pixel]))
    return Fragments(*(np.concatenate(pair) for pair in zip(behind, front, strict=True)))


def interpolate(
    points: Float32[np.ndarray, "v 3"],
    triangles: Int32[np.ndarray, "f 3"],
    values: Sequence[Float32[np.ndarray, "f c"]],
    fragments: Fragments,
    side: int,
) -> Float32[np.ndarray, "n c"]:
    """Values at fragments, interpolated from the triangles' three corners.

    The interpolation is linear in the picture, since triangles are small against their distance. It is a plane, computed once
    for every triangle: v_a + v_x (x - x_a) + v_y (y - y_a).
    """
    (xa, xb, xc), (ya, yb, yc) = np.take(points[:, 0], triangles.T), np.take(points[:, 1], triangles.T)
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    scale = np.where(np.abs(area) > _LEAST_AREA, 1.0, 0.0) / np.where(area == 0, 1.0, area)
    by_b, by_c = values[1] - values[0], values[2] - values[0]
    column = lambda factor: (factor * scale).astype(np.float32)[:, None]
    along_x = by_b * column(yc - ya) - by_c * column(yb - ya)
    along_y = by_c * column(xb - xa) - by_b * column(xc - xa)
    triangle = fragments.triangle.astype(np.int64)
    row, column_ = np.divmod(fragments.pixel, np.int32(side))
    out = np.take(along_x, triangle, axis=0)
    out *= (column_.astype(np.float32) + HALF - np.take(xa, triangle))[:, None]
    part = np.take(along_y, triangle, axis=0)
    part *= (row.astype(np.float32) + HALF - np.take(ya, triangle))[:, None]
    out += part
    out += np.take(values[0], triangle, axis=0)
    return out
