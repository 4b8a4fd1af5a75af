"""A person's model: what follows what, that it fits its atlas, and that traits show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data.heads import atlas, marks
from data.heads.accessories import RIMS
from data.heads.beard import LENGTHS
from data.heads.clothes import COLLARS
from data.heads.cuts import CUTS, WITHOUT_MANE, hairline
from data.heads.mesh import PARTS, load_mesh
from data.heads.model import MATERIAL_INDEX, dress
from data.heads.regions import above_hairline, front, load_regions, locate, mouth_inside
from data.heads.skin import paint_skin
from data.heads.traits import BEARDS, GARMENTS, GREY, SKIN_TONES, draw_traits, skin_colour
from data.heads.traits import CUTS as NAMES


@dataclasses.dataclass(frozen=True)
class Looks:
    """As much of a shape as traits ask for."""

    race: tuple[float, float, float] = (0.6, 0.2, 0.2)
    male: float = 0.5
    age: float = 0.4


def traits(person: int = 0, **changes):
    return dataclasses.replace(draw_traits(np.random.default_rng(person), Looks()), **changes)


def model(seed: int = 0, vertices: np.ndarray | None = None, **changes):
    vertices = load_mesh().vertices if vertices is None else vertices
    return dress(np.random.default_rng(seed), traits(seed, **changes), vertices)


def skin(**changes) -> np.ndarray:
    someone = traits(**changes)
    return paint_skin(np.random.default_rng(1), someone, hairline(someone), someone.hair, 0.0).colour


def standing(of, vertices: np.ndarray, *materials: str) -> np.ndarray:
    """Points of the model's corners of the materials."""
    corners = np.unique(of.triangles[np.isin(of.material, [MATERIAL_INDEX[name] for name in materials])])
    return vertices[of.vertex_of[corners]] + of.offset[corners]


def kinds(of) -> set[str]:
    names = list(MATERIAL_INDEX)
    return {names[i] for i in np.unique(of.material)}


def test_names_agree():
    assert set(NAMES) == set(CUTS)
    assert set(GARMENTS) == set(COLLARS)
    assert set(LENGTHS) | {"none", "stubble"} == set(BEARDS)


def test_texels_lie_under_their_corners():
    """The place of a corner in the picture shows the place of its vertex on the head."""
    mesh, under = load_mesh(), atlas.load_atlas()
    at = np.full(atlas.SIZE**2, -1)
    at[under.texel] = np.arange(len(under.texel))
    corners = np.unique(mesh.triangles[mesh.part == PARTS.index("skin")])
    column, row = (under.uv[corners] * (1, -1) * atlas.SIZE + (0, atlas.SIZE)).astype(int).T
    found = at[row * atlas.SIZE + column]
    assert (found >= 0).all()
    apart = np.linalg.norm(under.point[found] - mesh.vertices[mesh.vertex_of[corners]], axis=1)
    assert np.median(apart) < 0.01
    assert np.percentile(apart, 99) < 0.06


def test_boxes_do_not_overlap():
    boxes = [
        *atlas.BOXES.values(),
        atlas.HAIR,
        atlas.HAIR_OUTER,
        atlas.STRANDS,
        atlas.CLOTH,
        atlas.TRIM,
        atlas.BEARD,
        atlas.PLAIN,
    ]
    taken = np.zeros((atlas.SIZE, atlas.SIZE), int)
    for box in boxes:
        assert box.left >= 0 and box.left + box.width <= atlas.SIZE and box.top + box.height <= atlas.SIZE
        taken[box.rows, box.columns] += 1
    assert taken.max() == 1


def test_places_of_the_face_are_found_in_the_picture():
    """The middle of the left eye, as azimuth and height, is where the mesh has it."""
    on = load_regions()
    column, row = locate(front(np.array([[0.308, 7.2]]), 1.35))[0]
    nearest = np.argmin(np.abs(on.texel - (round(float(row)) * atlas.SIZE + round(float(column)))))
    np.testing.assert_allclose(on.point[nearest, :2], (0.308, 7.2), atol=0.04)


@pytest.mark.parametrize("cut", sorted(CUTS))
def test_every_cut(cut):
    beard = BEARDS[len(cut) % len(BEARDS)]
    someone = model(len(cut), cut=cut, glasses="round", garment=GARMENTS[len(cut) % 6], beard=beard, fringe=1.0)
    corners = len(someone.vertex_of)
    assert len(someone.triangles) <= 16000
    assert someone.triangles.min() >= 0 and someone.triangles.max() < corners
    assert someone.vertex_of.max() < len(load_mesh().vertices)
    assert np.isfinite(someone.offset).all() and np.abs(someone.offset).max() < 3.0
    assert (someone.uv >= 0).all() and (someone.uv <= 1).all()
    assert ({"hair", "hair_strips"} & kinds(someone) != set()) == (cut not in WITHOUT_MANE or beard in LENGTHS)


def test_corners_of_a_group_stand_at_one_place():
    someone = model(3, cut="long", glasses="square", earrings=True)
    points = load_mesh().vertices[someone.vertex_of] + someone.offset
    first = np.zeros(someone.group.max() + 1, int)
    first[someone.group] = np.arange(len(points))
    np.testing.assert_allclose(points, points[first[someone.group]], atol=1e-3)


def test_the_head_has_no_offset_and_the_hair_has():
    someone = model(2, cut="short")
    length = np.linalg.norm(someone.offset, axis=1)
    own = np.flatnonzero(~np.isin(someone.vertex_of, mouth_inside()[0]))
    own = np.intersect1d(own, someone.triangles[someone.material == MATERIAL_INDEX["skin"]])
    hair = np.unique(someone.triangles[someone.material == MATERIAL_INDEX["hair"]])
    assert length[own].max() == 0
    assert np.median(length[hair]) > 0.03


