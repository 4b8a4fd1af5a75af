from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.layers.test_convolution import randomise
from xactor_jax.training.experiment import load_config
from xactor_jax.video.denoiser import DenoiserSettings
from xactor_jax.video.unet import Conditions, UNet, UNetSettings, with_coordinates

SETTINGS = UNetSettings(
    channels=(8, 8), attention=(False, True), blocks=1, heads=2, groups=4, feed_forward=1, module_feed_forward=0,
    module_attentions=1, time_width=8, out_channels=3, coordinates=False,
)  # fmt: skip
X = jax.random.normal(jax.random.key(1), (2, 3, 4, 4, 3))
T = jnp.array([0.2, 0.9])


def build(settings, conditions=None):
    """A trunk with random parameters as a compiled function of its inputs."""
    unet = UNet(settings)
    conditions = conditions or Conditions()
    params = randomise(jax.eval_shape(unet.init, jax.random.key(0), X, T, conditions)["params"], jax.random.key(0), 0.2)
    return params, jax.jit(lambda x, t, conditions: unet.apply({"params": params}, x, t, conditions))


@pytest.fixture(scope="module")
def reference():
    return build(SETTINGS.for_reference(features_only=False))


def test_reference_trunk_sees_each_frame_by_itself_and_gives_a_feature_per_attention(reference):
    _, run = reference
    y, features = run(X, T, Conditions())
    assert y.shape == (2, 3, 4, 4, 3)
    # One level of 2 × 2 with attention: one layer down, the middle, two up; pixels of three frames in a row.
    assert [f.shape for f in features] == [(2, 3 * 4, 8)] * 4
    single, _ = run(X[:, 1:2].repeat(3, axis=1), T, Conditions())
    np.testing.assert_allclose(single[:, 0], y[:, 1], atol=1e-5)


def test_noise_level_matters(reference):
    _, run = reference
    assert not np.allclose(run(X, T, Conditions())[0], run(X, T + 0.05, Conditions())[0], atol=1e-3)


def test_a_trunk_of_only_features_has_those_of_the_whole_trunk(reference):
    params, run = reference
    short = UNet(SETTINGS.for_reference(features_only=True))
    kept = jax.eval_shape(short.init, jax.random.key(0), X, T)["params"]
    assert set(kept) < set(params) and not {"conv_out", "up_0", "up0_0_block"} & set(kept)
    _, features = short.apply({"params": {name: params[name] for name in kept}}, X, T)
    for a, b in zip(features, run(X, T, Conditions())[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_bank_changes_the_prediction_and_each_entry_goes_to_its_own_layer(reference):
    _, run = reference
    bank = tuple(jax.random.normal(jax.random.key(i), (2, 5, 8)) for i in range(4))
    with_bank = run(X, T, Conditions(bank=bank))[0]
    assert not np.allclose(with_bank, run(X, T, Conditions())[0], atol=1e-3)
    assert not np.allclose(with_bank, run(X, T, Conditions(bank=bank[::-1]))[0], atol=1e-4)


def test_coordinates_run_from_minus_one_to_one():
    y = np.asarray(with_coordinates(X))
    assert y.shape[-1] == 5
    np.testing.assert_allclose(y[1, 2, :, 0, 3], np.linspace(-1, 1, 4), atol=1e-6)
    np.testing.assert_allclose(y[1, 2, 0, :, 4], np.linspace(-1, 1, 4), atol=1e-6)


@pytest.mark.slow  # quick: names and shapes of a small released renderer, tests/pretrained/test_xnemo_video.py
def test_full_size_is_stable_diffusion_s_trunk_without_its_text(key):
    """859,520,964: the parameters of SD 1.5's UNet; 454.4 M: of X-NeMo's temporal modules, fixed positions counted."""
    config = load_config("configs/video.py:base")
    settings = DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels).unet
    settings = replace(settings, context_width=0, discrete_steps=0).for_reference(features_only=False)
    x = jnp.zeros((1, 1, 64, 64, 4))
    params = jax.eval_shape(UNet(settings).init, key, x, jnp.zeros(1))["params"]
    count = sum(p.size for p in jax.tree.leaves(params))
    attention = [320] * 5 + [640] * 5 + [1280] * 6
    text = sum(2 * c * c + 2 * 768 * c + c + 2 * c for c in attention)  # query, out, key, value, out's bias, layer norm
    assert settings.num_features == 16
    assert count + text == 859_520_964
    every = [320] * 5 + [640] * 5 + [1280] * 11
    positions = sum(2 * 32 * c for c in every)
    temporal = jax.eval_shape(UNet(replace(settings, temporal=True)).init, key, x, jnp.zeros(1))["params"]
    assert sum(p.size for p in jax.tree.leaves(temporal)) - count + positions == pytest.approx(454.4e6, rel=1e-4)
