"""Everything of one person that is drawn: triangles on the head's mesh, their materials, and an atlas of their colours.

Hair, glasses and clothes are triangles, too. Each of their corners follows a vertex of the head's mesh at a fixed offset, so
that they move with the skin. Colours are display-coded (sRGB) for painting; shading converts them to linear.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from data.heads.accessories import make_accessories
from data.heads.atlas import SIZE, load_atlas
from data.heads.beard import make_beard
from data.heads.clothes import hidden_faces, make_clothes
from data.heads.cuts import WITHOUT_MANE, cut_of, hairline
from data.heads.hair import make_hair
from data.heads.headwear import make_headwear
from data.heads.lashes import lower_lashes, paint_lashes
from data.heads.mesh import PARTS, load_mesh
from data.heads.mouth import BITE, gums, paint_mouth
from data.heads.pieces import Picture, Piece
from data.heads.regions import above_hairline, mouth_inside, socket_faces
from data.heads.skin import Painted, paint_skin
from data.heads.traits import Traits, draw_traits

if TYPE_CHECKING:
    from data.heads.shape import Shape

Kind = Literal["skin", "eye", "teeth", "tongue", "lashes", "hair", "cloth", "frame"]

Colour = tuple[float, float, float]
"""RGB, display-coded, 0 to 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """Reflection properties of a surface.

    kind: special treatment. `eye`: white, iris and pupil are drawn by gaze, not taken from the atlas. `teeth`, `tongue`:
        darkened by the depth of the mouth. `hair`, `lashes`: the highlight runs along strands.
    specular: reflectance at normal incidence; skin .028, water .02, cloth .01. The atlas' `shine` scales it.
    gloss: exponent of the highlight (Blinn's): 10 dull, 40 moist skin, 200 wet.
    wrap: share of light that reaches beyond the edge of the shadow, 0 hard to .5 wax.
    subsurface: colour of that light (linear RGB, 1 is all of it).
    cut: whether the atlas' alpha makes holes in it; values between 0 and 255 are that share of opacity.
    two_sided: whether its back is visible.
    """

    kind: Kind
    specular: float
    gloss: float
    wrap: float = 0.0
    subsurface: Colour = (1.0, 1.0, 1.0)
    cut: bool = False
    two_sided: bool = False


MATERIALS: dict[str, Material] = {
    "skin": Material(kind="skin", specular=0.030, gloss=22.0, wrap=0.35, subsurface=(1.0, 0.45, 0.28)),
    "eye": Material(kind="eye", specular=0.04, gloss=300.0, wrap=0.4),
    "teeth": Material(kind="teeth", specular=0.04, gloss=60.0, wrap=0.4),
    "tongue": Material(kind="tongue", specular=0.03, gloss=40.0, wrap=0.3, subsurface=(1.0, 0.5, 0.4)),
    "lashes": Material(kind="lashes", specular=0.0, gloss=10.0, cut=True, two_sided=True),
    "hair": Material(kind="hair", specular=0.045, gloss=18.0, wrap=0.25, cut=True),
    "hair_strips": Material(kind="hair", specular=0.045, gloss=18.0, wrap=0.25, cut=True, two_sided=True),
    "cloth": Material(kind="cloth", specular=0.008, gloss=8.0, wrap=0.1, two_sided=True),
    "frame": Material(kind="frame", specular=0.08, gloss=60.0, two_sided=True),
}
"""Materials by name; `Model.material` is an index in this order. `hair` is for closed layers, `hair_strips` for ribbons."""

