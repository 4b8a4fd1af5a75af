"""The style decoder against its equations in float64 NumPy, and as a part of the motion stage."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.motion import get_config
from tests.layers.test_style import convolved
from tests.tiny import tiny_config, tiny_variables, write_checkpoint
from xactor_jax.checkpoints.exports import export
from xactor_jax.errors import UserError
from xactor_jax.motion.decoder import MotionDecoder
from xactor_jax.motion.networks import make_decoder
from xactor_jax.motion.style_decoder import StyleDecoder
from xactor_jax.motion.task import MotionTask
from xactor_jax.motion.trunk import Trunk
from xactor_jax.pictures import batch_to_float
from xactor_jax.sampling.load import load_stage


def leaky(x: np.ndarray) -> np.ndarray:
    return np.sqrt(2) * np.where(x > 0, x, 0.2 * x)


def modulated(x: np.ndarray, z: np.ndarray, p: dict, demodulate: bool) -> np.ndarray:
    """One picture and one style, the kernel made for them."""
    w = p["kernel"] * (z @ p["to_style"]["kernel"] + p["to_style"]["bias"])[:, None]
    w = w / np.sqrt((w**2).sum((0, 1, 2)) + 1e-8) if demodulate else w
    return convolved(x, w) + p["bias"]


def twice(x: np.ndarray) -> np.ndarray:
    """Bilinear, edges repeated."""
    place = np.clip((np.arange(2 * len(x)) - 0.5) / 2, 0, len(x) - 1)
    matrix = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(x))))
    return np.einsum("yr,xc,rck->yxk", matrix, matrix, x)


def unfolded(x: np.ndarray, patch: int) -> np.ndarray:
    """Cells of patch × patch pixels, as a picture."""
    h, w, _ = x.shape
    return x.reshape(h, w, patch, patch, 3).transpose(0, 2, 1, 3, 4).reshape(h * patch, w * patch, 3)


def test_the_picture_is_the_formula(rng):
    decoder = StyleDecoder(patch=2, widths=(8, 16), blocks=1)
    reference, m = jnp.asarray(rng.uniform(-1, 1, (1, 8, 8, 3)), jnp.float32), jnp.asarray(rng.normal(size=(1, 6)), jnp.float32)
    shapes = jax.eval_shape(decoder.init, jax.random.key(0), reference, m)["params"]
    draw = lambda a: (rng.normal(size=a.shape) / np.sqrt(np.prod(a.shape[:-1]) or 1)).astype(np.float32)
    params = jax.tree.map(draw, shapes)
    features = jax.jit(Trunk(2, (8, 16), 1).apply)({"params": params["appearance"]}, reference)
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    z = np.asarray(m[0], np.float64)
    for layer in ("map_latent_0", "map_latent_1"):
        z = leaky(z @ p[layer]["kernel"] + p[layer]["bias"])
    x, picture = p["constant"], 0.0
    for level in (1, 0):
        x = np.concatenate([x, np.asarray(features[level][0], np.float64)], -1)
        for block in (0, 1):
            x = leaky(modulated(x, z, p[f"level_{level}_conv_{block}"], True))
        picture = picture + unfolded(modulated(x, z, p[f"level_{level}_to_picture"], False), 2)
        if level:
            x, picture = twice(x), twice(picture)
    found = jax.jit(decoder.apply)({"params": params}, reference, m)
    np.testing.assert_allclose(found[0], picture, atol=1e-4 * np.abs(picture).max())


def test_the_config_chooses_the_decoder():
    config = get_config()
    assert isinstance(make_decoder(config), MotionDecoder)
    config.network.decoder = "style"
    assert isinstance(make_decoder(config), StyleDecoder)
    config.network.decoder = "paint"
    with pytest.raises(UserError, match="use warp or style"):
        make_decoder(config)
    config.network.update(decoder="style", image_size=60)
    with pytest.raises(UserError, match="image_size=60 is not a multiple of 8"):
        make_decoder(config)


@pytest.mark.parametrize("size", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_base_has_the_released_encoder_and_the_sizes_of_its_config(size):
    config = get_config("base")
    config.network.image_size = size
    task = MotionTask.from_config(config)
    variables = jax.eval_shape(task.init, jax.random.key(0))
    count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    generator, constant = variables.params["generator"], (size // 32) ** 2 * 512
    released, statistics, variance = 61_365_553, 15_112, 785 * 512
    assert count(generator["encoder"]) == released + statistics + variance
    assert count(generator["decoder"]) == 51_185_810 - 64 * 512 + constant
    assert count(variables.params["discriminator"]) == 3_911_297
    assert config.precision == "bfloat16"
    batch = jax.eval_shape(batch_to_float, task.example_batch(2))
    latents, picture = jax.eval_shape(
        lambda v, b: (task.model.encode(v, b["target"]), task.model.decode(v, b["reference"], jnp.zeros((2, 512)))),
        variables, batch,
    )  # fmt: skip
    assert latents.shape == (2, 512) and picture.shape == (2, size, size, 3) and picture.dtype == jnp.float32


def test_an_export_of_a_style_decoder_paints_the_same(tmp_path, rng):
    config = tiny_config("motion")
    config.network.decoder = "style"
    config.loss.perceptual = 1e-3
    config.pretrained.perceptual = "random"
    variables = tiny_variables(config)
    export(write_checkpoint(tmp_path / "run", config, variables), tmp_path / "export")
    stage = load_stage("motion", tmp_path / "export")
    picture, latent = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32), rng.normal(size=(1, 8)).astype(np.float32)
    assert isinstance(stage.model.decoder, StyleDecoder)
    expected = jax.jit(MotionTask.from_config(config).model.decode)(variables, picture, latent)
    np.testing.assert_array_equal(jax.jit(stage.model.decode)(stage.variables, picture, latent), expected)
    assert np.abs(expected).max() > 0
