from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import autoencoder
from tests.layers.test_convolution import randomise
from tests.tiny import drawn
from tests.video.tiny import autoencoder_config
from xactor_jax.checkpoints import perceptual
from xactor_jax.errors import UserError
from xactor_jax.layers.perceptual import PerceptualSettings
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderModel, initial_statistics, update_statistics
from xactor_jax.video.autoencoder_task import AutoencoderTask


def smooth_pictures(count: int, size: int) -> jax.Array:
    """A coloured disc on a coloured ground, each elsewhere."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    pictures = []
    for _ in range(count):
        cy, cx = rng.uniform(0.3, 0.7, 2)
        disc = 1 / (1 + np.exp(40 * (np.hypot(y - cy, x - cx) - 0.25)))[..., None]
        pictures.append(disc * rng.uniform(-1, 1, 3) + (1 - disc) * rng.uniform(-1, 1, 3))
    return jnp.asarray(np.stack(pictures), jnp.float32)


def train(task: AutoencoderTask, frames: jax.Array, steps: int) -> tuple[Variables, list[dict[str, float]]]:
    optimizer = optax.adam(5e-3)
    variables = jax.jit(task.init)(jax.random.key(0))

    @jax.jit
    def step(variables, state, key):
        def loss(params):
            out = task.loss(Variables(params, variables.buffers), {"frames": frames}, key, True)
            return out.loss, out

        gradients, out = jax.grad(loss, has_aux=True)(variables.params)
        updates, state = optimizer.update(gradients, state)
        return Variables(optax.apply_updates(variables.params, updates), out.buffers), state, out.metrics

    state, history = optimizer.init(variables.params), []
    for i in range(steps):
        variables, state, metrics = step(variables, state, jax.random.key(i))
        history.append({name: float(value) for name, value in metrics.items()})
    return variables, history


def test_only_the_linear_maps_project_every_cell_on_a_basis(rng):
    """Networks silenced, a pair of orthonormal maps: each 4 × 4 square is its projection, as NumPy has it."""
    network = autoencoder_config().network
    network.update(patch=2, channels=(8, 8), latent_channels=5)
    module = AutoencoderModel.from_network(network).module
    frames = jnp.asarray(rng.uniform(-1, 1, (2, 16, 16, 3)), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), frames)["params"]
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    basis = np.linalg.qr(rng.normal(size=(48, 5)))[0]
    params["encoder"]["linear"]["kernel"], params["decoder"]["linear"]["kernel"] = jnp.asarray(basis), jnp.asarray(basis.T)
    params["decoder"]["post_quant"]["kernel"] = jnp.eye(5)[None, None]
    rebuilt = np.asarray(jax.jit(module.apply)({"params": params}, frames))
    for row, column in ((0, 0), (4, 12), (12, 8)):
        square = np.asarray(frames)[:, row : row + 4, column : column + 4].reshape(2, 48)
        expected = (square @ basis @ basis.T).reshape(2, 4, 4, 3)
        np.testing.assert_allclose(rebuilt[:, row : row + 4, column : column + 4], expected, atol=1e-5)


@pytest.mark.slow  # quick: test_adversarial_parts_learn_from_their_own_losses, tests/actor/test_task.py learns
def test_overfits_a_few_pictures_and_its_latents_have_standard_deviation_1():
    config = autoencoder_config()
    config.loss.statistics_decay = 0.8  # the test is shorter than the memory of the config's own
    task, frames = AutoencoderTask.from_config(config), smooth_pictures(8, 16)
    variables, history = train(task, frames, 250)
    assert history[-1]["psnr"] > 24 > 15 > history[0]["psnr"]
    frozen = {"params": variables.params["autoencoder"], "buffers": variables.buffers}
    z = jax.jit(task.model.encode)(frozen, frames)
    assert z.shape == (8, 4, 4, 4)
    np.testing.assert_allclose(np.std(z, axis=(0, 1, 2)), 1.0, atol=0.1)
    np.testing.assert_allclose(np.mean(z, axis=(0, 1, 2)), 0.0, atol=0.1)
    rebuilt = jax.jit(task.model.decode)(frozen, z)
    assert -10 * np.log10(np.mean((rebuilt - frames) ** 2) / 4) > 24


def test_evaluation_is_deterministic_and_keeps_the_statistics(key):
    task, frames = AutoencoderTask.from_config(autoencoder_config()), smooth_pictures(2, 16)
    variables = jax.device_put(drawn(task))
    run = jax.jit(lambda key: task.loss(variables, {"frames": frames}, key, False))
    first, second = run(key), run(jax.random.key(9))
    assert first.loss == second.loss
    assert first.buffers["latent_count"] == variables.buffers["latent_count"]


def test_clips_are_encoded_frame_by_frame(key):
    model = AutoencoderModel.from_network(autoencoder_config().network)
    params, frames = randomise(jax.eval_shape(model.init, key)["params"], key), smooth_pictures(6, 16)
    statistics = {"latent_mean": jnp.arange(4.0), "latent_std": jnp.arange(1.0, 5.0), "latent_count": jnp.array(1)}
    frozen = {"params": params, "buffers": statistics}
    encode = jax.jit(model.encode)
    flat, clips = encode(frozen, frames), encode(frozen, frames.reshape(2, 3, 16, 16, 3))
    np.testing.assert_allclose(clips.reshape(flat.shape), flat, atol=1e-6)
    raw, _ = jax.jit(partial(model.module.apply, method="encode"))({"params": frozen["params"]}, frames)
    np.testing.assert_allclose(flat * jnp.arange(1.0, 5.0) + jnp.arange(4.0), raw, atol=1e-5)


def test_running_statistics_are_those_of_all_batches_seen(rng):
    batches = rng.normal(2.0, 3.0, size=(5, 2, 4, 4, 3)).astype(np.float32)
    buffers = initial_statistics(3)
    for batch in batches:
        buffers = update_statistics(buffers, jnp.asarray(batch), decay=0.999)
    np.testing.assert_allclose(buffers["latent_mean"], batches.mean(axis=(0, 1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(buffers["latent_std"], batches.std(axis=(0, 1, 2, 3)), rtol=1e-4)


def test_adversarial_parts_learn_from_their_own_losses(key):
    config = autoencoder_config()
    config.loss.adversarial = 0.5
    task, frames = AutoencoderTask.from_config(config), smooth_pictures(2, 16)
    variables = jax.device_put(drawn(task))
    assert set(jax.tree.leaves(task.param_labels(variables.params)["discriminator"])) == {"discriminator"}
    names = ("adversarial", "discriminator")

    @jax.jit
    def gradients(params):
        loss = lambda params, name: task.loss(Variables(params, variables.buffers), {"frames": frames}, key, True).metrics[name]
        return {name: jax.grad(loss)(params, name) for name in names}

    size = lambda tree: float(sum(np.abs(x).sum() for x in jax.tree.leaves(tree)))
    g = gradients(variables.params)
    assert size(g["adversarial"]["discriminator"]) == 0.0 < size(g["adversarial"]["autoencoder"])
    assert size(g["discriminator"]["autoencoder"]) == 0.0 < size(g["discriminator"]["discriminator"])


def test_a_perceptual_loss_judges_by_frozen_weights(key, monkeypatch):
    """The one of the config's kind: its distance is in the loss, teaches the decoder, and its weights stay as they are."""
    config = autoencoder_config()
    config.loss.update(perceptual=0.5, perceptual_kind="lpips")
    with pytest.raises(UserError, match=r"pretrained\.perceptual"):
        AutoencoderTask.from_config(config).pretrained_buffers()
    config.pretrained.perceptual = "random"
    task, frames = AutoencoderTask.from_config(config), smooth_pictures(2, 16)
    monkeypatch.setattr(perceptual, "PerceptualSettings", partial(PerceptualSettings, widths=(2, 2, 2, 2, 2)))
    variables = jax.jit(task.init)(key)
    run = lambda params: task.loss(Variables(params, variables.buffers), {"frames": frames}, key, True)
    out, gradients = jax.jit(lambda p: (run(p), jax.grad(lambda p: run(p).metrics["perceptual"])(p)))(variables.params)
    parts = {"pixels": 1.0, "gradients": config.loss.gradients, "kl": config.loss.kl, "perceptual": 0.5}
    np.testing.assert_allclose(out.loss, sum(weight * out.metrics[name] for name, weight in parts.items()), rtol=1e-5)
    assert out.metrics["perceptual"] > 0 < float(jnp.abs(gradients["autoencoder"]["decoder"]["conv_in"]["kernel"]).sum())
    jax.tree.map(np.testing.assert_array_equal, out.buffers["perceptual"], variables.buffers["perceptual"])
    assert out.buffers["latent_count"] == variables.buffers["latent_count"] + 1


def test_base_has_stable_diffusion_s_sizes(key):
    task = AutoencoderTask.from_config(autoencoder.get_config("base"))
    frozen = jax.eval_shape(task.model.init, key)["params"]
    count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))
    assert task.model.settings.factor == 8
    assert count(frozen) == 83_653_863
    z = jax.eval_shape(task.model.encode, jax.eval_shape(task.model.init, key), jnp.zeros((1, 512, 512, 3)))
    assert z.shape == (1, 64, 64, 4)


def test_preview_is_a_picture(key):
    task, frames = AutoencoderTask.from_config(autoencoder_config()), smooth_pictures(5, 16)
    (picture,) = jax.jit(task.preview)(drawn(task), {"frames": frames}, key).values()
    assert picture.dtype == np.uint8 and picture.shape == (32, 64, 3)
    np.testing.assert_allclose(picture[:16, :16], np.round((frames[0] + 1) * 127.5), atol=1)
