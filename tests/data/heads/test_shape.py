"""People differ, and nobody's face breaks: HEADS_PEOPLE=1000 tries so many people in place of a few."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from data.heads import axes, mending, raster, shape, slits, soundness
from data.heads.mesh import PARTS, load_mesh
from tests.data.heads.landmarks import landmarks
from xactor_jax.labels import UNITS

PEOPLE = int(os.environ.get("HEADS_PEOPLE", 24))

SIDE = 160
"""Pixels a side of pictures in which holes are looked for."""

TWICE = ("eyeBlink", "eyeSquint", "eyeWide", "cheekSquint", "browDown", "noseSneer", "mouthSmile", "mouthFrown", "mouthPress")
TWICE += ("mouthUpperUp", "mouthLowerDown", "mouthStretch", "eyeLookDown", "browOuterUp", "mouthDimple")
"""Units of both sides, here without Left and Right."""

OPEN_EYES = {
    "rest": {},
    "surprise": {"eyeWide": 1.0, "browInnerUp": 1.0, "browOuterUp": 1.0, "jawOpen": 0.6},
    "scream": {"jawOpen": 1.0, "mouthUpperUp": 0.6, "mouthLowerDown": 0.6},
    "laugh": {"jawOpen": 0.5, "mouthSmile": 1.0, "cheekSquint": 1.0},
    "disgust": {"noseSneer": 1.0, "mouthUpperUp": 1.0, "browDown": 1.0, "eyeSquint": 1.0},
    "kiss": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 1.0, "jawOpen": 0.3},
}
CLOSED_EYES = {
    "blink": {"eyeBlink": 1.0},
    "squeezed": {"eyeBlink": 1.0, "eyeSquint": 1.0, "cheekSquint": 1.0, "browDown": 1.0},
    "laughing": {"eyeBlink": 1.0, "mouthSmile": 1.0, "cheekSquint": 1.0, "jawOpen": 0.4},
    "looking down": {"eyeBlink": 1.0, "eyeLookDown": 1.0},
}
CLOSED_LIPS = {
    "rest": {},
    "smile": {"mouthSmile": 1.0},
    "frown": {"mouthFrown": 1.0},
    "press": {"mouthPress": 1.0},
    "kiss": {"mouthPucker": 1.0},
    "mouth closed over an open jaw": {"jawOpen": 0.5, "mouthClose": 0.5},
    "mouth closed": {"mouthClose": 1.0},
    "rolled": {"mouthRollUpper": 1.0, "mouthRollLower": 1.0},
    "shrug": {"mouthShrugLower": 1.0},
}


def units(weights):
    both = {name + side: value for name, value in weights.items() if name in TWICE for side in ("Left", "Right")}
    assert set(weights) <= set(UNITS) | set(TWICE)
    return np.array([(weights | both).get(name, 0.0) for name in UNITS], np.float32)


def plain(person):
    """The same person without local targets."""
    weights = shape.macro_weights(person.race, person.male, person.years, person.muscle, person.weight)
    return dataclasses.replace(person, vertices=mending.mend(shape.blend(weights)))


@pytest.fixture(scope="module")
def people():
    return [shape.make_shape(np.random.default_rng([7, index])) for index in range(PEOPLE)]


def pictures(vertices):
    """What is nearest at every pixel of a face, seen from in front: (of all triangles, of those that face the viewer)."""
    mesh = load_mesh()
    faces = mesh.faces[mesh.part != PARTS.index("lashes")]
    middle = mending.middle(vertices)
    points = np.array([0.5, 0.5, 0.0]) * SIDE + (vertices - middle + [0, 0.3, 0]) * [SIDE / 2.6, -SIDE / 2.6, 1] + [0, 0, 5]
    points = points.astype(np.float32)
    drawn = raster.cover(points, faces, SIDE)
    facing = raster.signed_areas(points, faces)[drawn.triangle] > 0
    return raster.nearest(drawn, SIDE), raster.nearest(drawn.of(facing), SIDE)


def parts_in_sight(vertices):
    mesh = load_mesh()
    (_, _), (front, _) = pictures(vertices)
    return np.bincount(mesh.part[mesh.part != PARTS.index("lashes")][front.triangle], minlength=len(PARTS))


def test_same_generator_gives_the_same_person():
    first, second = (shape.make_shape(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    assert first.vertices.dtype == np.float32
    assert dataclasses.replace(first, vertices=0) == dataclasses.replace(second, vertices=0)


def test_people_differ(people):
    """The faces of any two, laid over one another, are 2 mm apart on average; ages, sexes and races are all there."""
    face = load_mesh().vertices[:, 1] > 6.3
    places = np.stack([person.vertices[face] for person in people])
    apart = [np.linalg.norm(a - b, axis=-1).mean() for k, a in enumerate(places[:24]) for b in places[:k]]
    assert np.min(apart) > 0.02
    assert np.median(apart) > 0.06
    assert {int(np.argmax(person.race)) for person in people} == {0, 1, 2}
    assert np.ptp([person.male for person in people]) > 0.9
    assert np.ptp([person.years for person in people]) > 35


def test_sizes_are_human(people):
    """Ears 5 to 9 cm long and below the brows' height or little above, eyes 5 to 8 cm apart, faces upright."""
    for person in people:
        found = landmarks(person.vertices)
        ears = (found.ear_tops - found.ear_lobes)[:, 1]
        assert (ears > 0.33).all() and (ears < 0.6).all()
        assert (found.ear_tops[:, 1] < found.brows[..., 1].max() + 0.15).all()
        assert np.abs(found.ear_tops[:, 0]).max() < 1.05
        assert 0.5 < np.ptp(found.eyes[:, 0]) < 0.8
        assert found.crown[1] > found.eyes[0, 1] + 0.8 > found.chin[1] + 1.2


