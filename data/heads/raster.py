"""Which triangle is seen at every pixel: a rasteriser of rows in NumPy.

A pixel is hit by a triangle where its centre (column + 1/2, row + 1/2) lies inside. Row by row, a triangle covers what lies
between two of its edges. Edge a → b, a above b, crosses the row of height y at

    x(y) = x_a + (y - y_a) (x_b - x_a) / (y_b - y_a),       y_a <= y < y_b,                               (1)

and of a row, the columns with x_left <= column + 1/2 < x_right are covered. Two triangles with a common edge compute (1) from
the same numbers in the same order, so their rows meet without a hole and without an overlap. Along edges and rows the
nearness n > 0 is interpolated linearly, which is exact for n = 1 / depth (perspective) and for n = constant - depth
(parallel light). Values stay between those at the corners, whatever the distance: no range of depth is fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

HALF = np.float32(0.5)


class Fragments(NamedTuple):
    """What triangles cover: one row for every pixel of every triangle, or for every pixel that shows one."""

    pixel: Int32[np.ndarray, "n"]  # row · side + column
    triangle: Int32[np.ndarray, "n"]
    nearness: Float32[np.ndarray, "n"]

    def of(self, chosen: np.ndarray) -> Fragments:
        """Those of a mask or of indices."""
        return Fragments(self.pixel[chosen], self.triangle[chosen], self.nearness[chosen])


Holes = Callable[[Fragments], Bool[np.ndarray, "n"]]
"""Whether fragments are solid (True) or lie in a hole of their triangle."""


def signed_areas(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"]) -> Float32[np.ndarray, "f"]:
    """Twice the areas in square pixels; positive where the corners run counter-clockwise as seen (y points down)."""
    x, y = np.take(points[:, 0], triangles.T), np.take(points[:, 1], triangles.T)
    return (y[1] - y[0]) * (x[2] - x[0]) - (x[1] - x[0]) * (y[2] - y[0])


def _by_height(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"]) -> list[tuple[np.ndarray, ...]]:
    """(x, y, nearness) of the upper, middle and lower corner of every triangle."""
    a, b, c = (np.ascontiguousarray(corner) for corner in triangles.T)
    height = points[:, 1]
    for _ in range(2):
        a, b = _sorted_pair(height, a, b)
        b, c = _sorted_pair(height, b, c)
    return [tuple(np.take(column, corner) for column in points.T) for corner in (a, b, c)]


def _sorted_pair(height: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    below = np.take(height, a) > np.take(height, b)
    return np.where(below, b, a), np.where(below, a, b)


def _rows(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For ranges start … stop - 1: which range every one of their members comes from, and the members."""
    count = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(count), dtype=np.int32), count)
    first = (np.cumsum(count) - count - start).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) - np.take(first, owner)


def _first_at_or_after(edge: np.ndarray, side: int) -> Int32[np.ndarray, "n"]:
    """The first pixel whose centre is not before `edge`, within 0 … side."""
    return np.clip(np.ceil(edge - HALF), 0, side).astype(np.int32)


class _Edges(NamedTuple):
    """Equation 1 and the nearness along edges: values at the upper end, and by how much they change a row."""

    x: np.ndarray
    y: np.ndarray
    nearness: np.ndarray
    x_step: np.ndarray
    nearness_step: np.ndarray

    @classmethod
    def between(cls, upper: tuple[np.ndarray, ...], lower: tuple[np.ndarray, ...]) -> _Edges:
        drop = lower[1] - upper[1]
        slope = np.float32(1.0) / np.where(drop > 0, drop, np.float32(1.0))
        return cls(*upper, (lower[0] - upper[0]) * slope, (lower[2] - upper[2]) * slope)

    def at(self, owner: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y, nearness, x_step, nearness_step = np.take(np.stack(self), owner, axis=1)
        down = height - y
        return x + down * x_step, nearness + down * nearness_step


def _joined(first: _Edges, second: _Edges) -> _Edges:
    return _Edges(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _spans(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], side: int) -> tuple[np.ndarray, ...]:
    """(triangle, row, first column, column after the last, nearness at the first, its step) of every row of a triangle.

    The middle corner cuts a triangle in two, so that one edge bounds each half on either side.
    """
    upper, middle, lower = _by_height(points, triangles)
    ends = [_first_at_or_after(corner[1], side) for corner in (upper, middle, lower)]
    owner, row = _rows(np.concatenate(ends[:2]), np.concatenate(ends[1:]))
    height = row.astype(np.float32) + HALF
    triangle = owner % np.int32(max(1, len(triangles)))
    short = _joined(_Edges.between(upper, middle), _Edges.between(middle, lower)).at(owner, height)
    long = _Edges.between(upper, lower).at(triangle, height)
    swap = short[0] < long[0]
    left, right = np.where(swap, short, long), np.where(swap, long, short)
    start, stop = _first_at_or_after(left[0], side), _first_at_or_after(right[0], side)
    filled = np.flatnonzero(stop > start)
    triangle, row, start, stop, left, right = (
        triangle[filled],
        row[filled],
        start[filled],
        stop[filled],
        left[:, filled],
        right[:, filled],
    )
    step = (right[1] - left[1]) / (right[0] - left[0])
    return triangle, row, start, stop, left[1] + (start.astype(np.float32) + HALF - left[0]) * step, step


def cover(points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], side: int) -> Fragments:
    """All that triangles cover of a picture of `side` × `side` pixels, in their order, hidden or not.

    `points` are (x, y, nearness): pixels to the right and down from the upper left corner, and any positive number that falls
    with depth as the module docstring says.
    """
    triangle, row, start, stop, nearness, step = _spans(points, triangles, side)
    count = stop - start
    first = (np.cumsum(count) - count).astype(np.int32)
    along = np.arange(count.sum(), dtype=np.int32) - np.repeat(first, count)
    pixel = along + np.repeat(row * np.int32(side) + start, count)
    beyond = along.astype(np.float32) * np.repeat(step, count)
    return Fragments(pixel, np.repeat(triangle, count), np.repeat(nearness, count) + beyond)


