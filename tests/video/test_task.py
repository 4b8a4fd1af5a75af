from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import video
from tests.video import tiny
from xactor_jax.diffusion.weighting import min_snr_weight
from xactor_jax.errors import UserError
from xactor_jax.pictures import batch_to_float
from xactor_jax.variables import Variables
from xactor_jax.video.disturbance import MotionNoise, disturb
from xactor_jax.video.examples import disturbed, latents_of
from xactor_jax.video.objective import draw_times, stratified_times
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.task import VideoTask


@pytest.fixture(scope="module")
def task():
    return VideoTask.from_config(tiny.video_config())


def moving_batch(task):
    """Pictures that motion decides: brightness of the whole frame is the first entry of the motion latent."""
    batch = tiny.random_batch(task, 2)
    paint = lambda base, motion: jnp.clip(base + 0.5 * motion[..., :1, None, None], -1, 1)
    base = 0.3 * batch["reference"]
    frames = paint(base[:, None], batch["motion_latents"])
    return {**batch, "frames": frames, "reference": paint(base, batch["reference_motion"])}


def test_levels_are_drawn_from_all_or_from_those_that_sampling_passes(task):
    """Two steps from 1 to 0 call the network at 1 and 0.5; the real draw of all levels hits neither."""
    sampled = replace(task.settings, sampled_levels=True)
    drawn = lambda settings: set(np.asarray(draw_times(task.model, settings, jax.random.key(0), 64)).tolist())
    assert drawn(sampled) == {1.0, 0.5}
    assert len(drawn(task.settings)) == 64


@pytest.mark.slow  # quick: test_loss_is_the_weighted_error_of_v, and the gradients of tests/video/test_phases.py
def test_overfits_a_moving_batch(task):
    batch, optimizer = moving_batch(task), optax.adam(5e-3)
    variables = jax.jit(task.init)(jax.random.key(0))

    @jax.jit
    def step(variables, state, key):
        def loss(params):
            out = task.loss(Variables(params, variables.buffers), batch, key, True)
            return out.loss, out

        gradients, out = jax.grad(loss, has_aux=True)(variables.params)
        updates, state = optimizer.update(gradients, state)
        return Variables(optax.apply_updates(variables.params, updates), out.buffers), state, out.metrics

    state, errors = optimizer.init(variables.params), []
    for i in range(150):
        variables, state, metrics = step(variables, state, jax.random.key(i))
        errors.append(float(metrics["clean_mse"] / metrics["clean_power"]))
    assert np.mean(errors[-20:]) < 0.5 * np.mean(errors[:20])
    assert variables.buffers["residual_count"] == 150
    z, z_ref = jax.jit(partial(latents_of, task.model))(variables, batch)
    np.testing.assert_allclose(
        variables.buffers["residual_std"], np.sqrt(np.mean((z - z_ref[:, None]) ** 2, (0, 1, 2, 3))), rtol=1e-3
    )


def test_loss_is_the_weighted_error_of_v(task):
    """Everything that training adds turned off: the loss again from its parts."""
    variables, batch, key = tiny.random_variables(task), tiny.random_batch(task, 2), jax.random.key(4)
    out = tiny.loss_of(task)(variables, batch, key, False)
    m, s = task.model, task.settings
    key_time, key_noise, _ = jax.random.split(key, 3)
    z, z_ref = jax.jit(partial(latents_of, task.model))(variables, batch)
    x0 = (np.asarray(z) - np.asarray(z_ref)[:, None]) / 0.5
    u, eps = np.asarray(stratified_times(key_time, 2)), np.asarray(jax.random.normal(key_noise, x0.shape))
    t = 2 * u / (1 + u)  # time_shift of 2
    wide = lambda y: y.reshape(2, 1, 1, 1, 1)
    alpha, sigma = wide(np.cos(np.pi * t / 2)), wide(np.sin(np.pi * t / 2))
    x_t, v = alpha * x0 + sigma * eps, alpha * eps - sigma * x0
    weights = {"params": variables.params}
    bank = jax.jit(partial(m.denoiser.apply, method="appearance"))(weights, z_ref)
    noisy, conditions = (jnp.asarray(x_t, jnp.float32), jnp.asarray(t)), (batch["motion_latents"], z_ref, bank)
    prediction = jax.jit(m.denoiser.apply)(weights, *noisy, *conditions, None, batch["frames_apart"])
    size = np.abs(np.asarray(z) - np.asarray(z_ref)[:, None]).mean(axis=-1)
    where = 1 + s.change_weight * size / size.mean(axis=(1, 2, 3), keepdims=True)
    where[:, :, :, :2] += s.box_weight  # the two boxes of the batch cover the left half
    where /= where.mean(axis=(1, 2, 3), keepdims=True)
    per_window = (where[..., None] * (np.asarray(prediction) - v) ** 2).mean(axis=(1, 2, 3, 4))
    weight = np.maximum(np.asarray(min_snr_weight(m.process, jnp.asarray(t))), s.weight_floor)
    assert out.loss == pytest.approx((weight * per_window).mean(), rel=1e-3)
    assert out.buffers["residual_count"] == variables.buffers["residual_count"]


