"""Everything that is the same in all frames of a clip: places and materials of a model, colours at the picture's scale, ambient
occlusion. It is computed once, so that a frame is cheap.

Corners of a model that share a position (`Model.group`) are one place here, which is moved, lit and projected once.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32, UInt8

from data.heads import shadow
from data.heads.camera import head_share
from data.heads.light import unit
from data.heads.model import MATERIALS, Model
from data.heads.shading import Surfaces, linear_of_display, materials_at, mouth_light
from data.heads.shape import Shape, express
from xactor_jax.labels import UNITS

TEXELS = 4
"""Side of the atlas from which colours are taken, as a multiple of the picture's side (at most the atlas' own side)."""

_OPEN_JAW = 0.35
"""Jaw opening of the pose in which ambient occlusion is computed, so that the inside of the lips is dark but not black."""

_DARKER = 1.25
"""Exponent of the openness. Interreflection between skin, which brightens creases, is weaker than the surrounding light."""

_CASTS = ("skin", "hair", "cloth", "frame")
"""Kinds of materials whose triangles cast shadows."""


class Normals:
    """Computes smooth normals of places from the triangles around each."""

    def __init__(self, faces: Int32[np.ndarray, "f 3"], places: int):
        self._faces = np.ascontiguousarray(faces.T)
        order = np.argsort(faces.ravel(), kind="stable")
        at, first, count = np.unique(faces.ravel()[order], return_index=True, return_counts=True)
        self._table = np.full((int(count.max()), places), len(faces), np.int32)
        for i in range(len(self._table)):
            some = count > i
            self._table[i, at[some]] = order[first[some] + i] // 3

    def __call__(self, points: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Unit normals, weighted by the triangles' areas."""
        a, b, c = (np.take(points, corner, axis=0) for corner in self._faces)
        b -= a
        c -= a
        flat = np.zeros((len(a) + 1, 3), np.float32)
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            np.subtract(b[:, j] * c[:, k], b[:, k] * c[:, j], out=flat[:-1, i])
        out = np.take(flat, self._table[0], axis=0)
        for row in self._table[1:]:
            out += np.take(flat, row, axis=0)
        return unit(out)


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Colours (linear RGB) with shine as fourth channel, and opacity, at the picture's scale."""

    colour: Float32[np.ndarray, "a a 4"]
    alpha: UInt8[np.ndarray, "a a"]

    @classmethod
    def of(cls, model: Model, size: int) -> Atlas:
        """The model's atlas, reduced to `TEXELS` · size."""
        side = min(model.albedo.shape[0], TEXELS * size)
        reduced = lambda image: cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        colour = linear_of_display()[model.albedo]
        shine = model.shine.astype(np.float32)[..., None] / 128.0
        return cls(reduced(np.concatenate([colour, shine], axis=2)), reduced(model.alpha))


@dataclasses.dataclass(frozen=True)
class EyeBall:
    """The places of an eyeball, and its centre at rest and radius, fitted to them."""

    places: Int32[np.ndarray, "e"]
    centre: Float32[np.ndarray, "3"]
    radius: float


def fit_ball(places: Int32[np.ndarray, "e"], points: Float32[np.ndarray, "n 3"]) -> EyeBall:
    """Least-squares fit of a ball: |p|² = 2 p·c + (r² - |c|²)."""
    p = points[places].astype(np.float64)
    solution = np.linalg.lstsq(np.c_[2.0 * p, np.ones(len(p))], (p * p).sum(1), rcond=None)[0]
    radius = float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))
    return EyeBall(places, solution[:3].astype(np.float32), radius)


