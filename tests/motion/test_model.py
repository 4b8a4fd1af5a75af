import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.motion import get_config
from tests.tiny import drawn
from xactor_jax.checkpoints import perceptual
from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import PerceptualSettings
from xactor_jax.layers.picture_losses import psnr
from xactor_jax.motion.model import MotionModel, latent_statistics, motion_hash, update_statistics
from xactor_jax.motion.task import TRUTHS, MotionTask
from xactor_jax.variables import Variables


@cache
def compiled(module: Any, method: str) -> Callable[..., Any]:
    """One program for all tests of equal networks."""
    return jax.jit(getattr(module, method))


@pytest.fixture(scope="module")
def config():
    c = get_config()
    c.network.update(image_size=16, latent_dim=8, widths=(16, 24), encoder_widths=(8, 32))
    c.data.augmentation.probability = 0.0
    return c


@pytest.fixture(scope="module")
def task(config):
    return MotionTask.from_config(config)


@pytest.fixture(scope="module")
def variables(task):
    return drawn(task)


@pytest.fixture(scope="module")
def batch(task):
    """Pictures of a bright square whose place is the motion and whose colour is the identity."""
    rng, images = np.random.default_rng(0), np.full((3, 8, 16, 16, 3), -0.5, np.float32)
    for i in range(8):
        colour = rng.uniform(0, 1, 3)
        for picture in images[:, i]:
            y, x = rng.integers(0, 10, 2)
            picture[y : y + 6, x : x + 6] = colour
    boxes = jnp.asarray(np.tile(np.float32([[[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]]), (8, 1, 1)))
    target, reference, _ = map(jnp.asarray, images)
    return {"target": target, "reference": reference, "component_boxes": boxes}


def test_untrained_decoder_answers_the_reference(task, variables, batch):
    latents = jnp.asarray(np.random.default_rng(1).normal(size=(8, 8)), jnp.float32)
    fresh = compiled(task.model.decoder, "init")(jax.random.key(0), batch["reference"][:1], latents[:1])["params"]
    untrained = variables._replace(params={"generator": {**variables.params["generator"], "decoder": fresh}})
    np.testing.assert_array_equal(compiled(task.model, "decode")(untrained, batch["reference"], latents), batch["reference"])


def test_example_batch_and_config_agree(task, batch):
    shapes = task.example_batch(8)
    assert {k: v.shape for k, v in shapes.items()} == {k: v.shape for k, v in batch.items()}
    assert {k for k, v in shapes.items() if v.dtype == np.uint8} == {"target", "reference"}


def test_every_term_teaches_its_own_part(config, batch, monkeypatch):
    """With the style decoder and all terms on: what fools or matches, the generator; what judges, the discriminator."""
    own = config.copy_and_resolve_references()
    own.network.update(decoder="style", widths=(8,), encoder_widths=(8,))
    own.pretrained.perceptual = "random"
    own.loss.update(perceptual=0.5, adversarial_kind="non_saturating", r1=2.0)
    monkeypatch.setattr(perceptual, "PerceptualSettings", partial(PerceptualSettings, widths=(2, 2, 2, 2, 2)))
    task = MotionTask.from_config(own)
    variables = drawn(task)
    names = ("pixel", "gradient", "perceptual", "kl", "adversarial", "feature_matching", "discriminator", "r1")

    @jax.jit
    def gradients(params):
        def terms(p):
            out = task.loss(variables._replace(params=p), batch, jax.random.key(0), True)
            return {name: out.metrics[name] for name in names}, out

        rows, out = jax.jacrev(terms, has_aux=True)(params)
        sizes = {name: {part: optax.global_norm(rows[name][part]) for part in rows[name]} for name in names}
        parts = {part: optax.global_norm(rows["adversarial"]["generator"][part]) for part in ("encoder", "decoder")}
        return out, sizes, parts

    out, sizes, parts = gradients(variables.params)
    for name in names:
        judge, made = float(sizes[name]["discriminator"]), float(sizes[name]["generator"])
        assert (judge > 0 and made == 0) if name in ("discriminator", "r1") else (judge == 0 and made > 0), name
    assert min(parts.values()) > 0
    weights = {name: getattr(own.loss, name, 1.0) for name in names}  # the discriminator's own loss has no weight
    np.testing.assert_allclose(out.loss, sum(weights[name] * out.metrics[name] for name in names), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, out.buffers["perceptual"], variables.buffers["perceptual"])
    assert out.buffers["latent_count"] == variables.buffers["latent_count"] + 1


def test_a_perceptual_loss_asks_for_its_network(config):
    own = config.copy_and_resolve_references()
    own.loss.perceptual = 1.0
    with pytest.raises(UserError, match=r"pretrained\.perceptual"):
        MotionTask.from_config(own).pretrained_buffers()
    own.loss.perceptual_kind = "resnet"
    with pytest.raises(UserError, match="use vgg16 or lpips"):
        MotionTask.from_config(own)


def test_running_statistics_converge_to_the_corpus(rng):
    buffers = {"latent_mean": jnp.zeros(3), "latent_square": jnp.ones(3), "latent_count": jnp.zeros(())}
    true_mean, true_std = np.array([1.0, -2.0, 0.0]), np.array([0.5, 2.0, 1.0])
    update = jax.jit(update_statistics)
    for _ in range(300):
        buffers = update(buffers, jnp.asarray(true_mean + true_std * rng.normal(size=(64, 3)), jnp.float32))
    mean, std = latent_statistics(buffers)
    np.testing.assert_allclose(mean, true_mean, atol=0.06)
    np.testing.assert_allclose(std, true_std, rtol=0.03)


def test_encode_standardises_and_decode_undoes_it(task, variables, batch):
    shifted = variables._replace(
        buffers={"latent_mean": jnp.full(8, 2.0), "latent_square": jnp.full(8, 13.0), "latent_count": jnp.ones(())}
    )
    raw = compiled(task.model, "posterior")(variables.params, batch["target"]).mean
    encoded = compiled(task.model, "encode")(shifted, batch["target"])
    np.testing.assert_allclose(encoded, (raw - 2.0) / 3.0, rtol=1e-5, atol=1e-6)
    decoded = compiled(task.model, "decode")(shifted, batch["reference"], encoded)
    expected = compiled(task.model, "reconstruct")(variables.params, batch["reference"], raw)
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-4)


