"""The face-alignment encoder's parts against NumPy in float64, and what training does to it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from xactor_jax.motion.hourglass import (
    LEVELS,
    Hourglass,
    HourglassEncoder,
    PatchAttention,
    ResidualUnit,
    grid_positions,
)

Tree = dict


def drawn(module, rng: np.random.Generator, *example: jax.Array) -> Tree:
    """Random parameters; statistics are not those of an untrained network."""
    shapes = flatten_dict(jax.eval_shape(module.init, jax.random.key(0), *example)["params"])
    draw = lambda path, leaf: rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]) or 1)
    values = {path: np.asarray(draw(path, leaf), np.float32) for path, leaf in shapes.items()}
    return unflatten_dict({path: 0.5 + np.abs(x) if path[-1] == "variance" else x for path, x in values.items()})


def normalised(x: np.ndarray, p: Tree) -> np.ndarray:
    p = {name: np.asarray(value, np.float64) for name, value in p.items()}
    return (x - p["mean"]) / np.sqrt(p["variance"] + 1e-5) * p["scale"] + p["bias"]


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """3 × 3, zeros around."""
    rows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (1, 2))
    return np.einsum("bhwiyx,yxio->bhwo", rows, np.asarray(kernel, np.float64))


@pytest.mark.parametrize("channels", [8, 16])
def test_a_residual_unit_keeps_what_each_convolution_makes(rng, channels):
    x = rng.normal(size=(2, 4, 5, 8)).astype(np.float32)
    unit = ResidualUnit(channels)
    p = drawn(unit, rng, x)
    h, made = x.astype(np.float64), []
    for i in range(3):
        h = convolved(np.maximum(normalised(h, p[f"norm{i}"]), 0), p[f"conv{i}"]["kernel"])
        made.append(h)
    rest = np.maximum(normalised(x, p["match_norm"]), 0) @ p["match"]["kernel"] if channels == 16 else x
    assert [part.shape[-1] for part in made] == [channels // 2, channels // 4, channels // 4]
    np.testing.assert_allclose(jax.jit(unit.apply)({"params": p}, x), np.concatenate(made, -1) + rest, atol=1e-4)


def doubled(x: np.ndarray, side: int) -> np.ndarray:
    """Bilinear interpolation between pixel centres, edges repeated."""
    place = np.clip((np.arange(side) + 0.5) * x.shape[1] / side - 0.5, 0, x.shape[1] - 1)
    low = np.minimum(np.floor(place).astype(int), max(x.shape[1] - 2, 0))
    high, part = np.minimum(low + 1, x.shape[1] - 1), place - low
    matrix = np.zeros((side, x.shape[1]))
    np.add.at(matrix, (np.arange(side), low), 1 - part)
    np.add.at(matrix, (np.arange(side), high), part)
    return np.einsum("yr,xc,brck->byxk", matrix, matrix, x)


def test_an_hourglass_of_units_that_do_nothing_adds_up_resolutions(rng):
    x = rng.normal(size=(1, 28, 28, 8)).astype(np.float32)
    params = jax.tree.map(np.zeros_like, drawn(Hourglass(8), rng, x))

    def expected(x: np.ndarray, levels: int) -> np.ndarray:
        if not levels:
            return x
        half = x.shape[1] // 2
        below = x[:, : 2 * half, : 2 * half].reshape(1, half, 2, half, 2, 8).max((2, 4))
        return x + doubled(expected(below, levels - 1), x.shape[1])

    found = jax.jit(Hourglass(8).apply)({"params": params}, x)
    np.testing.assert_allclose(found, expected(x.astype(np.float64), LEVELS), atol=1e-4)


def test_positions_are_sines_of_column_and_row():
    p = grid_positions(3, 5, 8)
    waves = lambda place: [f(place * w) for f in (np.sin, np.cos) for w in (1, 0.01)]
    np.testing.assert_allclose(p[2, 4], waves(4.0) + waves(2.0), atol=1e-6)


def test_attention_among_patches_is_the_formula(rng):
    x = rng.normal(size=(2, 4, 6, 32)).astype(np.float32)
    module = PatchAttention(2, 64)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), drawn(module, rng, x))
    grouped = x.reshape(2, 24, 32).astype(np.float64)  # 32 groups of one channel
    h = (grouped - grouped.mean(1, keepdims=True)) / np.sqrt(grouped.var(1, keepdims=True) + 1e-6)
    h = (h * p["norm"]["scale"] + p["norm"]["bias"]).reshape(2, 2, 2, 3, 2, 32)
    t = np.einsum("bryxzi,yzio->brxo", h, p["to_patches"]["kernel"]) + p["to_patches"]["bias"]
    t = (t + grid_positions(2, 3, 64)).reshape(2, 6, 64)
    n, heads = layer_normed(t, p["norm_attention"]), p["attention"]
    q, k, v = (np.moveaxis(linear(n, heads[name]).reshape(2, 6, 8, 8), 2, 1) for name in ("query", "key", "value"))
    weights = np.exp(q @ np.swapaxes(k, -1, -2) / np.sqrt(8))
    y = np.moveaxis(weights / weights.sum(-1, keepdims=True) @ v, 1, 2).reshape(2, 6, 64)
    t = t + linear(y, heads["out"])
    value, gate = np.split(linear(layer_normed(t, p["norm_ff"]), p["feed_forward"]["in"]), 2, -1)
    gate = gate * 0.5 * (1 + np.vectorize(math.erf)(gate / np.sqrt(2)))
    t = t + linear(value * gate, p["feed_forward"]["out"])
    pixels = t.reshape(2, 2, 3, 2, 2, 16).transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, 6, 16)
    expected = x + linear(pixels, p["patches_out"])
    found = jax.jit(module.apply)({"params": jax.tree.map(np.float32, p)}, x)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def linear(x: np.ndarray, p: Tree) -> np.ndarray:
    return x @ p["kernel"] + p.get("bias", 0.0)


def layer_normed(x: np.ndarray, p: Tree) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]


def encoder(**settings) -> HourglassEncoder:
    return HourglassEncoder(**{"latent_dim": 6, "widths": (8, 32, 32), "attention_width": 64, "variance": True, **settings})


@pytest.fixture(scope="module")
def faces() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)), jnp.float32)


@pytest.fixture(scope="module")
def params(faces) -> Tree:
    return drawn(encoder(), np.random.default_rng(2), faces)


@pytest.fixture(scope="module")
def exact(params, faces):
    """The posterior of the faces."""
    return jax.jit(encoder().apply)({"params": params}, faces)


def test_the_variance_head_adds_to_what_was_released_and_changes_nothing(params, faces, exact):
    released = {name: tree for name, tree in params.items() if name != "to_log_variance"}
    single = jax.jit(encoder(variance=False).apply)({"params": released}, faces)
    both = exact
    np.testing.assert_array_equal(single.mean, both.mean)
    assert single.log_variance is None and both.log_variance.shape == (2, 6) and np.abs(both.log_variance).max() > 0
    np.testing.assert_array_equal(single.sample(jax.random.key(0)), single.mean)
    assert np.abs(both.sample(jax.random.key(0)) - both.mean).max() > 0.1


def test_dropout_is_only_in_training(params, faces):
    apply = jax.jit(lambda key: encoder().apply({"params": params}, faces, train=True, rngs={"dropout": key}).mean)
    first, same, other = (apply(jax.random.key(i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_no_gradient_reaches_the_statistics(params, faces):
    loss = lambda p: (encoder().apply({"params": p}, faces).mean ** 2).sum()
    gradients = flatten_dict(jax.jit(jax.grad(loss))(params))
    for path, gradient in gradients.items():
        if path[-1] in ("mean", "variance"):
            assert not np.any(gradient), path
        elif path[-1] == "scale":
            assert np.any(gradient), path


def test_bfloat16_answers_in_float32(params, faces, exact):
    exact = exact.mean
    found = jax.jit(encoder(dtype=jnp.bfloat16).apply)({"params": params}, faces).mean
    assert found.dtype == jnp.float32
    assert 0 < np.linalg.norm(found - exact) / np.linalg.norm(exact) < 0.1
