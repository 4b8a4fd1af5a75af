"""The warping decoder's own ways: a flow for every pixel, a gate over what stands still, and the reference's own latent."""

import dataclasses
from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.motion import get_config
from tests.tiny import drawn
from xactor_jax.layers import picture_losses
from xactor_jax.motion.decoder import MotionDecoder
from xactor_jax.motion.task import MotionTask

PATCH, SIDE = 2, 8


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.uniform(-1, 1, (2, SIDE, SIDE, 3)), jnp.float32), jnp.asarray(rng.normal(size=(2, 6)), jnp.float32)


@pytest.fixture(scope="module")
def params(inputs):
    """Of a decoder with everything on, all of them away from zero."""
    rng, shapes = np.random.default_rng(1), jax.eval_shape(decoder().init, jax.random.key(0), *inputs)["params"]
    return jax.device_put(jax.tree.map(lambda leaf: (0.1 * rng.normal(size=leaf.shape)).astype(np.float32), shapes))


def decoder(**changed) -> MotionDecoder:
    return MotionDecoder(
        **{
            "patch": PATCH,
            "widths": (8, 8),
            "blocks": 1,
            "fine_flow": True,
            "gate": True,
            "cubic": False,
            "flows": 1,
            "refine_blocks": 0,
            **changed,
        }
    )


def biased(params, name, value):
    """The same parameters, but one output layer says `value` everywhere."""
    layer = params[name]
    bias = np.broadcast_to(np.float32(value), layer["bias"].shape)
    return {**params, name: {"kernel": np.zeros_like(layer["kernel"]), "bias": bias}}


def test_where_the_gate_is_shut_the_reference_stays_as_it_is(params, inputs):
    shut, wide = biased(params, "to_gate", -9.0), biased(params, "to_gate", 9.0)
    gated, ungated = jax.jit(decoder().apply), jax.jit(decoder(gate=False).apply)
    np.testing.assert_array_equal(gated({"params": shut}, *inputs), inputs[0])
    painted = np.asarray(ungated({"params": {k: v for k, v in params.items() if k != "to_gate"}}, *inputs))
    assert np.abs(painted - inputs[0]).max() > 0.1
    np.testing.assert_allclose(gated({"params": wide}, *inputs), painted, atol=1e-6)


def test_the_gate_is_returned(params, inputs):
    run = jax.jit(partial(decoder().apply, mutable="intermediates"))
    out, state = run({"params": params}, *inputs)
    (g,) = state["intermediates"]["gate"]
    painted, _ = run({"params": biased(params, "to_gate", 9.0)}, *inputs)
    np.testing.assert_allclose(out, inputs[0] + g * (painted - inputs[0]), atol=1e-5)
    assert 0 <= g.min() < g.max() <= 1


def test_every_pixel_has_a_flow_of_its_own(params, inputs):
    """Even columns of every patch come from one pixel lower, odd ones from their own place."""
    for name in ("to_flow", "to_change"):
        params = biased(params, name, 0.0)
    flow = np.zeros((PATCH, PATCH, 2), np.float32)
    flow[:, 0, 0] = 1.0
    params = biased(biased(params, "to_gate", 9.0), "to_fine_flow", jnp.asarray(flow.reshape(-1)))
    expected = np.array(inputs[0])
    expected[:, :-1, ::2] = expected[:, 1:, ::2]
    np.testing.assert_allclose(jax.jit(decoder().apply)({"params": params}, *inputs), expected, atol=1e-5)


