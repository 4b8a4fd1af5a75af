"""Faces come to the published places: known transforms are found again, and the fits are those of the published code."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metric_networks.meshes import mesh_at
from xactor_jax.metric_networks.alignment import (
    ARCFACE_POINTS,
    DEEP3D_POINTS,
    arcface_crop,
    deep3d_crop,
    five_points,
    projection,
    similarity,
)


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, equations 40 to 43, as scikit-image's SimilarityTransform."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u * signs @ vt
    scale = (d * signs).sum() / a.var(axis=0).sum()
    return np.concatenate([scale * turn, (target.mean(0) - scale * turn @ source.mean(0))[:, None]], axis=1)


def test_a_known_similarity_is_found_again(rng):
    points = rng.uniform(0, 300, (5, 2))
    turn = 1.7 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    np.testing.assert_allclose(similarity(points, points @ turn.T + (12, -7)), np.c_[turn, [12, -7]], atol=1e-9)


def test_other_points_are_mapped_as_closely_as_possible(rng):
    for _ in range(20):
        source = ARCFACE_POINTS * rng.uniform(0.5, 3) + rng.normal(0, 20, (5, 2))
        np.testing.assert_allclose(similarity(source, ARCFACE_POINTS), umeyama(source, ARCFACE_POINTS), atol=1e-9)


def marked(size: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """A picture with a bright blob at every point."""
    y, x = np.indices(size)
    blobs = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 4**2)) for px, py in points]
    return np.repeat((255 * np.max(blobs, axis=0)).astype(np.uint8)[..., None], 3, axis=2)


def centres(crop: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Centres of the blobs near given points."""
    y, x = np.indices(crop.shape[:2])
    weights = [crop[..., 0] * (np.hypot(x - px, y - py) < 8) for px, py in near]
    return np.array([[np.average(x, weights=w), np.average(y, weights=w)] for w in weights])


def test_five_points_are_middles_of_eyes_nose_and_mouth_corners():
    points = np.arange(10.0).reshape(5, 2) * 11
    np.testing.assert_allclose(five_points(mesh_at(points)), points)


def test_arcface_s_crop_has_the_points_of_its_template():
    turn = 2.2 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = (ARCFACE_POINTS - 56) @ turn.T + (190, 170)
    crop = arcface_crop(marked((360, 400), points), mesh_at(points))
    np.testing.assert_allclose(centres(crop, ARCFACE_POINTS), ARCFACE_POINTS, atol=0.3)


def published(points: np.ndarray) -> tuple[np.ndarray, float]:
    """t and s by the published system of ten equations with eight unknowns, points with y upwards."""
    system = np.zeros((10, 8))
    system[0::2, :3], system[0::2, 3] = DEEP3D_POINTS, 1
    system[1::2, 4:7], system[1::2, 7] = DEEP3D_POINTS, 1
    k = np.linalg.lstsq(system, points.ravel(), rcond=None)[0]
    return k[[3, 7]], (np.linalg.norm(k[:3]) + np.linalg.norm(k[4:7])) / 2


def test_the_projection_of_the_standard_face_is_the_published_one(rng):
    points = DEEP3D_POINTS[:, :2] * 140 + (250, 260) + rng.normal(0, 4, (5, 2))
    t, s = projection(points)
    wanted_t, wanted_s = published(points)
    np.testing.assert_allclose(t, wanted_t)
    assert s == pytest.approx(wanted_s)


def test_deep3d_s_crop_has_the_standard_face_at_102_pixels_a_unit():
    at = lambda scale, middle: DEEP3D_POINTS[:, :2] * (scale, -scale) + middle
    points = at(140, (230.0, 190.0))
    crop = deep3d_crop(marked((400, 480), points), mesh_at(points))
    wanted = at(102, (112, 112))
    np.testing.assert_allclose(centres(crop, wanted), wanted, atol=1.6)  # lengths are cut to whole pixels, as published
    assert crop.shape == (224, 224, 3)
    beyond = deep3d_crop(np.full((60, 60, 3), 200, np.uint8), mesh_at(at(102, (30, 30))))
    assert beyond[0, 0].max() == 0 and beyond[112, 112].min() == 200
