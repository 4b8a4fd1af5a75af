"""Rematerialisation changes memory and nothing else, in every network that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.stages import STAGES, default_config, make_task
from tests.layers.test_convolution import randomise
from tests.tiny import tiny_config
from xactor_jax.actor.network import ActorNetwork, Conditions, Keep
from xactor_jax.emotion import frames_of
from xactor_jax.errors import UserError
from xactor_jax.motion.hourglass import Hourglass
from xactor_jax.pictures import batch_to_float
from xactor_jax.run_settings import REMAT
from xactor_jax.variables import Variables
from xactor_jax.video.unet import UNet, UNetSettings

Network = tuple[Any, tuple[Any, ...]]


def actor(remat: str, **more: Any) -> Network:
    frames, sizes = 48, dict(latent_dim=8, width=64, depth=2, heads=4, chunk=8, context=48, emotions=3, mlp_ratio=2)
    sizes |= dict(
        audio_radius=2, audio_memory=0, look_ahead=-1, sink_chunk=False, scan_layers=False, bidirectional_window=False
    )
    ones = jnp.ones(4, bool)
    conditions = Conditions(jnp.ones((4, frames + 4, 8)), jnp.ones((4, 8)), frames_of(None, 4, 0, frames))
    arguments = (
        jnp.ones((4, frames, 8)),
        jnp.full((4, frames), 0.5),
        conditions,
        Keep(ones, ones, ones),
        jnp.ones((4, frames), bool),
    )
    return ActorNetwork(**sizes | more, remat=remat), arguments


def video(remat: str) -> Network:
    settings = UNetSettings(channels=(16,), attention=(True,), blocks=1, heads=2, groups=4, time_width=16, temporal=False)
    return UNet(settings, remat=remat), (jnp.ones((2, 2, 16, 16, 4)), jnp.full(2, 0.5))


def motion(remat: str) -> Network:
    return Hourglass(32, remat=remat), (jnp.ones((2, 32, 32, 32)),)


def loss_of(network: Network) -> Callable[[Any], jax.Array]:
    """Parameters → the mean square of a network's output."""
    module, arguments = network

    def loss(params: Any) -> jax.Array:
        output = module.apply({"params": params}, *arguments)
        return jnp.mean(jnp.square(output[0] if isinstance(output, tuple) else output))

    return loss


def kept_bytes(loss: Callable[..., jax.Array], params: Any, *given: Any) -> int:
    """Of what the backward pass needs of the forward pass. Shapes are enough."""
    kept = jax.eval_shape(lambda params, *given: jax.vjp(lambda p: loss(p, *given), params)[1], params, *given)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept))


def alike(path: Any, x: jax.Array) -> jax.Array:
    """Variances of batch normalisation are at least 1."""
    return 1 + jnp.abs(x) if "variance" in str(path[-1]) else x


SLOW = [pytest.param(make, REMAT, marks=pytest.mark.slow) for make in (actor, video, motion)]


@pytest.mark.parametrize(("make", "computed"), [(actor, ("none", "full")), *SLOW])
def test_the_same_numbers_from_less_that_is_kept(
    make: Callable[[str], Network], computed: tuple[str, ...], key: jax.Array
) -> None:
    """What that saves when compiled shows on a TPU (tests/parity/test_topology.py): the CPU's compiler undoes it."""
    numbers = lambda x: jax.random.normal(key, x.shape) if x.ndim > 2 else x
    inputs = jax.tree.map(numbers, make("none")[1])
    shapes, values, kept = {}, {}, {}
    for remat in REMAT:
        module, _ = make(remat)
        shapes[remat] = jax.eval_shape(module.init, key, *inputs)["params"]
        params = jax.tree_util.tree_map_with_path(alike, randomise(shapes["none"], key, 0.2))
        loss = loss_of((module, inputs))
        kept[remat] = kept_bytes(loss, params)
        if remat in computed:
            values[remat] = jax.jit(jax.value_and_grad(loss))(params)
    assert shapes["none"] == shapes["dots"] == shapes["full"]
    (loss, gradient) = values.pop("none")
    largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(gradient))
    for other, again in values.values():
        assert float(other) == pytest.approx(float(loss), rel=1e-6)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6 * largest), again, gradient)
    assert kept["full"] <= kept["dots"] < kept["none"], kept  # a network of only convolutions has no products to keep
    assert kept["full"] < 0.7 * kept["none"], kept


