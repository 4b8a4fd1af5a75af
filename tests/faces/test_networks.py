"""Both networks against what TensorFlow.js 4.22 makes of the package's own graphs (tests/faces/data), and their parts."""

from __future__ import annotations

import pathlib

import cv2
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.faces import blazeface, mesh
from xactor_jax.faces.blocks import Block, Depthwise
from xactor_jax.faces.weights import FOLDER, load, packed

NETWORKS = {"blazeface": (blazeface.BlazeFace(), blazeface.SIDE), "facemesh": (mesh.FaceMesh(), mesh.SIDE)}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(pathlib.Path(__file__).parent / "data" / "golden.npz") as file:
        return dict(file)


def picture(golden: dict[str, np.ndarray], kind: str, side: int) -> np.ndarray:
    """In 0..1: noise, or a rendered head that looks aside."""
    if kind == "random":
        return np.random.default_rng(0).random((1, side, side, 3), np.float32)
    image = cv2.imdecode(golden[f"head_{side}"], cv2.IMREAD_COLOR)[..., ::-1]
    return image[None] / np.float32(255)


@pytest.mark.parametrize("kind", ["random", "head"])
def test_blazeface_as_published(golden, kind):
    logits, numbers = jax.jit(blazeface.BlazeFace().apply)(load("blazeface"), 2 * picture(golden, kind, 128) - 1)
    assert logits.shape == (1, 896) and numbers.shape == (1, 896, 16)
    found = np.concatenate([logits[0, :, None], numbers[0]], axis=1)[golden[f"blazeface_{kind}_anchors"]]
    np.testing.assert_allclose(found, golden[f"blazeface_{kind}"], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", ["random", "head"])
def test_face_mesh_as_published(golden, kind):
    points, presence = jax.jit(mesh.FaceMesh().apply)(load("facemesh"), picture(golden, kind, 192))
    np.testing.assert_allclose(points[0], golden[f"facemesh_{kind}"], atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(jax.nn.sigmoid(presence), golden[f"facemesh_{kind}_presence"], rtol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_files_hold_the_parameters_of_the_networks_and_are_small(name):
    network, side = NETWORKS[name]
    made = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    shape = lambda tree: {key: leaf.shape for key, leaf in flax.traverse_util.flatten_dict(tree["params"]).items()}
    assert shape(load(name)) == shape(made)
    assert (FOLDER / f"{name}.npz.xz").stat().st_size < 1_300_000
    assert "Apache License" in (FOLDER / "LICENSE").read_text()


def test_files_are_the_same_for_the_same_weights():
    arrays = {"b/kernel": np.ones((2, 3), np.float32), "a/bias": np.zeros(3, np.float32)}
    assert packed(arrays) == packed(dict(reversed(arrays.items())))


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_is_a_grouped_convolution(rng, stride):
    x = jnp.asarray(rng.standard_normal((2, 8, 6, 5), np.float32))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 5), np.float32))
    found = Depthwise(stride).apply({"params": {"kernel": kernel}}, x)
    numbers = ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), "SAME", dimension_numbers=numbers, feature_group_count=5
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_block_that_adds_nothing_keeps_maxima_and_pads_channels(rng):
    x = jnp.asarray(rng.standard_normal((1, 4, 4, 2), np.float32))
    block = Block(3, 2, slopes=True)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(block.init, jax.random.key(0), x))
    y = block.apply(variables, x)
    largest = x.reshape(1, 2, 2, 2, 2, 2).max((2, 4))
    np.testing.assert_allclose(y[..., :2], np.maximum(largest, 0))
    assert not y[..., 2].any()
