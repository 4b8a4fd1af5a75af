"""Everything of one person that is drawn: triangles on the head's mesh, their materials, and a picture of their colours.

Hair, glasses and clothes are triangles too: each corner follows a vertex of the head's mesh, at a fixed offset from it, so
that they move with the skin. Colours are display-coded (sRGB), as painters and pictures have them; shading makes them linear.
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
    """How a surface answers to light.

    kind: what is special about it. `eye`: white, iris and pupil are drawn by gaze, not taken from the atlas. `teeth`, `tongue`:
        the mouth's depth darkens them. `hair`, `lashes`: the highlight runs along strands.
    specular: reflectance at normal incidence; skin .028, water .02, cloth .01. The atlas' `shine` scales it.
    gloss: exponent of the highlight (Blinn's): 10 dull, 40 moist skin, 200 wet.
    wrap: share of light that reaches round the edge of the shadow, 0 hard to .5 wax.
    subsurface: colour of the light that does (linear RGB, 1 is all of it).
    cut: whether the atlas' alpha cuts holes into it; alphas between 0 and 255 are that share of opacity.
    two_sided: whether its back is seen.
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
"""By name; `Model.material` holds the place in this order. `hair` is for closed layers, `hair_strips` for hanging ribbons."""

MATERIAL_INDEX: dict[str, int] = {name: index for index, name in enumerate(MATERIALS)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One person as the rasteriser draws it, in mesh space (decimetres, y up, z towards the viewer).

    Corner c stands at express(…)[vertex_of[c]] + offset[c]. It is turned with the head as far as the mesh vertex is that it
    follows. Corners of one `group` stand at one place and share one smooth normal (they differ in uv only).
    """

    vertex_of: Int32[np.ndarray, "k"]  # mesh vertex that a corner follows
    offset: Float[np.ndarray, "k 3"]  # from it, decimetres
    group: Int32[np.ndarray, "k"]
    triangles: Int32[np.ndarray, "f 3"]  # corners, counter-clockwise as seen from outside
    uv: Float[np.ndarray, "k 2"]  # into the atlas: u to the right, v up; row 0 is v = 1
    material: UInt8[np.ndarray, "f"]  # place in MATERIALS
    albedo: UInt8[np.ndarray, "a a 3"]  # display-coded diffuse colour
    alpha: UInt8[np.ndarray, "a a"]  # opacity; read only where the material is `cut`
    shine: UInt8[np.ndarray, "a a"]  # specular reflectance over the material's, 128 leaves it
    iris: Colour
    sclera: Colour


MOUTH_NARROWED = 0.2
"""Share of its way to the middle that the mouth's inside is drawn together."""

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
    """The vertices with the mouth's inside and the gums drawn together, lest an expression pushes them through the skin."""
    inside, depth = mouth_inside()
    out = vertices.copy()
    out[inside] += (vertices[inside].mean(0) - vertices[inside]) * (MOUTH_NARROWED * depth)[:, None]
    for row in BITE:
        gum, share = gums(row)
        out[gum] += (vertices[gum].mean(0) - vertices[gum]) * (MOUTH_NARROWED * share)[:, None] * (1, 0, 1)
    return out


def _head(vertices: Float[np.ndarray, "v 3"], hidden: Bool[np.ndarray, "f"]) -> list[Piece]:
    """The mesh's own triangles, part by part, without those that nobody sees."""
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
    """The model's fields about geometry. Only pieces of the mesh itself share groups with each other."""
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
    """The model's atlas; what nothing is painted on has the skin's mean colour, which smaller copies mix into its edges."""
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
    """Faces of the mesh that nobody sees: far behind the lids, and scalp well inside hair that hides it."""
    mesh = load_mesh()
    behind = socket_faces()
    cut = cut_of(traits)
    if traits.cut in WITHOUT_MANE or cut.cover < 0.9:
        return behind
    inside = above_hairline(mesh.vertices, hairline(traits)) > 0.3
    return behind | (inside[mesh.faces].all(1) & (mesh.part == PARTS.index("skin")))


def dress(rng: np.random.Generator, traits: Traits, vertices: Float[np.ndarray, "v 3"]) -> Model:
    """A person of given traits on a given shape of the head."""
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
    """What a person of the shape looks like."""
    return dress(rng, draw_traits(rng, shape), shape.vertices)