@pytest.mark.parametrize("remat", [pytest.param(name, marks=[] if name == "full" else pytest.mark.slow) for name in REMAT])
def test_one_loop_of_layers_says_what_layers_in_a_row_say(remat: str, key: jax.Array) -> None:
    inputs = jax.tree.map(lambda x: jax.random.normal(key, x.shape) if x.ndim > 2 else x, actor("none")[1])
    row, loop = actor(remat)[0], actor(remat, scan_layers=True)[0]
    params = randomise(jax.eval_shape(row.init, key, *inputs)["params"], key, 0.2)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, jax.eval_shape(loop.init, key, *inputs)["params"])
    (one, true), (other, found) = (jax.jit(jax.value_and_grad(loss_of((net, inputs))))(params) for net in (row, loop))
    assert float(other) == pytest.approx(float(one), rel=1e-6)
    largest = max(float(np.abs(x).max()) for x in jax.tree.leaves(true))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6 * largest), found, true)


def test_one_loop_is_no_longer_a_program_with_more_layers(key: jax.Array) -> None:
    """But for the stacking of parameters, and keeps less with rematerialisation as layers in a row do."""

    def lines(depth: int, loop: bool) -> int:
        module, inputs = actor("none", scan_layers=loop, depth=depth)
        params = jax.eval_shape(module.init, key, *inputs)["params"]
        return jax.jit(loss_of((module, inputs))).trace(params).lower().as_text().count(" = stablehlo.dot_general")

    assert lines(1, False) < lines(3, False)
    assert lines(2, True) == lines(3, True)
    (module, inputs), kept = actor("none", scan_layers=True), {}
    params = jax.eval_shape(module.init, key, *inputs)["params"]
    for remat in REMAT:
        kept[remat] = kept_bytes(loss_of((actor(remat, scan_layers=True)[0], inputs)), params)
    assert kept["full"] < kept["dots"] < kept["none"], kept


def with_remat(stage: str, remat: str, network: str = "") -> ConfigDict:
    """The stage's config at tiny sizes."""
    c = tiny_config(stage)
    if network == "xnemo":
        c.network.update(encoder="xnemo", encoder_size=64, encoder_widths=(8, 32, 32))
    if network == "style":
        c.network.update(decoder="style", patch=2, widths=(16, 16))
    if network == "warp":
        c.network.update(patch=2, widths=(16, 16), encoder_widths=(16, 16))
    if stage == "autoencoder":
        c.network.update(channels=(16,), patch=2, groups=4, middle=True)
    c.remat = remat
    return c


def kept_by(config: ConfigDict, variables: Variables, key: jax.Array) -> int:
    """Bytes that the backward pass of a stage's loss needs."""
    task = make_task(config)
    loss = lambda params, buffers, batch: task.loss(Variables(params, buffers), batch_to_float(batch), key, True).loss
    return kept_bytes(loss, *variables, task.example_batch(4))


NETWORKS = ("motion:xnemo", "motion:warp", "motion:style", "autoencoder:")
PHASES = ("actor:", "video:spatial", *(pytest.param(f"video:{phase}", marks=pytest.mark.slow) for phase in ("all", "temporal")))


@pytest.mark.parametrize("trained", [*NETWORKS, *PHASES])
def test_every_network_and_every_phase_of_training_keeps_less(trained: str, key: jax.Array) -> None:
    stage, _, which = trained.partition(":")
    plain, less = (with_remat(stage, remat, which if trained in NETWORKS else "") for remat in ("none", "full"))
    plain.phase = less.phase = which
    variables = jax.eval_shape(make_task(plain).init, key)
    kept = kept_by(less, variables, key) / kept_by(plain, variables, key)
    assert kept < 0.8, kept


@pytest.mark.parametrize("stage", STAGES)
def test_a_config_chooses(stage: str) -> None:
    assert default_config(stage).remat == "none"
    c = with_remat(stage, "full")
    model = make_task(c).model
    networks = {"motion": ("encoder", "decoder"), "actor": ("network",), "autoencoder": ("module",), "video": ("denoiser",)}
    assert {getattr(model, network).remat for network in networks[stage]} == {"full"}
    c.remat = "some"
    with pytest.raises(UserError, match=r"remat=some is not possible: use none, dots or full\."):
        make_task(c)
