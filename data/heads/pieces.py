"""Pieces of a person's model: surfaces that follow the head's mesh, and functions that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from data.heads.atlas import Box


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Triangles of one material. `points` are the corners' positions on the person at rest (decimetres)."""

    points: Float32[np.ndarray, "k 3"]
    vertex_of: Int32[np.ndarray, "k"]  # the mesh vertex that each corner follows
    group: Int32[np.ndarray, "k"]  # corners of one group share a normal
    triangles: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "k 2"]
    material: str


class Picture(NamedTuple):
    """Content of a box of the atlas."""

    box: Box
    colour: Float32[np.ndarray, "h w 3"]  # display-coded, 0 to 1
    alpha: Float32[np.ndarray, "h w"]
    shine: Float32[np.ndarray, "h w"]  # factor of the material's shine


def grid_triangles(rows: int, columns: int, closed: bool = False) -> Int32[np.ndarray, "f 3"]:
    """Two triangles per cell of a grid of points [rows, columns]. Columns run anticlockwise as seen from above, rows down.

    Args:
        closed: whether the last column is joined to the first.
    """
    right = np.roll(np.arange(columns), -1)[: columns if closed else columns - 1]
    left = np.arange(len(right))
    top = (np.arange(rows - 1) * columns)[:, None]
    a, b = top + left, top + right
    cells = np.stack([np.stack([a, a + columns, b + columns], -1), np.stack([a, b + columns, b], -1)], axis=2)
    return cells.reshape(-1, 3).astype(np.int32)


def sheet(
    points: Float[np.ndarray, "r c 3"],
    vertex_of: Int32[np.ndarray, "r c"],
    box: Box,
    material: str,
    *,
    ring: bool = False,
    keep: Bool[np.ndarray, "r c"] | None = None,
) -> Piece:
    """A grid of points that shows the box's picture.

    Args:
        ring: whether the last column lies on the first and shares its normals.
        keep: only cells with a kept point are drawn.
    """
    rows, columns = points.shape[:2]
    down, across = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    group = np.arange(rows * columns).reshape(rows, columns)
    if ring:
        group[:, -1] = group[:, 0]
    triangles = grid_triangles(rows, columns)
    if keep is not None:
        triangles = triangles[keep.ravel()[triangles].any(1)]
    return Piece(
        points=points.reshape(-1, 3).astype(np.float32),
        vertex_of=vertex_of.reshape(-1).astype(np.int32),
        group=group.reshape(-1).astype(np.int32),
        triangles=triangles,
        uv=box.uv(np.stack([across.ravel(), down.ravel()], axis=1)),
        material=material,
    )