def test_training_is_disturbed_and_evaluation_is_not(task):
    variables, batch, key = tiny.random_variables(task), tiny.random_batch(task, 2), jax.random.key(4)
    outputs = [tiny.loss_of(task)(variables, batch, key, train).loss for train in (True, False, False)]
    assert outputs[0] != outputs[1] == outputs[2]


def test_motion_is_replaced_by_the_reference_s_as_often_as_asked():
    motion = disturbed(jax.random.key(0), jnp.ones((2000, 4, 6)), jnp.full((2000, 6), -7.0), MotionNoise(), 0.25)
    replaced = np.all(np.asarray(motion) == -7.0, axis=(1, 2))
    assert replaced.mean() == pytest.approx(0.25, abs=0.04)
    assert not np.any(np.asarray(motion)[~replaced] == -7.0)


def test_disturbance_is_structured(key):
    still = jnp.zeros((4000, 8, 1))
    measure = lambda **noise: np.asarray(
        disturb(key, still, MotionNoise(**{"bias": 0.0, "drift": 0.0, "jitter": 0.0, **noise}))
    )
    assert np.abs(measure()).max() == 0.0
    bias, drift, jitter = measure(bias=1.0), measure(drift=1.0), measure(jitter=1.0)
    amplitude = np.sqrt(1 / 3)  # root mean square of a uniform number
    assert np.ptp(bias, axis=1).max() == 0.0 and bias.std() == pytest.approx(amplitude, rel=0.05)
    assert drift[:, -1].std() == pytest.approx(amplitude, rel=0.05)
    assert drift[:, 0].std() == pytest.approx(amplitude / np.sqrt(8), rel=0.1)
    correlation = np.mean(jitter[:, 1:] * jitter[:, :-1]) / np.mean(jitter**2)
    assert abs(correlation) < 0.05 and jitter.std() == pytest.approx(amplitude, rel=0.05)


def test_noise_levels_cover_all_levels(key):
    t = np.asarray(stratified_times(key, 10))
    np.testing.assert_array_equal(np.floor(10 * t), np.arange(10))


def test_shifted_noise_levels_are_those_of_another_ratio_of_noise_to_signal(key):
    """Of the straight process x_t = (1 - t) x_0 + t eps, the shift multiplies noise over signal, t / (1 - t)."""
    u, t = (np.asarray(stratified_times(key, 10, shift), np.float64) for shift in (1.0, 3.0))
    np.testing.assert_allclose(t / (1 - t), 3 * u / (1 - u), rtol=1e-4)


def test_preview_shows_reference_true_and_rendered(task):
    batch = moving_batch(task)
    (picture,) = jax.jit(task.preview)(tiny.random_variables(task), batch, jax.random.key(0)).values()
    assert picture.dtype == np.uint8 and picture.shape == (4 * 16, 3 * 16, 3)
    bytes_of = lambda x: np.round((np.asarray(x) + 1) * 127.5)
    np.testing.assert_allclose(picture[:16, :16], bytes_of(batch["reference"][0]), atol=1)
    np.testing.assert_allclose(picture[32:48, 32:48], bytes_of(batch["frames"][1, 2]), atol=1)


def test_a_missing_autoencoder_is_one_sentence():
    config = tiny.video_config()
    config.pretrained.autoencoder = ""
    with pytest.raises(UserError, match=r"pretrained\.autoencoder"):
        VideoTask.from_config(config).pretrained_buffers()


def test_the_autoencoder_comes_from_its_checkpoint(monkeypatch):
    from xactor_jax.checkpoints import exports

    saved, params = tiny.autoencoder_config(), {"autoencoder": {"w": np.ones(1)}, "discriminator": {}}
    monkeypatch.setattr(exports, "load_variables", lambda path, stage: (saved, Variables(params, {"latent_std": 3})))
    config = tiny.video_config()
    config.pretrained.autoencoder = "somewhere"
    loaded = VideoTask.from_config(config).pretrained_buffers()
    assert loaded == {"autoencoder": {"params": {"w": np.ones(1)}, "buffers": {"latent_std": 3}}}
    saved.network.channels = (16,)
    with pytest.raises(UserError, match="other sizes"):
        VideoTask.from_config(config).pretrained_buffers()


@pytest.mark.parametrize("preset", ["default", pytest.param("base", marks=pytest.mark.slow)])
def test_every_preset_makes_a_task_whose_loss_has_shapes(preset):
    task = VideoTask.from_config(video.get_config(preset))
    variables = jax.eval_shape(task.init, jax.random.key(0))
    batch = jax.eval_shape(batch_to_float, task.example_batch(2))
    out = jax.eval_shape(lambda v, b: task.loss(v, b, jax.random.key(0), True), variables, batch)
    assert out.loss.shape == () and jax.tree.structure(out.buffers) == jax.tree.structure(variables.buffers)
    assert jax.tree.structure(task.param_labels(variables.params)) == jax.tree.structure(variables.params)
    assert isinstance(task.model.render_settings, RenderSettings)