def _kind_of(model: Model) -> np.ndarray:
    return np.array([material.kind for material in MATERIALS.values()])[model.material]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Places of a model and their surfaces; G places, F triangles."""

    vertex_of: Int32[np.ndarray, "g"]
    offset: Float32[np.ndarray, "g 3"]
    share: Float32[np.ndarray, "g"]  # see camera.head_share
    faces: Int32[np.ndarray, "f 3"]  # places
    corners: Int32[np.ndarray, "f 3"]
    uv: Float32[np.ndarray, "k 2"]
    two_sided: Bool[np.ndarray, "f"]
    cut: Bool[np.ndarray, "f"]
    ball: Int8[np.ndarray, "f"]  # index in `balls` of the triangle's eyeball, or -1
    face: Int32[np.ndarray, "c"]  # corners of the front of the skin, whose colour sets the exposure
    casters: Int32[np.ndarray, "c 3"]  # places
    normals: Normals
    surfaces: Surfaces
    openness: shadow.Openness
    balls: tuple[EyeBall, ...]  # the person's right eye (left in the picture), and the left

    def places(self, vertices: Float32[np.ndarray, "v 3"]) -> Float32[np.ndarray, "g 3"]:
        """Positions of the places, before the head is posed."""
        return np.take(vertices, self.vertex_of, axis=0) + self.offset


def _casters(model: Model, kinds: np.ndarray, faces: np.ndarray) -> Int32[np.ndarray, "c 3"]:
    """Triangles that cast shadows: those that are mostly solid."""
    middle = model.uv[model.triangles].mean(1)
    side = model.alpha.shape[0]
    row, column = (np.clip(((1.0 - middle[:, 1], middle[:, 0])[i] * side).astype(int), 0, side - 1) for i in (0, 1))
    cut = np.array([material.cut for material in MATERIALS.values()])[model.material]
    solid = ~cut | (model.alpha[row, column] > 110)
    return np.ascontiguousarray(faces[np.isin(kinds, _CASTS) & solid])


def _balls(kinds: np.ndarray, faces: np.ndarray, rest: Float32[np.ndarray, "g 3"]) -> tuple[EyeBall, ...]:
    places = np.unique(faces[kinds == "eye"]).astype(np.int32)
    sides = (places[rest[places, 0] < 0], places[rest[places, 0] >= 0])
    return tuple(fit_ball(side, rest) for side in sides if len(side))


def _ball_of(kinds: np.ndarray, faces: np.ndarray, balls: tuple[EyeBall, ...]) -> Int8[np.ndarray, "f"]:
    out = np.full(len(kinds), -1, np.int8)
    for number, ball in enumerate(balls):
        out[(kinds == "eye") & np.isin(faces[:, 0], ball.places)] = number
    return out


def _front(model: Model, kinds: np.ndarray, rest: Float32[np.ndarray, "g 3"], eyes: Float32[np.ndarray, "3"]) -> np.ndarray:
    corners = np.unique(model.triangles[kinds == "skin"])
    at = rest[model.group[corners]] - eyes
    return corners[(at[:, 2] > -0.3) & (np.abs(at[:, 1] + 0.3) < 0.8)]


def _open_units() -> Float32[np.ndarray, "52"]:
    units = np.zeros(len(UNITS), np.float32)
    units[UNITS.index("jawOpen")] = _OPEN_JAW
    return units


def shadow_box(eyes: Float32[np.ndarray, "3"]) -> shadow.Box:
    """The box of the shadow map: head and neck. Shoulders beyond it get the light of its edge."""
    return shadow.Box((eyes + np.array([0.0, -0.4, -0.7])).astype(np.float32), 2.2)


def make_stage(model: Model, shape: Shape) -> Stage:
    """Computes everything of model and shape that is the same in all frames."""
    model_places = np.unique(model.group, return_index=True, return_inverse=True)
    first, group = model_places[1], model_places[2].ravel().astype(np.int32)
    model = dataclasses.replace(model, group=group)
    vertex_of, offset = model.vertex_of[first], np.asarray(model.offset[first], np.float32)
    faces, kinds = group[model.triangles], _kind_of(model)
    rest = shape.vertices[vertex_of] + offset
    balls = _balls(kinds, faces, rest)
    eyes = np.mean([ball.centre for ball in balls], axis=0)
    normals, casters = Normals(faces, len(first)), _casters(model, kinds, faces)
    opened = express(shape, _open_units())[vertex_of] + offset
    openness = shadow.openness(opened, normals(opened), casters, shadow_box(eyes))
    inside = mouth_light(model, rest)
    surfaces = Surfaces(
        *materials_at(model, len(first)), np.where(inside < 1, inside, openness.whole**_DARKER).astype(np.float32)
    )
    flag = lambda name: np.array([getattr(material, name) for material in MATERIALS.values()])[model.material]
    return Stage(
        vertex_of=vertex_of,
        offset=offset,
        share=head_share(shape.vertices[vertex_of], eyes),
        faces=np.ascontiguousarray(faces),
        corners=model.triangles,
        uv=np.asarray(model.uv, np.float32),
        two_sided=flag("two_sided"),
        cut=flag("cut"),
        ball=_ball_of(kinds, faces, balls),
        face=_front(model, kinds, rest, eyes),
        casters=casters,
        normals=normals,
        surfaces=surfaces,
        openness=openness,
        balls=balls,
    )