def test_hair_lies_outside_the_skull():
    someone, mesh = model(2, cut="short"), load_mesh()
    points = standing(someone, mesh.vertices, "hair")
    skin = mesh.vertices[np.unique(mesh.faces[mesh.part == 0])]
    middle = np.array([0.0, 7.4, 0.42])
    nearest = skin[np.argmin(((points[:, None] - skin[None]) ** 2).sum(-1), axis=1)]
    assert (np.linalg.norm(points - middle, axis=1) > np.linalg.norm(nearest - middle, axis=1) - 0.03).mean() > 0.98


def test_attachments_move_with_a_wider_head():
    wide = load_mesh().vertices * np.array([1.15, 1.0, 1.0], np.float32)
    for cut in ("short", "long"):
        narrow, broad = model(4, cut=cut, glasses="wide"), model(4, wide, cut=cut, glasses="wide")
        reach = [np.ptp(standing(m, v, "frame")[:, 0]) for m, v in ((narrow, load_mesh().vertices), (broad, wide))]
        assert 1.08 < reach[1] / reach[0] < 1.22


@pytest.mark.parametrize("form", sorted(RIMS))
def test_glasses_stand_before_the_eyes(form):
    someone, mesh = model(5, glasses=form, earrings=False), load_mesh()
    points = standing(someone, mesh.vertices, "frame")
    before = points[np.abs(points[:, 0]) < 0.4]
    eyes = mesh.vertices[np.unique(mesh.faces[mesh.part == PARTS.index("eye_left")])]
    assert before[:, 2].min() > eyes[:, 2].max()
    assert points[:, 2].min() < 0.5  # arms reach the ears
    assert before[:, 1].min() < eyes[:, 1].min() and before[:, 1].max() > eyes[:, 1].max()


def test_skin_tones_are_ordered_from_light_to_dark():
    luma = [skin_colour(tone, 0.0) @ np.array([0.3, 0.6, 0.1]) for tone in np.linspace(0, 1, 9)]
    assert (np.diff(luma) < -0.02).all()
    light, dark = (skin(tone=tone).mean() for tone in (0.05, 0.95))
    assert light > dark + 0.3
    assert len(SKIN_TONES) >= 6


CHANGES = {
    "redness": ({"redness": 0.0}, {"redness": 1.0}, lambda on: on.cheeks > 0.7),
    "lipstick": ({"lip_stick": None}, {"lip_stick": (0.7, 0.1, 0.2)}, lambda on: on.lips > 0.9),
    "eye shadow": ({"eye_shadow": None}, {"eye_shadow": (0.2, 0.2, 0.5)}, lambda on: on.lids > 0.6),
    "stubble": ({"stubble": 0.0}, {"stubble": 1.0}, lambda on: on.beard > 0.8),
    "beard": ({"beard": "none"}, {"beard": "full"}, lambda on: on.beard > 0.8),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_traits_show_where_they_should(name):
    before, after, where = CHANGES[name]
    plain = {
        "tone": 0.1,
        "stubble": 0.0,
        "beard": "none",
        "hair": (0.1, 0.08, 0.06),
        "moles": 0,
        "freckles": 0.0,
        "birthmark": False,
    }
    difference = np.abs(skin(**plain | before) - skin(**plain | after)).mean(1)
    on = load_regions()
    mine = where(on) & (on.outer > 0.5)
    assert difference[mine].mean() > 0.03
    assert difference[mine].mean() > 4 * difference[~mine].mean()


def test_age_draws_lines_and_brows_are_hairs():
    someone, shape = traits(), (640, 640)
    smooth, lined = (
        marks.lines(np.random.default_rng(0), dataclasses.replace(someone, lines=age), shape) for age in (0.0, 1.0)
    )
    assert lined.max() > 3 * max(smooth.max(), 0.02)
    hairs = marks.brows(np.random.default_rng(0), someone, shape)
    assert 0.001 < (hairs > 60).mean() < 0.03


def test_hairline_recedes():
    full, gone = (hairline(traits(cut="receding", receded=share)) for share in (0.0, 1.0))
    temple = np.array([[0.6, 7.95, 1.2]])
    assert above_hairline(temple, full) > 0 > above_hairline(temple, gone)


def test_people_are_drawn_from_all_kinds():
    people = [draw_traits(np.random.default_rng([9, i]), Looks(male=float(i % 2), age=i % 11 / 10)) for i in range(600)]
    assert {p.cut for p in people} == set(CUTS)
    assert {p.garment for p in people} == set(GARMENTS)
    assert {p.beard for p in people} == set(BEARDS)
    assert 0.12 < np.mean([p.glasses != "" for p in people]) < 0.35
    assert not any(p.beard != "none" for i, p in enumerate(people) if i % 2 == 0)
    grey = lambda p: np.linalg.norm(np.subtract(p.hair, GREY)) < 0.3
    assert np.mean([grey(p) for p in people if p.age > 0.8]) > 3 * np.mean([grey(p) for p in people if p.age < 0.3])


def test_the_same_rng_gives_the_same_person():
    one, other, third = model(7), model(7), model(8)
    np.testing.assert_array_equal(one.albedo, other.albedo)
    np.testing.assert_array_equal(one.offset, other.offset)
    assert (one.albedo != third.albedo).mean() > 0.3