def nearest(
    fragments: Fragments, side: int, floor: np.ndarray | None = None
) -> tuple[Fragments, Float32[np.ndarray, "pixels"]]:
    """The nearest fragment of every pixel that is nearer than `floor`, and the nearness seen everywhere (0: nothing).

    Of equally near ones the last counts.
    """
    depth = np.zeros(side * side, np.float32) if floor is None else floor.copy()
    np.maximum.at(depth, fragments.pixel, fragments.nearness)
    winner = np.full(side * side, -1, np.int32)
    seen = np.flatnonzero(fragments.nearness == np.take(depth, fragments.pixel))
    winner[fragments.pixel[seen]] = seen
    return fragments.of(winner[winner >= 0]), depth


def rasterise(
    points: Float32[np.ndarray, "v 3"],
    triangles: Int32[np.ndarray, "f 3"],
    side: int,
    two_sided: Bool[np.ndarray, "f"],
    cut: Bool[np.ndarray, "f"],
    solid: Holes,
) -> Fragments:
    """What is seen of triangles that face the viewer or have two sides; `solid` says where those that are `cut` have no holes.

    Holes are asked for only where nothing solid hides them.
    """
    area = signed_areas(points, triangles)
    shown = np.flatnonzero((area > 0) | (two_sided & (area != 0)))
    fragments = cover(points, triangles[shown], side)
    fragments = fragments._replace(triangle=np.take(shown.astype(np.int32), fragments.triangle))
    doubtful = np.take(cut, fragments.triangle)
    opaque, depth = nearest(fragments.of(np.flatnonzero(~doubtful)), side)
    before = fragments.of(np.flatnonzero(doubtful & (fragments.nearness > np.take(depth, fragments.pixel))))
    front, _ = nearest(before.of(np.flatnonzero(solid(before))), side, depth)
    hidden = np.zeros(side * side, bool)
    hidden[front.pixel] = True
    behind = opaque.of(np.flatnonzero(~hidden[opaque.pixel]))
    return Fragments(*(np.concatenate(pair) for pair in zip(behind, front, strict=True)))


def barycentrics(
    points: Float32[np.ndarray, "v 3"], triangles: Int32[np.ndarray, "f 3"], fragments: Fragments, side: int
) -> Float32[np.ndarray, "3 n"]:
    """Weights of the three corners at the fragments, each 0 … 1, in the picture's plane.

    They are not corrected for perspective: triangles are small against their distance.
    """
    (xa, xb, xc), (ya, yb, yc) = np.take(points[:, 0], triangles.T), np.take(points[:, 1], triangles.T)
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    scale = np.float32(1.0) / np.where(area == 0, np.float32(1.0), area)
    planes = np.stack([xa, ya, (yc - ya) * scale, (xa - xc) * scale, (ya - yb) * scale, (xb - xa) * scale])
    x, y, by_x, by_y, cx, cy = np.take(planes, fragments.triangle, axis=1)
    x = (fragments.pixel % side).astype(np.float32) + HALF - x
    y = (fragments.pixel // side).astype(np.float32) + HALF - y
    weights = np.empty((3, len(x)), np.float32)
    np.clip(x * by_x + y * by_y, 0.0, 1.0, out=weights[1])
    np.clip(x * cx + y * cy, 0.0, 1.0 - weights[1], out=weights[2])
    np.subtract(1.0, weights[1] + weights[2], out=weights[0])
    return weights
