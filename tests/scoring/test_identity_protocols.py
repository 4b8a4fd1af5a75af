"""CSIM and E-FID, with random networks and faces whose places are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn
from ml_collections import ConfigDict

from tests.metric_networks.meshes import mesh_at
from xactor_jax.metric_networks import arcface, deep3d
from xactor_jax.metric_networks.alignment import ARCFACE_POINTS, arcface_crop, deep3d_crop
from xactor_jax.scoring import aligned_faces, csim, efid
from xactor_jax.scoring.protocol import Network
from xactor_jax.scoring.video import Case, Video, of_frames

ARCFACE = arcface.ArcFace(arcface.ArcFaceSettings(depths=(1, 1, 1, 1), widths=(2, 2, 2, 2), features=4))
DEEP3D = deep3d.Deep3D(deep3d.Deep3DSettings(depths=(1, 1, 1, 1), widths=(1, 1, 1, 1)))


def random_network(module: nn.Module, rng: np.random.Generator) -> Network:
    """As if it had been imported."""
    side = module.settings.side
    wanted = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, side, side, 3), np.float32))["params"]
    draw = lambda leaf: rng.uniform(-0.5, 1.5, leaf.shape) if len(leaf.shape) > 1 else rng.uniform(0.5, 1.5, leaf.shape)
    params: Any = jax.tree.map(lambda leaf: draw(leaf).astype(np.float32), wanted)
    return Network(ConfigDict({"network": dataclasses.asdict(module.settings)}), params, "0")


@pytest.fixture
def places(monkeypatch) -> dict[str, np.ndarray]:
    """Name of a video → landmarks of its frames, in place of those that are found."""
    found: dict[str, np.ndarray] = {}
    monkeypatch.setattr(aligned_faces, "landmarks_of", lambda video: found[video.name])
    return found


def shown(rng: np.random.Generator, places: dict, name: str, count: int, hidden: tuple[int, ...] = ()) -> Video:
    """A video with a face in the middle, which moves. In the frames `hidden` no face is found."""
    smooth = np.kron(rng.integers(0, 256, (count, 5, 5, 3)), np.ones((1, 30, 30, 1))).astype(np.uint8)
    meshes = np.stack([mesh_at(ARCFACE_POINTS + 20 + rng.normal(0, 3, 2)) for _ in range(count)]).astype(np.float32)
    meshes[:, 0, 0] = 0.0  # a number: there is a face
    meshes[list(hidden)] = np.nan
    places[name] = meshes
    return of_frames(name, smooth)


def embeddings(apply: Callable, video: Video, meshes: np.ndarray) -> np.ndarray:
    """Of all frames, as if the face of the first were in the place of those that are not found."""
    found = [mesh if np.isfinite(mesh[0, 0]) else meshes[0] for mesh in meshes]
    faces = np.stack([arcface_crop(frame, mesh) for frame, mesh in zip(video.read(), found, strict=True)])
    return np.asarray(apply((faces - 127.5) / 127.5), np.float64)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_csim_compares_with_the_first_true_frame_and_with_the_same_moment(rng, places):
    network = random_network(ARCFACE, rng)
    generated, truth = shown(rng, places, "a", 5, hidden=(2,)), shown(rng, places, "b", 5)
    apply = jax.jit(lambda faces: ARCFACE.apply({"params": network.params}, faces))
    x, y = (embeddings(apply, video, places[video.name]) for video in (generated, truth))
    found = csim.PROTOCOL.measure(Case(generated, truth), network)
    wanted = np.array([np.nan, *(cosine(x[t], y[0]) for t in range(1, 5))])
    same = np.array([np.nan, *(cosine(x[t], y[t]) for t in range(1, 5))])
    wanted[2] = same[2] = np.nan  # no face
    np.testing.assert_allclose(found.curves["csim"], wanted, atol=1e-4)
    np.testing.assert_allclose(found.curves["csim_frame"], same, atol=1e-4)
    assert found.values["csim"] == pytest.approx(np.nanmean(wanted), abs=1e-4)
    assert found.values["csim_frame"] == pytest.approx(np.nanmean(same), abs=1e-4)
    without_truth = csim.PROTOCOL.measure(Case(generated), network).values
    assert without_truth == {"csim": pytest.approx(np.mean([cosine(x[t], x[0]) for t in (1, 3, 4)]), abs=1e-4)}


def test_the_reference_is_the_first_frame_with_a_face(rng):
    known = np.array([[np.nan, np.nan], [1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(csim.with_reference(known, known), [np.nan, np.nan, 0, np.sqrt(0.5)], atol=1e-12)


def test_nothing_is_said_of_a_video_without_a_face(rng, places):
    generated, truth = shown(rng, places, "a", 3, hidden=(0, 1, 2)), shown(rng, places, "b", 3)
    for one, other in ((generated, truth), (truth, generated)):
        found = csim.PROTOCOL.measure(Case(one, other), random_network(ARCFACE, rng))
        assert np.isnan(list(found.values.values())).all()
    assert efid.PROTOCOL.measure(Case(generated, truth), random_network(DEEP3D, rng)).features.shape == (0, 64)


def test_efid_is_the_distance_of_expressions(rng, places):
    network = random_network(DEEP3D, rng)
    video = shown(rng, places, "a", 4, hidden=(1,))
    found = efid.PROTOCOL.measure(Case(video), network).features
    frames = [f for t, f in enumerate(video.read()) if t != 1]
    faces = np.stack([deep3d_crop(f, m) for f, m in zip(frames, places["a"][[0, 2, 3]], strict=True)])
    coefficients = jax.jit(lambda x: DEEP3D.apply({"params": network.params}, x))(faces / np.float32(255))
    np.testing.assert_allclose(found, coefficients[:, 80:144], rtol=1e-3, atol=1e-4 * np.abs(coefficients).max())
    a, b = rng.normal(0, 1, (4000, 2)), rng.normal((3, 0), (2, 1), (4000, 2))
    # Gaussians with diagonal covariances: ‖μ − ν‖² + Σ (σ − τ)²
    assert efid.PROTOCOL.pool([a[:1000], a[1000:]], [b])["efid"] == pytest.approx(9 + 1, rel=0.1)
