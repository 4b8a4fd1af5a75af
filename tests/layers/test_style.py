"""Modulated convolutions against NumPy in float64, a kernel made for each picture."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.style import ModulatedConv, doubled, rectified


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One picture [h, w, i], a kernel [k, k, i, o], zeros around."""
    edge = kernel.shape[0] // 2
    padded = np.pad(x, ((edge, edge), (edge, edge), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], (0, 1))
    return np.einsum("hwiyx,yxio->hwo", seen, kernel)


def drawn(rng: np.random.Generator, size: int) -> dict:
    """Parameters of 5 channels to 3 under styles of 4 numbers, none at zero."""
    shapes = {"kernel": (size, size, 5, 3), "bias": (3,), "to_style": {"kernel": (4, 5), "bias": (5,)}}
    draw = lambda shape: rng.normal(size=shape).astype(np.float32)
    return jax.tree.map(draw, shapes, is_leaf=lambda x: isinstance(x, tuple))


@pytest.mark.parametrize(("kernel", "demodulate"), [(3, True), (3, False), (1, True), (1, False)])
def test_each_picture_is_convolved_with_weights_of_its_own(rng, kernel, demodulate):
    x, z = (rng.normal(size=s).astype(np.float32) for s in ((3, 4, 6, 5), (3, 4)))
    p, module = drawn(rng, kernel), ModulatedConv(3, kernel=kernel, demodulate=demodulate)
    found = jax.jit(module.apply)({"params": p}, jnp.asarray(x), jnp.asarray(z))
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), p)
    for picture, style, result in zip(x, z, found, strict=True):
        w = exact["kernel"] * (style @ exact["to_style"]["kernel"] + exact["to_style"]["bias"])[:, None]
        if demodulate:
            w /= np.sqrt((w**2).sum((0, 1, 2)) + 1e-8)
        np.testing.assert_allclose(result, convolved(picture.astype(np.float64), w) + exact["bias"], atol=2e-5)


def test_the_gradient_is_that_of_weights_made_for_each_picture(rng):
    """By central differences of the explicit form in float64, along a random direction of the style and of the weights."""
    x, z = rng.normal(size=(1, 3, 3, 5)), rng.normal(size=(1, 4))
    p, aim = drawn(rng, 3), rng.normal(size=(3, 3, 3))
    direction, along = drawn(rng, 3)["kernel"], rng.normal(size=(1, 4))

    def explicit(step: float) -> float:
        w = p["kernel"].astype(np.float64) + step * direction
        w = w * ((z + step * along)[0] @ p["to_style"]["kernel"] + p["to_style"]["bias"])[:, None]
        return float((aim * (convolved(x[0], w / np.sqrt((w**2).sum((0, 1, 2)) + 1e-8)) + p["bias"])).sum())

    def ours(step: jax.Array) -> jax.Array:
        moved = {**p, "kernel": p["kernel"] + step * direction}
        style = jnp.asarray(z + step * along, jnp.float32)
        return (aim * ModulatedConv(3).apply({"params": moved}, jnp.asarray(x, jnp.float32), style)[0]).sum()

    expected = (explicit(1e-5) - explicit(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(ours))(jnp.zeros(())), expected, rtol=1e-3)


def test_an_untrained_layer_keeps_the_standard_deviation_whatever_the_size_of_the_style(rng):
    x = rng.normal(size=(2, 16, 16, 64)).astype(np.float32)
    style = np.stack([np.full(8, 0.1), np.full(8, 30.0)]).astype(np.float32)
    y, _ = jax.jit(ModulatedConv(128).init_with_output)(jax.random.key(0), x, style)
    np.testing.assert_allclose(np.std(y, axis=(1, 2, 3)), 1.0, atol=0.1)
    np.testing.assert_allclose(np.sqrt(np.mean(rectified(y) ** 2)), 1.0, atol=0.1)


def test_in_bfloat16_it_stays_close(rng):
    x, z = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 4, 4, 5), (2, 4)))
    p = {"params": drawn(rng, 3)}
    exact, half = (jax.jit(ModulatedConv(3, dtype=d).apply)(p, x, z) for d in (jnp.float32, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    assert 0 < np.abs(half - exact).max() < 0.05 * np.abs(exact).max()


def test_doubling_is_zeros_between_pixels_and_a_filter(rng):
    x = rng.normal(size=(1, 4, 5, 2)).astype(np.float32)
    sparse = np.zeros((11, 13, 2))  # a margin of one repeated pixel all around
    sparse[::2, ::2] = np.pad(x[0].astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    for axis in (0, 1):
        sparse = sum(f * np.roll(np.pad(sparse, [(2, 2) if a == axis else (0, 0) for a in range(3)]), k, axis)
                     for k, f in zip((-1, 0, 1, 2), (0.25, 0.75, 0.75, 0.25), strict=True))  # fmt: skip
    assert doubled(jnp.asarray(x)).shape == (1, 8, 10, 2)
    np.testing.assert_allclose(doubled(jnp.asarray(x))[0], sparse[4:12, 4:14], atol=1e-5)
