"""The head's mesh is whole, its texture is laid out without folds, and its parts move as a face does."""

from __future__ import annotations

import numpy as np
import pytest

from data.heads.mesh import ASSETS, PARTS, load_mesh
from launch.assets import chart
from xactor_jax.labels import UNITS


@pytest.fixture(scope="module")
def mesh():
    return load_mesh()


def of_part(mesh, *names):
    return np.unique(mesh.faces[np.isin(mesh.part, [PARTS.index(name) for name in names])])


def moved(mesh, unit, *parts):
    return np.linalg.norm(mesh.units[UNITS.index(unit)][of_part(mesh, *parts)], axis=1).max()


def test_files_are_small():
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 3e6
    assert "CC0" in (ASSETS / "LICENSE").read_text()


def test_every_vertex_of_a_corner_and_every_part_is_there(mesh):
    assert len(mesh.units) == len(UNITS)
    assert mesh.vertex_of.max() < len(mesh.vertices)
    assert set(mesh.part) == set(range(len(PARTS)))
    assert (mesh.triangles.max(), mesh.hair.max()) == (len(mesh.uv) - 1, len(mesh.vertices) - 1)


@pytest.mark.parametrize("name", ["eye_left", "eye_right"])
def test_triangles_run_counter_clockwise_from_outside(mesh, name):
    corners = mesh.vertices[mesh.faces[mesh.part == PARTS.index(name)]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(1) - corners.mean((0, 1))
    assert (np.sum(normals * outward, axis=1) > 0).all()


def test_skin_has_no_hole_but_the_cut_below(mesh):
    """Every edge of the skin has a triangle on both sides, those of the cut at the chest excepted."""
    faces = mesh.faces[mesh.part == PARTS.index("skin")]
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, count = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    assert set(count) == {1, 2}
    assert mesh.vertices[edges[count == 1], 1].max() < 5.5


def test_skin_is_charted_without_folds(mesh):
    uv = mesh.uv[mesh.triangles[mesh.part == PARTS.index("skin")]]
    (a, b), (c, d) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    assert (a * d - b * c > 0).all()
    assert (uv.min(), uv.max()) == pytest.approx((0.0, 1.0), abs=0.02)


def test_chart_moves_pictures_as_it_moves_corners():
    """A picture whose grey is the source's place tells, at a place of ours, which place of the source came there."""
    place = (np.arange(256) + 0.5) / 256
    across = np.broadcast_to(np.round(255 * place), (256, 256)).astype(np.uint8)
    uv = np.array([[0.85, 0.48], [0.9, 0.55], [0.7, 0.3], [0.3, 0.8], [0.85, 0.1]])
    column, row = (chart.skin_uv(uv) * 512).astype(int).T
    for axis, image in enumerate((across, across.T[::-1])):
        read = chart.skin_image(np.ascontiguousarray(image), 512)[511 - row, column]
        np.testing.assert_allclose(read / 255, uv[:, axis], atol=0.01)


def test_masks_lie_where_they_say(mesh):
    ring = mesh.rings["mouth"][4]
    corner = {int(vertex): k for k, vertex in enumerate(mesh.vertex_of)}
    column, row = (mesh.uv[[corner[int(vertex)] for vertex in ring]] * 512).astype(int).T
    assert np.median(mesh.masks["lips"][511 - row, column]) > 200
    assert mesh.masks["ears"][511 - row, column].max() == 0


def test_left_and_right_are_mirror_images(mesh):
    left, right = (mesh.vertices[mesh.rings[name]] for name in ("eye_left", "eye_right"))
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)
    assert left[..., 0].min() > 0


def test_jaw_takes_lower_teeth_and_tongue_along(mesh):
    assert moved(mesh, "jawOpen", "teeth_lower") > 0.2
    assert moved(mesh, "jawOpen", "tongue") > 0.15
    assert moved(mesh, "jawOpen", "teeth_upper") == 0
    assert moved(mesh, "tongueOut", "tongue") > 0.2
    assert moved(mesh, "eyeBlinkLeft", "teeth_upper", "teeth_lower", "tongue") == 0
