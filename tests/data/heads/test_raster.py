"""Every pixel shows the nearest triangle that its centre lies in, and only one of two that share an edge."""

from __future__ import annotations

import numpy as np
import pytest

from data.heads import raster


def mesh_of_squares(rng: np.random.Generator, cells: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A jittered grid over the picture and beyond it, each cell cut in two: points (x, y, nearness), triangles."""
    axis = np.linspace(-2.0, side + 2.0, cells + 1)
    x, y = np.meshgrid(axis, axis)
    inside = np.zeros((cells + 1, cells + 1))
    inside[1:-1, 1:-1] = 0.3 * (axis[1] - axis[0])
    x, y = x + inside * rng.uniform(-1, 1, x.shape), y + inside * rng.uniform(-1, 1, x.shape)
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1).astype(np.float32)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    a, b, c, d = corner, corner + 1, corner + cells + 1, corner + cells + 2
    return points, np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


def seen(points: np.ndarray, triangles: np.ndarray, side: int, **options: object) -> raster.Fragments:
    settings = {
        "two_sided": np.ones(len(triangles), bool),
        "cut": np.zeros(len(triangles), bool),
        "solid": lambda f: f.pixel < 0,
    }
    return raster.rasterise(points.astype(np.float32), triangles.astype(np.int32), side, **{**settings, **options})


def inside(points: np.ndarray, triangle: np.ndarray, side: int, slack: float) -> np.ndarray:
    """Pixels [side, side] whose centre lies at least `slack` (of the weights of corners) inside, by solving for them."""
    y, x = np.mgrid[:side, :side] + 0.5
    corners = np.r_[points[triangle, :2].T.astype(np.float64), np.ones((1, 3))]
    weights = np.linalg.solve(corners, np.stack([x.ravel(), y.ravel(), np.ones(side * side)]))
    return (weights > slack).all(0).reshape(side, side)


@pytest.mark.parametrize("side", [32, 96, 256])
def test_neighbours_leave_no_hole_and_cover_nothing_twice(rng, side):
    points, triangles = mesh_of_squares(rng, side // 2, side)
    covered = raster.cover(points, triangles, side)
    np.testing.assert_array_equal(np.bincount(covered.pixel, minlength=side * side), 1)


def test_edges_through_pixel_centres_belong_to_one_side():
    points, triangles = mesh_of_squares(np.random.default_rng(0), 8, 12)
    points[:, :2] = np.round(points[:, :2]) + 0.5
    assert np.bincount(raster.cover(points, triangles, 12).pixel, minlength=144).max() == 1


def test_covers_what_lies_inside(rng):
    side = 40
    for _ in range(20):
        points = np.c_[rng.uniform(-10, 50, (3, 2)), np.ones(3)]
        got = np.zeros(side * side, bool)
        got[raster.cover(points.astype(np.float32), np.array([[0, 1, 2]], np.int32), side).pixel] = True
        got = got.reshape(side, side)
        triangle = np.arange(3)
        assert got[inside(points, triangle, side, 1e-4)].all()
        assert not got[~inside(points, triangle, side, -1e-4)].any()


def test_nearest_wins_against_trying_all(rng):
    side, count = 32, 30
    points = np.c_[rng.uniform(-5, 37, (3 * count, 2)), rng.uniform(0.1, 1, 3 * count)]
    triangles = np.arange(3 * count).reshape(count, 3)
    best, owner = np.zeros((side, side)), np.full((side, side), -1)
    y, x = np.mgrid[:side, :side] + 0.5
    for i, triangle in enumerate(triangles):
        corners = np.r_[points[triangle, :2].T, np.ones((1, 3))]
        weights = np.linalg.solve(corners, np.stack([x.ravel(), y.ravel(), np.ones(side * side)]))
        nearness = np.where((weights >= 0).all(0), points[triangle, 2] @ weights, 0).reshape(side, side)
        owner[nearness > best] = i
        best = np.maximum(best, nearness)
    got = seen(points, triangles, side)
    picture = np.full(side * side, -1)
    picture[got.pixel] = got.triangle
    assert (picture.reshape(side, side) != owner).mean() < 0.01
    assert len(np.unique(got.pixel)) == len(got.pixel)


def ball(around: int, along: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward triangles of a sphere of radius 1."""
    theta, phi = np.meshgrid(
        np.linspace(0.01, np.pi - 0.01, along), np.linspace(0, 2 * np.pi, around, endpoint=False), indexing="ij"
    )
    points = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(along - 1), np.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    return points, np.concatenate([np.stack([a, a + around, b], -1), np.stack([b, a + around, b + around], -1)]).reshape(-1, 3)


@pytest.mark.parametrize("distance", [3.0, 30.0, 3000.0])
def test_far_balls_do_not_show_their_insides(distance):
    points, triangles = ball(40, 20)
    nearness = 1 / (distance - points[:, 2])
    picture = np.c_[32 + 20 * points[:, 0] * nearness * distance, 32 - 20 * points[:, 1] * nearness * distance, nearness]
    got = seen(picture, triangles, 64)
    assert len(got.pixel) > 1000
    depth = points[triangles[got.triangle], 2].mean(1)
    assert depth.min() > -0.1
    one_sided = seen(picture, triangles, 64, two_sided=np.zeros(len(triangles), bool))
    assert set(zip(got.pixel, got.triangle, strict=True)) == set(zip(one_sided.pixel, one_sided.triangle, strict=True))


def test_holes_show_what_is_behind():
    square = np.array([[0, 0], [16, 0], [0, 16], [16, 16]], float)
    points = np.r_[np.c_[square, np.full(4, 0.5)], np.c_[square, np.full(4, 1.0)]]
    triangles = np.array([[0, 2, 1], [1, 2, 3], [4, 6, 5], [5, 6, 7]])
    got = seen(points, triangles, 16, cut=np.array([False, False, True, True]), solid=lambda f: f.pixel % 16 < 8)
    assert np.array_equal(np.sort(got.pixel), np.arange(256))
    assert np.array_equal(got.triangle >= 2, got.pixel % 16 < 8)


def test_interpolation_is_linear_in_the_picture(rng):
    points = np.c_[rng.uniform(0, 24, (3, 2)), np.ones(3)].astype(np.float32)
    triangles = np.array([[0, 1, 2]], np.int32)
    covered = raster.cover(points, triangles, 24)
    assert len(covered.pixel) > 5
    values = [points[[corner], :2] for corner in range(3)]
    at = raster.interpolate(points, triangles, values, covered, 24)
    expected = np.stack([covered.pixel % 24, covered.pixel // 24], 1) + 0.5
    np.testing.assert_allclose(at, expected, atol=1e-3)
