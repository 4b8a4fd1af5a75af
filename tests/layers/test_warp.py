import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from xactor_jax.layers.warp import warp


def test_warp_against_scipy(rng):
    images = rng.normal(size=(2, 9, 7, 3)).astype(np.float32)
    flow = rng.uniform(-4, 4, (2, 9, 7, 2)).astype(np.float32)
    found = np.asarray(jax.jit(warp, static_argnums=2)(images, flow, False))
    y, x = np.meshgrid(np.arange(9.0), np.arange(7.0), indexing="ij")
    for b in range(2):
        where = [np.clip(y + flow[b, ..., 0], 0, 8), np.clip(x + flow[b, ..., 1], 0, 6)]
        expected = np.stack([map_coordinates(images[b, ..., c], where, order=1) for c in range(3)], -1)
        np.testing.assert_allclose(found[b], expected, atol=2e-6)


@pytest.mark.parametrize("cubic", [False, True])
def test_no_flow_is_the_picture_itself(rng, cubic):
    images = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
    moved = jax.jit(warp, static_argnums=2)(images, jnp.zeros((1, 8, 8, 2)), cubic)
    np.testing.assert_array_equal(moved, images)


def keys(s: float) -> float:
    """The kernel of Keys (1981), equation 4 with a = -1/2, at a distance of s pixels."""
    s, a = abs(s), -0.5
    if s < 1:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a if s < 2 else 0.0


def test_cubic_warp_is_a_sum_over_the_kernel(rng):
    """Over all pixels of a picture that is continued by its edges."""
    image, flow = rng.normal(size=(1, 7, 6, 2)).astype(np.float32), rng.uniform(-3, 3, (1, 7, 6, 2)).astype(np.float32)
    found = np.asarray(jax.jit(warp, static_argnums=2)(image, flow, True)[0])
    wide = np.pad(image[0], ((3, 3), (3, 3), (0, 0)), mode="edge")
    for y, x in np.ndindex(7, 6):
        at = np.clip([y + flow[0, y, x, 0], x + flow[0, y, x, 1]], 0, [6, 5])
        weights = np.outer([keys(at[0] - i) for i in range(-3, 10)], [keys(at[1] - j) for j in range(-3, 9)])
        np.testing.assert_allclose(found[y, x], (weights[..., None] * wide).sum((0, 1)), atol=1e-4)


def test_cubic_keeps_what_linear_blurs(rng):
    """A picture moved by half a pixel and back."""
    image = jnp.asarray(np.sin(1.2 * np.arange(32))[None, None, :, None] * np.ones((1, 32, 1, 1)), jnp.float32)
    half = np.broadcast_to(np.float32([0, 0.5]), (1, 32, 32, 2))
    moved = jax.jit(warp, static_argnums=2)
    lost = {c: np.abs(moved(moved(image, half, c), -half, c) - image)[:, :, 6:-6].max() for c in (False, True)}
    assert lost[True] < 0.3 * lost[False]