def test_a_correction_is_added_to_the_flow_and_the_reference_is_warped_anew(inputs):
    """One pixel down by the first flow and one by the correction: rows come from two pixels lower."""
    twice = decoder(flows=2)
    shapes = jax.eval_shape(twice.init, jax.random.key(0), *inputs)["params"]
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    for name in ("to_fine_flow", "correct_1_to_fine_flow"):
        params = biased(params, name, np.tile(np.array([1.0, 0.0], np.float32), PATCH**2))
    expected = np.array(inputs[0])
    expected[:, :-2] = expected[:, 2:]
    expected[:, -2] = expected[:, -1]
    found = jax.jit(twice.apply)({"params": biased(params, "to_gate", 9.0)}, *inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_more_flows_and_blocks_start_from_what_fewer_have_learnt(params, inputs):
    """What is new starts at zero: a trained decoder goes on in a larger one without a change."""
    larger = decoder(flows=3, refine_blocks=3)
    fresh = jax.jit(larger.init)(jax.random.key(0), *inputs)["params"]
    new = {name for name in fresh.keys() - params.keys() if "join" not in name}
    assert new == {
        *(f"correct_{i}_{part}" for i in (1, 2) for part in ("to_flow", "to_fine_flow", "0_block_0")),
        *(f"refine_0_block_{i}" for i in (1, 2)),
    }
    found, expected = (jax.jit(d.apply)({"params": {**fresh, **params}}, *inputs) for d in (larger, decoder()))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def task():
    c = get_config()
    c.network.update(image_size=SIDE, latent_dim=6, patch=PATCH, widths=(8,), encoder_widths=(8,))
    c.network.update(relative=True, gate=True)
    c.loss.gate = 0.5
    return MotionTask.from_config(c)


def test_the_reference_s_own_latent_is_computed_where_it_is_not_given(task, inputs):
    variables, images, latents = drawn(task), *inputs
    own = jax.jit(task.model.encode)(variables, images)
    decode = jax.jit(task.model.decode)
    found = decode(variables, images, latents)
    np.testing.assert_allclose(decode(variables, images, latents, own), found, atol=1e-5)
    assert np.abs(decode(variables, images, latents, own + 1.0) - found).max() > 1e-3


@pytest.mark.parametrize("name", ["warp", "style"])
def test_a_reference_serves_all_of_its_pictures(inputs, name):
    """Two references with three latents each, their features computed once: as with the reference repeated."""
    c = get_config()
    c.network.update(image_size=SIDE, latent_dim=6, patch=PATCH, widths=(8,), encoder_widths=(8,), relative=True, decoder=name)
    task = MotionTask.from_config(c)
    variables, images = drawn(task), inputs[0]
    motion, own = (np.random.default_rng(3).normal(size=(n, 6)).astype(np.float32) for n in (6, 2))
    found = jax.jit(task.model.decode)(variables, images, motion, own)
    each = jax.jit(task.model.decode)(variables, np.repeat(images, 3, axis=0), motion, np.repeat(own, 3, axis=0))
    np.testing.assert_allclose(found, each, atol=1e-5)
    assert np.abs(np.diff(found, axis=0)).max() > 1e-3


def test_settings_reach_the_decoder_and_the_discriminators():
    c = get_config("heads")
    c.network.update(flows=4, refine_blocks=5, discriminator_detail=6.0)
    task = MotionTask.from_config(c)
    assert (task.model.decoder.flows, task.model.decoder.refine_blocks, task.critics.network.detail) == (4, 5, 6.0)


def test_every_changed_pixel_costs(task, inputs):
    """The gate's mean has its weight in the loss."""
    variables, (images, _) = drawn(task), inputs
    batch = {"target": images[::-1], "reference": images, "component_boxes": jnp.zeros((2, 2, 4))}
    free = dataclasses.replace(task, weights=dataclasses.replace(task.weights, gate=0.0))
    both = jax.jit(lambda v: [t.loss(v, batch, jax.random.key(0), False) for t in (task, free)])
    with_gate, without = both(variables)
    assert 0 < with_gate.metrics["gate"] < 1
    np.testing.assert_allclose(with_gate.loss - without.loss, 0.5 * with_gate.metrics["gate"], rtol=1e-4)


def test_parts_are_cropped_as_opencv_resizes_them(inputs):
    """A box of whole pixels, enlarged: pixel centres lie where `cv2.resize` has them; at the crop's edge it reads beyond."""
    image = np.random.default_rng(3).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    boxes = jnp.asarray([[[0.25, 0.125, 0.5, 0.625], [0.5, 0.5, 0.75, 1.0]]] * 2)
    found = np.asarray(jax.jit(picture_losses.crop_parts, static_argnums=2)(image, boxes, 16)).reshape(2, 2, 16, 16, 3)
    expected = cv2.resize(image[1, 8:16, 4:20], (16, 16), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found[1, 0, 1:-1], expected[1:-1], atol=1e-5)


def test_eyes_and_mouth_have_a_discriminator_of_their_own():
    """It learns only from the parts, and the generator learns from it; what lies outside of the boxes does not matter to it."""
    c = get_config()
    c.network.update(image_size=16, latent_dim=6, patch=PATCH, widths=(8,), encoder_widths=(8,), part_side=8)
    c.loss.part_adversarial = 1.0
    task = MotionTask.from_config(c)
    variables, rng = drawn(task), np.random.default_rng(2)
    images, target = (jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32) for _ in range(2))
    boxes = jnp.asarray([[[0.25, 0.25, 0.5, 0.75], [0.625, 0.25, 0.875, 0.75]]] * 2)
    of = lambda p, x: task.critics.part_terms(p, x, target, boxes)
    own = variables.params["part_discriminator"]
    gradients = jax.jit(lambda p, x: jax.jacrev(of, (0, 1))(p, x))(own, images)
    size = lambda tree: max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(tree))
    assert size(gradients["part_adversarial"][0]) == 0 < size(gradients["part_discriminator"][0])
    assert size(gradients["part_discriminator"][1]) == 0
    reached = np.abs(np.asarray(gradients["part_adversarial"][1])).max((0, 3)) > 0
    assert reached[4:8, 4:12].any() and reached[10:14, 4:12].any() and not reached[:, :3].any() and not reached[:3].any()
    assert set(jax.tree.leaves(task.param_labels(variables.params)["part_discriminator"])) == {"discriminator"}
