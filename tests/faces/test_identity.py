"""dlib's descriptor against what the package's own runtime gives (tests/faces/data/identity.npz), and how faces are cut out.

The file was made with Node from the npm packages @vladmandic/face-api 1.7.15 (unpacked into face-api) and @tensorflow/tfjs
4.22.0, whose CPU backend was given to it in place of its WebAssembly backend, with each of `pictures` as `raw`:

    const faceapi = require("./face-api/dist/face-api.node-wasm.js"), tf = require("@tensorflow/tfjs");
    await tf.setBackend("cpu");
    await faceapi.nets.faceRecognitionNet.loadFromDisk("face-api/model");
    await faceapi.nets.faceRecognitionNet.computeFaceDescriptor(tf.tensor3d(new Uint8Array(raw), [150, 150, 3], "int32"));
"""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import pytest

from xactor_jax.faces import identity
from xactor_jax.faces.weights import FOLDER, RANGE, load, packed, unpacked

DATA = pathlib.Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    """Noise, and the middle of a rendered head."""
    with np.load(DATA / "golden.npz") as file:
        head = cv2.imdecode(file["head_192"], cv2.IMREAD_COLOR)[21:171, 21:171, ::-1]
    return {"random": np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8), "head": head}


def test_descriptors_as_published(pictures):
    found = identity.describe(load("identity"), np.stack(list(pictures.values())))
    with np.load(DATA / "identity.npz") as golden:
        np.testing.assert_allclose(found, np.stack([golden[name] for name in pictures]), atol=2e-4)


def test_the_file_is_small_and_says_whose_it_is():
    assert (FOLDER / "identity.npz.xz").stat().st_size < 3_500_000
    notice = (FOLDER / "LICENSE.identity").read_text()
    assert "Davis King" in notice and "MIT License" in notice


def test_parameters_in_bytes_have_a_step_and_a_lowest_value():
    arrays = {"a/kernel": np.array([[0, 1, 255]], np.uint8), "b": np.array([0.5], np.float32)}
    found = unpacked(packed(arrays | {"a/kernel" + RANGE: np.array([0.1, -2.0], np.float32)}))
    assert found.keys() == arrays.keys()
    np.testing.assert_allclose(found["a/kernel"], [[-2.0, -1.9, 23.5]], rtol=1e-6)
    assert found["b"] == 0.5 and all(values.dtype == np.float32 for values in found.values())


def test_similarity_is_the_least_squares_solution(rng):
    source, target = rng.normal(size=(2, 5, 2))
    rows = [[x, -y, 1, 0] for x, y in source] + [[y, x, 0, 1] for x, y in source]
    a, b, c, d = np.linalg.lstsq(np.array(rows), target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(identity.similarity(source, target), [[a, -b, c], [b, a, d]], atol=1e-9)


def test_eyes_and_nose_are_cut_out_where_dlib_has_them():
    """Dots on the five points of a tilted face twice as large appear at dlib's places in the picture of 150 pixels."""
    places = (np.array(identity.PLACES) + 0.25) / 1.5 * 150
    turn = cv2.getRotationMatrix2D((75, 75), 30, 2.0)
    there = places @ turn[:, :2].T + turn[:, 2] + 100
    points, image = np.zeros((468, 3), np.float32), np.zeros((400, 400, 3), np.uint8)
    points[list(identity.POINTS), :2] = there
    for channel, at in enumerate(there[[0, 2, 4]]):
        cv2.circle(image, tuple(at.round().astype(int).tolist()), 5, tuple(255 * (c == channel) for c in range(3)), -1)
    found = identity.chip(image, points)
    for channel, place in enumerate(places[[0, 2, 4]]):
        np.testing.assert_allclose(np.argwhere(found[..., channel] > 128).mean(axis=0)[::-1], place, atol=1.0)