MATERIAL_INDEX: dict[str, int] = {name: index for index, name in enumerate(MATERIALS)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One person in the form that the rasteriser draws, in mesh space (decimetres, y up, z towards the viewer).

    Corner c is at express(…)[vertex_of[c]] + offset[c]. It turns with the head by the share of its mesh vertex. Corners of one
    `group` are at one place and share one smooth normal (they differ only in uv).
    """

    vertex_of: Int32[np.ndarray, "k"]  # mesh vertex that a corner follows
    offset: Float[np.ndarray, "k 3"]  # from that vertex, decimetres
    group: Int32[np.ndarray, "k"]
    triangles: Int32[np.ndarray, "f 3"]  # corners, counter-clockwise as seen from outside
    uv: Float[np.ndarray, "k 2"]  # in the atlas: u to the right, v up; row 0 is v = 1
    material: UInt8[np.ndarray, "f"]  # index in MATERIALS
    albedo: UInt8[np.ndarray, "a a 3"]  # display-coded diffuse colour
    alpha: UInt8[np.ndarray, "a a"]  # opacity; used only where the material is `cut`
    shine: UInt8[np.ndarray, "a a"]  # factor of the material's specular reflectance; 128 is 1
    iris: Colour
    sclera: Colour


MOUTH_NARROWED = 0.2
"""Fraction of the way to its centre by which the mouth's inside is contracted."""

_PART_MATERIAL = {
    "skin": "skin",
    "eye_left": "eye",
    "eye_right": "eye",
    "teeth_upper": "teeth",
    "teeth_lower": "teeth",
    "tongue": "tongue",
    "lashes": "lashes",
}


def _narrowed_mouth(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """The vertices with a contracted inside of the mouth and gums, so that no expression pushes them through the skin."""
    inside, depth = mouth_inside()
    out = vertices.copy()
    out[inside] += (vertices[inside].mean(0) - vertices[inside]) * (MOUTH_NARROWED * depth)[:, None]
    for row in BITE:
        gum, share = gums(row)
        out[gum] += (vertices[gum].mean(0) - vertices[gum]) * (MOUTH_NARROWED * share)[:, None] * (1, 0, 1)
    return out


def _head(vertices: Float[np.ndarray, "v 3"], hidden: Bool[np.ndarray, "f"]) -> list[Piece]:
    """The mesh's own triangles, part by part, without hidden ones."""
    mesh, uv, points, pieces = load_mesh(), load_atlas().uv, _narrowed_mouth(vertices), []
    for part, material in _PART_MATERIAL.items():
        used, corner = np.unique(mesh.triangles[(mesh.part == PARTS.index(part)) & ~hidden], return_inverse=True)
        vertex, triangles = mesh.vertex_of[used], corner.reshape(-1, 3).astype(np.int32)
        piece = Piece(
            points=points[vertex], vertex_of=vertex, group=vertex, triangles=triangles, uv=uv[used], material=material
        )
        pieces.append(piece)
    return pieces


def _join(pieces: Sequence[Piece], vertices: Float[np.ndarray, "v 3"]) -> dict:
    """The geometry fields of the model. Only pieces of the mesh itself share groups with each other."""
    first = np.cumsum([0] + [len(piece.points) for piece in pieces])
    groups = [
        piece.group if piece.group is piece.vertex_of else piece.group + 10**6 * (1 + i) for i, piece in enumerate(pieces)
    ]
    vertex_of = np.concatenate([piece.vertex_of for piece in pieces]).astype(np.int32)
    index = [np.full(len(piece.triangles), MATERIAL_INDEX[piece.material], np.uint8) for piece in pieces]
    return {
        "vertex_of": vertex_of,
        "offset": np.concatenate([piece.points for piece in pieces]).astype(np.float32) - vertices[vertex_of],
        "group": np.unique(np.concatenate(groups), return_inverse=True)[1].astype(np.int32),
        "triangles": np.concatenate([piece.triangles + start for piece, start in zip(pieces, first, strict=False)]).astype(
            np.int32
        ),
        "uv": np.concatenate([piece.uv for piece in pieces]),
        "material": np.concatenate(index),
    }


def _byte(values: Float[np.ndarray, "*s"], unit: float = 255.0) -> UInt8[np.ndarray, "*s"]:
    return np.clip(values * np.float32(unit) + np.float32(0.5), 0.0, 255.0).astype(np.uint8)


def _paint(painted: Sequence[Painted], pictures: Sequence[Picture]) -> dict:
    """The model's atlas. Unpainted texels get the skin's mean colour, because reduced copies mix it into the edges."""
    albedo = np.empty((SIZE, SIZE, 3), np.uint8)
    albedo[:] = _byte(painted[0].colour.mean(0))
    alpha, shine = np.full((SIZE, SIZE), 255, np.uint8), np.full((SIZE, SIZE), 128, np.uint8)
    for part in painted:
        albedo.reshape(-1, 3)[part.texel] = _byte(part.colour)
        shine.reshape(-1)[part.texel] = _byte(part.shine, 128.0)
    for box, colour, opacity, reflection in pictures:
        at = box.rows, box.columns
        albedo[at], alpha[at], shine[at] = _byte(colour), _byte(opacity), _byte(reflection, 128.0)
    return {"albedo": albedo, "alpha": alpha, "shine": shine}


def buried_faces(traits: Traits) -> Bool[np.ndarray, "f"]:
    """Faces of the mesh that are never visible: far behind the lids, and scalp well inside dense hair."""
    mesh = load_mesh()
    behind = socket_faces()
    cut = cut_of(traits)
    if traits.cut in WITHOUT_MANE or cut.cover < 0.9:
        return behind
    inside = above_hairline(mesh.vertices, hairline(traits)) > 0.3
    return behind | (inside[mesh.faces].all(1) & (mesh.part == PARTS.index("skin")))


def dress(rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]) -> Model:
    """The model of a person with given traits and head shape."""
    pieces, pictures = (
        _head(vertices, hidden_faces(traits) | lower_lashes() | buried_faces(traits)),
        [paint_lashes(rng, traits)],
    )
    for make in (make_hair, make_headwear, make_beard, make_clothes, make_accessories):
        more, painted = make(rng, traits, vertices)
        pieces += more
        pictures += painted
    skin = paint_skin(rng, traits, hairline(traits), traits.hair, cut_of(traits).roots)
    white = np.array([0.86, 0.84, 0.81]) - np.array([0.02, 0.05, 0.09]) * rng.uniform() * (0.5 + traits.age)
    return Model(
        **_join(pieces, vertices),
        **_paint([skin, *paint_mouth(rng, traits)], pictures),
        iris=traits.iris,
        sclera=tuple(white.tolist()),
    )


def make_model(rng: np.random.Generator, shape: Shape) -> Model:
    """A random model of a person with the given head shape."""
    return dress(rng, draw_traits(rng, shape), shape.vertices)
