"""The head's mesh: rest shape, expression units and shape targets (MakeHuman's, CC0).

Lengths are decimetres; x points to the right of the picture (the person's left), y up, z towards the viewer. A person's
mesh is `vertices` plus weighted shape targets. A face in motion is that plus weighted expression units (data/heads/shape.py).
launch/assets/heads.py makes the file.
"""

from __future__ import annotations

import functools
import io
import lzma
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from xactor_jax.labels import UNITS

ASSETS = pathlib.Path(__file__).resolve().parents[1] / "assets" / "heads"

FILE = "mesh.npz.xz"

PARTS = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "lashes")

STEP = 1e-3
"""Unit of the integers in the file, decimetres: the precision of the source."""


@dataclass(frozen=True)
class Target:
    """A sparse displacement of the mesh at weight 1: vertices `index` move by `delta`."""

    index: Int32[np.ndarray, "k"]
    delta: Float32[np.ndarray, "k 3"]


@dataclass(frozen=True)
class Mesh:
    """Vertices are points in space. Corners are vertices with texture coordinates; a vertex on a seam has several corners."""

    vertices: Float32[np.ndarray, "v 3"]
    vertex_of: Int32[np.ndarray, "c"]
    """Vertex of every corner."""
    uv: Float32[np.ndarray, "c 2"]
    """Texture coordinates, 0..1, v up."""
    triangles: Int32[np.ndarray, "f 3"]
    """Corners, counter-clockwise from outside."""
    part: UInt8[np.ndarray, "f"]
    """Index into PARTS."""
    units: Float32[np.ndarray, "52 v 3"]
    """Displacements of the expression units (`xactor_jax.labels.UNITS`) at weight 1."""
    targets: Mapping[str, Target]
    """Shape targets, such as `nose/nose-hump-incr` or `macrodetails/asian-female-old`."""
    masks: Mapping[str, UInt8[np.ndarray, "512 512"]]
    """Masks in the skin's texture; row 0 is v = 1."""
    rings: Mapping[str, Int32[np.ndarray, "k n"]]
    """Rings of vertices around the openings `eye_left`, `eye_right` and `mouth`, from the inside of lids and lips outwards. All
    have the same order: from one corner over the upper lid or lip to the other corner and back."""
    hair: Int32[np.ndarray, "h 3"]
    """Triangles of vertices: a closed surface of long hair around head and back. It follows the targets and is not drawn."""

    @functools.cached_property
    def faces(self) -> Int32[np.ndarray, "f 3"]:
        """Triangles as vertices, without texture seams."""
        return self.vertex_of[self.triangles]


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False) as file:
        return dict(file)


def _targets(file: Mapping[str, np.ndarray], kind: str) -> dict[str, Target]:
    ends = np.cumsum(file[f"{kind}_size"])[:-1]
    steps = np.split(file[f"{kind}_delta"], ends)
    index = np.split(file[f"{kind}_index"].astype(np.int32), ends)
    parts = zip(file[f"{kind}_name"].tolist(), index, steps, strict=True)
    return {name: Target(i, d.astype(np.float32) * np.float32(STEP)) for name, i, d in parts}


def _group(file: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in file.items() if key.startswith(prefix)}


def dense(target: Target, vertices: int) -> Float32[np.ndarray, "v 3"]:
    """The target as displacements of all vertices."""
    out = np.zeros((vertices, 3), np.float32)
    out[target.index] = target.delta
    return out


@functools.cache
def load_mesh() -> Mesh:
    """The mesh of the project's assets. It is read once per process."""
    file = _read(ASSETS / FILE)
    units = _targets(file, "unit")
    return Mesh(
        vertices=file["vertices"],
        vertex_of=file["vertex_of"],
        uv=file["uv"],
        triangles=file["triangles"],
        part=file["part"],
        units=np.stack([dense(units[name], len(file["vertices"])) for name in UNITS]),
        targets=_targets(file, "target"),
        masks=_group(file, "mask_"),
        rings=_group(file, "rings_"),
        hair=file["hair"],
    )