def test_the_encoder_sees_pictures_at_its_own_size(config, task, variables, batch):
    own = config.copy_and_resolve_references()
    own.network.encoder_size, own.network.image_size = 16, 32
    large = np.asarray(batch["target"]).repeat(2, axis=1).repeat(2, axis=2)
    found = compiled(MotionModel.from_config(own), "posterior")(variables.params, large).mean
    expected = compiled(task.model, "posterior")(variables.params, smoothed(batch["target"])).mean
    np.testing.assert_allclose(found, expected, atol=1e-4)


def smoothed(images: np.ndarray) -> jax.Array:
    """Pictures enlarged by repeated pixels and made small again by a triangle of four: weights 1, 3, 3, 1 of eighths."""
    for axis in (1, 2):
        width = images.shape[axis]
        matrix = 0.75 * np.eye(width) + 0.125 * np.eye(width, k=1) + 0.125 * np.eye(width, k=-1)
        matrix /= matrix.sum(1, keepdims=True)
        images = np.moveaxis(np.tensordot(images, matrix, axes=(axis, 1)), -1, axis)
    return jnp.asarray(images, jnp.float32)


def test_without_a_variance_training_takes_the_latent_itself(config, batch):
    own = config.copy_and_resolve_references()
    own.network.variance = False
    task = MotionTask.from_config(own)
    variables = drawn(task)
    loss = jax.jit(lambda key: task.loss(variables, batch, key, True))
    assert "kl" not in loss(jax.random.key(0)).metrics
    assert loss(jax.random.key(0)).loss == loss(jax.random.key(1)).loss


def test_in_training_the_encoder_sees_changed_frames_and_the_target_stays(config, batch):
    """A latent without noise depends on the key only by the changes; the decoder's untrained answer is the reference."""
    own = config.copy_and_resolve_references()
    own.network.variance, own.data.augmentation.probability = False, 1.0
    task = MotionTask.from_config(own)
    variables = drawn(task)
    decoder = compiled(task.model.decoder, "init")(jax.random.key(0), batch["reference"][:1], jnp.zeros((1, 8)))["params"]
    variables.params["generator"]["decoder"] = decoder
    loss = jax.jit(lambda key, train: task.loss(variables, batch, key, train), static_argnums=1)
    trained, evaluated = ([loss(jax.random.key(seed), train) for seed in (0, 1)] for train in (True, False))
    means = [out.buffers["latent_mean"] for out in trained]
    assert np.abs(means[0] - means[1]).max() > 1e-4
    assert evaluated[0].loss == evaluated[1].loss
    for out in trained:
        np.testing.assert_allclose(out.metrics["pixel"], evaluated[0].metrics["pixel"], rtol=1e-6)


def test_an_unknown_encoder_is_refused(config):
    own = config.copy_and_resolve_references()
    own.network.encoder = "resnet"
    with pytest.raises(UserError, match="use convolutional or xnemo"):
        MotionModel.from_config(own)


def test_bfloat16_stays_close_and_returns_float32(config, variables, batch):
    half = config.copy_and_resolve_references()
    half.precision = "bfloat16"
    full_images, half_images = (
        compiled(MotionModel.from_config(c), "reconstruct")(variables.params, batch["reference"], np.ones((8, 8), np.float32))
        for c in (config, half)
    )
    assert half_images.dtype == jnp.float32
    assert 0 < float(jnp.abs(full_images - half_images).mean()) < 0.05 * float(jnp.abs(full_images).mean())


