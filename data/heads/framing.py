"""Points of a face that framing and boxes go by: groups of vertices, found on the mesh at rest, the same on everybody."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Float32, Int

from data.heads.mesh import PARTS, load_mesh
from data.heads.shape import Shape

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Lowest and highest x (of either sign), y and z, decimetres on the mesh."""

EYES_WITH_BROWS: Box = ((0.0, 0.60), (7.10, 7.62), (1.0, 2.0))
MOUTH_WITH_CHIN: Box = ((0.0, 0.36), (6.05, 6.80), (1.1, 2.0))
CHIN: Box = ((0.0, 0.12), (6.05, 6.17), (1.1, 2.0))
CHEEKS: Box = ((0.62, 0.80), (6.85, 7.25), (0.3, 1.0))

PARTS_OF_FACE = ("eye_right", "eye_left", "mouth", "chin", "cheeks")


@functools.cache
def within(box: Box) -> Int[np.ndarray, "k"]:
    """Vertices of the skin in a box on either side."""
    mesh = load_mesh()
    skin = np.unique(mesh.faces[mesh.part == PARTS.index("skin")])
    x, y, z = np.abs(mesh.vertices[skin, 0]), mesh.vertices[skin, 1], mesh.vertices[skin, 2]
    inside = [(low <= value) & (value <= high) for value, (low, high) in zip((x, y, z), box, strict=True)]
    return skin[np.logical_and.reduce(inside)]


@functools.cache
def _groups() -> dict[str, Int[np.ndarray, "k"]]:
    mesh = load_mesh()
    eyes = {name: np.unique(mesh.faces[mesh.part == PARTS.index(name)]) for name in ("eye_right", "eye_left")}
    return {**eyes, "mouth": np.unique(mesh.rings["mouth"][0]), "chin": within(CHIN), "cheeks": within(CHEEKS)}


def face_points(vertices: Float[np.ndarray, "v 3"]) -> Float32[np.ndarray, "5 3"]:
    """Middles of `PARTS_OF_FACE` (both cheeks together)."""
    return np.stack([vertices[group].mean(0) for group in (_groups()[name] for name in PARTS_OF_FACE)]).astype(np.float32)


def middle_of_eyes(shape: Shape) -> Float32[np.ndarray, "3"]:
    """The point between the eyes of a face at rest."""
    return face_points(shape.vertices)[:2].mean(0)