@pytest.mark.parametrize("name", OPEN_EYES | CLOSED_EYES)
def test_skin_is_never_turned_over(people, name):
    """No triangle at rest; with expressions, of which people are made for some only, at most a fold of three small ones."""
    weights = units((OPEN_EYES | CLOSED_EYES)[name])
    for person in people:
        face, whole = shape.express(person, weights), shape.express(plain(person), weights)
        assert len(soundness.turned_over(face, whole)) <= (3 if weights.any() else 0)


def test_without_limits_people_break():
    """What keeps the skin whole is needed: the same random axes without it turn triangles over."""
    broken = 0
    for index in range(8):
        rng = np.random.default_rng([7, index])
        macro = shape.macro_weights((1.0, 0.0, 0.0), 0.5, 40.0, 0.5, 0.5)
        local = {name: weight for part in shape.local_weights(rng, 0.5, 0.5) for name, weight in part.items()}
        broken += bool(len(soundness.turned_over(mending.mend(shape.blend(macro | local)), mending.mend(shape.blend(macro)))))
    assert broken > 2


@pytest.mark.parametrize("name", OPEN_EYES | CLOSED_EYES)
def test_no_holes_in_sight(people, name):
    """Wherever a triangle is seen from behind, one that faces the viewer is at most half a centimetre behind it."""
    mesh = load_mesh()
    skin = (mesh.part[mesh.part != PARTS.index("lashes")] == PARTS.index("skin")) & (
        mesh.vertices[mesh.faces[mesh.part != PARTS.index("lashes")], 1].min(axis=1) > 6.3
    )
    for person in people[:8]:
        (nearest, depth), (_, facing) = pictures(shape.express(person, units((OPEN_EYES | CLOSED_EYES)[name])))
        hole = (depth - facing > 0.05)[nearest.pixel] & skin[nearest.triangle]
        assert hole.sum() <= 2


@pytest.mark.parametrize("name", CLOSED_EYES)
def test_lids_close(people, name):
    for person in people:
        face = shape.express(person, units(CLOSED_EYES[name]))
        for eye in mending.EYES:
            assert np.abs(slits.opening(face, slits.slit(eye))).max() < 4e-3
        assert parts_in_sight(face)[[1, 2]].sum() == 0


def test_lids_keep_out_of_the_eyes_whose_shape_stays(people):
    for person, weights in ((person, weights) for person in people[:8] for weights in (OPEN_EYES | CLOSED_EYES).values()):
        face = shape.express(person, units(weights))
        for eye in mending.EYES:
            centre, radius = slits.ball(face, eye)
            assert slits.ball(person.vertices, eye)[1] == pytest.approx(radius, rel=1e-4)
            away = np.linalg.norm(face[slits.slit(eye).rings[1:]] - centre, axis=-1)
            assert away.min() > radius


def test_eyes_open_half_way_at_half_a_blink(people):
    for person in people[:8]:
        rest, half = (shape.express(person, units({"eyeBlink": weight})) for weight in (0.0, 0.5))
        for eye in mending.EYES:
            full, now = (slits.opening(face, slits.slit(eye))[7] for face in (rest, half))
            assert 0.3 * full < now < 0.7 * full


@pytest.mark.parametrize("name", CLOSED_LIPS)
def test_lips_close(people, name):
    """Lips are less than half a millimetre apart along their edge, and hide teeth and tongue but for a few pixels."""
    for person in people:
        face = shape.express(person, units(CLOSED_LIPS[name]))
        gap = slits.opening(face, slits.slit("mouth"))
        assert gap.max() < 4e-3
        assert gap.min() > -0.01
        assert parts_in_sight(face)[[3, 4, 5]].sum() <= 8


def test_lower_teeth_follow_the_jaw(people):
    mesh = load_mesh()
    upper, lower = (np.unique(mesh.faces[mesh.part == PARTS.index(name)]) for name in ("teeth_upper", "teeth_lower"))
    for person in people[:8]:
        down = shape.express(person, units({"jawOpen": 1.0})) - shape.express(person, units({}))
        assert down[lower, 1].mean() < -0.15
        assert np.abs(down[upper, 1]).max() < 0.01


def test_mouth_opens_and_smiles_on_everybody(people):
    for person in people:
        rest, open_, smile = (landmarks(shape.express(person, units(w))) for w in ({}, {"jawOpen": 1.0}, {"mouthSmile": 1.0}))
        assert (open_.lips[0] - open_.lips[1])[1] > 0.25
        assert (smile.mouth_corners - rest.mouth_corners)[:, 1].min() > 0.04


def test_axes_have_two_directions_and_limits():
    found = {axis.name: axis for axis in axes.axes()}
    assert found["nose/nose-hump-incr-decr"].up == ("nose/nose-hump-incr",)
    assert found["eyes/eye-scale-incr-decr"].down == ("eyes/l-eye-scale-decr", "eyes/r-eye-scale-decr")
    assert not any("pointed" in target for axis in found.values() for target in axis.up)
    assert set(axes.limits()) == set(found)
    assert set(axes.TENDENCIES) < set(found)
    assert axes.weights(found["nose/nose-hump-incr-decr"], 9.0, (0.0,), (1.0, 0.125)) == {"nose/nose-hump-incr": 0.125}