@pytest.mark.slow  # quick: test_every_term_teaches_its_own_part
@pytest.mark.parametrize("decoder", ["warp", "style"])
def test_training_learns_motion_that_the_reference_lacks(config, batch, decoder):
    own = config.copy_and_resolve_references()
    own.network.decoder = decoder
    task, optimizer = MotionTask.from_config(own), optax.adam(3e-3)
    variables = jax.jit(task.init)(jax.random.key(0))

    @jax.jit
    def step(variables, state, key):
        loss = lambda p: task.loss(variables._replace(params=p), batch, key, True)
        (_, out), grads = jax.value_and_grad(lambda p: (lambda o: (o.loss, o))(loss(p)), has_aux=True)(variables.params)
        updates, state = optimizer.update(grads, state)
        params = optax.apply_updates(variables.params, updates)
        return Variables(params, out.buffers), state, out.metrics

    state, repeated = optimizer.init(variables.params), float(psnr(batch["reference"], batch["target"]))
    for i in range(80):
        variables, state, metrics = step(variables, state, jax.random.key(i))
    assert float(metrics["psnr"]) > repeated + 3.0  # dB above repeating the reference
    preview = jax.jit(task.preview)(variables, batch, jax.random.key(0))["reconstruction"]
    assert preview.dtype == jnp.uint8 and preview.shape == (5 * 16, 8 * 16, 3)


def test_encoder_and_decoder_have_widths_of_their_own(variables):
    params = variables.params["generator"]
    channels = lambda trunk: [layer["kernel"].shape[-1] for layer in (trunk["from_patches"], trunk["down_1"]["conv"])]
    assert channels(params["encoder"]["trunk"]) == [8, 32]
    assert channels(params["decoder"]["appearance"]) == [16, 24]


def test_an_encoder_learns_without_a_decoder_from_what_is_known(config, batch):
    """Without a term of pictures the decoder is not used; what is known reaches the encoder, and its moments are kept."""
    own = config.copy_and_resolve_references()
    own.loss.update(truth=1.0, pixel=0.0, gradient=0.0, adversarial=0.0, feature_matching=0.0)
    task = MotionTask.from_config(own)
    variables, rng = drawn(task), np.random.default_rng(4)
    known = np.zeros((8, TRUTHS), np.float32)
    known[:5, :3] = 1.0
    labelled = {**batch, "truth": rng.normal(2.0, 3.0, (8, TRUTHS)).astype(np.float32), "known": known}
    fresh = variables._replace(buffers={**variables.buffers, "truth_count": np.float32(0)})

    def loss(params, batch):
        out = task.loss(fresh._replace(params=params), batch, jax.random.key(1), True)
        return out.loss, out

    run = jax.jit(jax.grad(loss, has_aux=True))
    gradients, out = run(fresh.params, labelled)
    size = lambda tree: max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(tree))
    assert size(gradients["generator"]["encoder"]) > 0 and size(gradients["reader"]) > 0
    assert size(gradients["generator"]["decoder"]) == size(gradients["discriminator"]) == 0.0
    assert "pixel" not in out.metrics and set(task.param_labels(variables.params)["reader"].values()) == {"default"}
    np.testing.assert_allclose(out.buffers["truth_mean"][:3], labelled["truth"][:5, :3].mean(0), rtol=1e-4)
    np.testing.assert_array_equal(out.buffers["truth_mean"][3:], fresh.buffers["truth_mean"][3:])
    other = {**labelled, "truth": labelled["truth"] + 7.0 * (1 - known)}
    assert float(run(fresh.params, other)[1].loss) == float(out.loss)


def test_a_decoder_that_learns_without_the_encoder_leaves_the_latents_as_they_are(config, batch):
    """Encoder and moments stay, so what was trained on their latents still fits; with another encoder it would not."""
    own = config.copy_and_resolve_references()
    own.train_encoder = False
    task = MotionTask.from_config(own)
    variables = drawn(task)
    labels = task.param_labels(variables.params)["generator"]
    assert set(jax.tree.leaves(labels["encoder"])) == {"frozen"} and set(jax.tree.leaves(labels["decoder"])) == {"default"}
    out = jax.jit(lambda v: task.loss(v, batch, jax.random.key(1), True))(variables)
    jax.tree.map(np.testing.assert_array_equal, out.buffers, variables.buffers)
    changed = lambda part: Variables(
        jax.tree_util.tree_map_with_path(lambda path, x: x + 1.0 if part in str(path) else x, variables.params),
        variables.buffers,
    )
    assert motion_hash(changed("decoder")) == motion_hash(variables) != motion_hash(changed("encoder"))
    assert motion_hash(variables._replace(buffers={**variables.buffers, "latent_mean": np.ones(8, np.float32)})) != motion_hash(
        variables
    )


def test_every_statistic_comes_with_the_part_it_was_measured_with():
    """A decoder on another's frozen encoder keeps that encoder's latents: their mean and square come with it."""
    config = get_config()
    config.loss.truth = 0.5
    task = MotionTask.from_config(config)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    parts = {name: [part for part, start in task.start_buffers.items() if name.startswith(start)] for name in shapes.buffers}
    assert parts == {
        **{f"latent_{name}": ["generator/encoder"] for name in ("mean", "square", "count")},
        **{f"truth_{name}": ["reader"] for name in ("mean", "square", "count")},
    }
    assert all(part.split("/")[0] in shapes.params for found in parts.values() for part in found)
