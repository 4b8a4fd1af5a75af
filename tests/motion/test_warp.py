import jax.numpy as jnp
import numpy as np
from scipy.ndimage import map_coordinates

from xactor_jax.motion.decoder import warp


def test_warp_against_scipy(rng):
    images = rng.normal(size=(2, 9, 7, 3)).astype(np.float32)
    flow = rng.uniform(-4, 4, (2, 9, 7, 2)).astype(np.float32)
    y, x = np.meshgrid(np.arange(9.0), np.arange(7.0), indexing="ij")
    for b in range(2):
        where = [np.clip(y + flow[b, ..., 0], 0, 8), np.clip(x + flow[b, ..., 1], 0, 6)]
        expected = np.stack([map_coordinates(images[b, ..., c], where, order=1) for c in range(3)], -1)
        np.testing.assert_allclose(warp(jnp.asarray(images), jnp.asarray(flow))[b], expected, atol=2e-6)


def test_no_flow_is_the_picture_itself(rng):
    images = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(warp(images, jnp.zeros((1, 8, 8, 2))), images)
