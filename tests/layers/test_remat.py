"""Rematerialisation changes memory and nothing else, in every network that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.common import get_common
from launch.stages import TASKS
from tests.layers.test_convolution import randomise
from tests.tiny import tiny_config
from xactor_jax.actor.network import ActorNetwork, Conditions, Keep
from xactor_jax.emotion import frames_of
from xactor_jax.errors import UserError
from xactor_jax.layers.remat import CHOICES
from xactor_jax.motion.hourglass import Hourglass
from xactor_jax.video.unet import UNet, UNetSettings

Network = tuple[Any, tuple[Any, ...]]


def actor(remat: str) -> Network:
    frames, sizes = 96, dict(latent_dim=8, width=64, depth=4, heads=4, chunk=8, context=96, emotions=3, mlp_ratio=2)
    ones = jnp.ones(4, bool)
    told = Conditions(jnp.ones((4, frames + 4, 8)), jnp.ones((4, 8)), frames_of(None, 4, 0, frames))
    arguments = jnp.ones((4, frames, 8)), jnp.full((4, frames), 0.5), told, Keep(ones, ones, ones), jnp.ones((4, frames), bool)
    return ActorNetwork(**sizes, remat=remat), arguments


def video(remat: str) -> Network:
    settings = UNetSettings(channels=(16,), attention=(True,), blocks=2, heads=2, groups=4, time_width=16, temporal=False)
    return UNet(settings, remat=remat), (jnp.ones((2, 2, 16, 16, 4)), jnp.full(2, 0.5))


def motion(remat: str) -> Network:
    return Hourglass(32, remat=remat), (jnp.ones((2, 32, 32, 32)),)


def compiled_gradient(network: Network, params: Any) -> tuple[Callable[..., Any], int]:
    """Value and gradient of the mean square of a network's output, and the bytes that computing it takes."""
    module, arguments = network

    def loss(params: Any, *arguments: Any) -> jax.Array:
        output = module.apply({"params": params}, *arguments)
        return jnp.mean(jnp.square(output[0] if isinstance(output, tuple) else output))

    compiled = jax.jit(jax.value_and_grad(loss)).lower(params, *arguments).compile()
    return lambda params: compiled(params, *arguments), compiled.memory_analysis().temp_size_in_bytes


def alike(path: Any, x: jax.Array) -> jax.Array:
    """Variances of batch normalisation are at least 1."""
    return 1 + jnp.abs(x) if "variance" in str(path[-1]) else x


@pytest.mark.parametrize("make", [actor, video, motion])
def test_the_same_numbers_in_less_memory(make: Callable[[str], Network], key: jax.Array) -> None:
    numbers = lambda x: jax.random.normal(key, x.shape) if x.ndim > 2 else x
    inputs = jax.tree.map(numbers, make("none")[1])
    shapes, values, memory = {}, {}, {}
    for remat in CHOICES:
        module, _ = make(remat)
        shapes[remat] = jax.eval_shape(module.init, key, *inputs)["params"]
        params = jax.tree_util.tree_map_with_path(alike, randomise(shapes["none"], key, 0.2))
        call, memory[remat] = compiled_gradient((module, inputs), params)
        values[remat] = call(params)
    assert shapes["none"] == shapes["dots"] == shapes["full"]
    (loss, gradient) = values["none"]
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(gradient))
    for other, again in (values["dots"], values["full"]):
        assert float(other) == pytest.approx(float(loss), rel=1e-6)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6 * largest), again, gradient)
    assert memory["full"] < memory["dots"] < memory["none"], memory
    assert memory["full"] < 0.8 * memory["none"], memory


@pytest.mark.parametrize("stage", ["motion", "actor", "video"])
def test_a_config_chooses(stage: str) -> None:
    assert get_common(stage).remat == "none"
    c = tiny_config(stage)
    if stage == "motion":
        c.network.update(encoder="xnemo", encoder_size=32)
    c.remat = "full"
    model = TASKS[stage].from_config(c).model
    network = {"motion": "encoder", "actor": "network", "video": "denoiser"}[stage]
    assert getattr(model, network).remat == "full"
    c.remat = "some"
    with pytest.raises(UserError, match=r"remat=some is not known: use none, dots or full\."):
        TASKS[stage].from_config(c)
