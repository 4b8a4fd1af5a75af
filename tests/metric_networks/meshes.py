"""Landmarks of Face Mesh whose five points are known."""

from __future__ import annotations

import numpy as np

from xactor_jax.metric_networks.alignment import FIVE


def mesh_at(points: np.ndarray) -> np.ndarray:
    """468 landmarks whose five points are given, in pixels where the centre of the first pixel is at (0, 0)."""
    mesh = np.full((468, 3), np.nan)
    for pair, point in zip(FIVE, points, strict=True):
        for index, sign in zip(pair, (-1, 1), strict=True):
            mesh[index] = [*(point + 0.5 + (sign * 3 if pair[0] != pair[1] else 0)), 0]
    return mesh
