"""The wav2vec 2.0 encoder against its formulas in float64, and recordings inside longer inputs."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.audio.released import Reference, config_of, weights_of
from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.errors import UserError
from xactor_jax.pretrained import wav2vec2
from xactor_jax.pretrained.name_map import convert


def imported(config: dict, weights: dict):
    """(network, variables)"""
    ours = wav2vec2.read_config(config, {})
    return Wav2Vec2(Wav2Vec2Settings(**ours.network)), {
        "params": convert(weights, wav2vec2.TABLE, wav2vec2.parameter_shapes(ours))
    }


def run(network: Wav2Vec2, *arguments):
    return jax.jit(network.apply)(*arguments)


@pytest.fixture(params=["group", "layer"])
def design(request) -> str:
    return request.param


@pytest.fixture
def tiny(design, rng):
    config = config_of(design)
    weights = weights_of(config, rng)
    return config, weights, *imported(config, weights)


def speech(rng: np.random.Generator, samples: int) -> np.ndarray:
    return (0.1 * rng.normal(size=samples) * (1 + np.sin(np.arange(samples) / 900))).astype(np.float32)


@pytest.mark.parametrize("samples", [400, 719, 720, 3000])
def test_every_hidden_state_is_what_the_formulas_say(tiny, rng, samples):
    config, weights, network, variables = tiny
    x = speech(rng, samples) + 0.3  # a constant that equation (1) takes away
    states, valid = run(network, variables, x[None])
    expected = Reference(config, weights)(x)
    assert states.shape == (3, 1, (samples - 400) // 320 + 1, 8) and valid.all()
    np.testing.assert_allclose(states[:, 0], expected, atol=2e-5)


def test_a_recording_inside_a_longer_input_is_the_recording_by_itself(tiny, rng):
    _, _, network, variables = tiny
    x = speech(rng, 2500)
    inside = speech(rng, 6000)  # the samples around it are masked
    inside[960 : 960 + len(x)] = x
    where = (np.arange(len(inside)) >= 960) & (np.arange(len(inside)) < 960 + len(x))
    states, valid = run(network, variables, inside[None], where[None])
    single, _ = run(network, variables, x[None])
    assert valid[0].nonzero()[0].tolist() == list(range(3, 3 + single.shape[2]))
    np.testing.assert_allclose(states[:, :, 3 : 3 + single.shape[2]], single, atol=2e-5)


def test_silence_is_finite(tiny):
    _, _, network, variables = tiny
    states, _ = run(network, variables, np.zeros((1, 2000), np.float32))
    assert np.isfinite(states).all()


def test_without_normalisation_level_and_offset_count(rng):
    config = config_of("layer")
    normalising, variables = imported(config, weights_of(config, rng))
    plain = Wav2Vec2(Wav2Vec2Settings.from_huggingface(config, normalize=False))
    x = speech(rng, 2000)[None]
    expected, _ = run(normalising, variables, x)
    np.testing.assert_allclose(run(plain, variables, (x - x.mean()) / np.sqrt(x.var() + 1e-7))[0], expected, atol=2e-5)
    assert np.abs(run(plain, variables, x)[0] - expected).max() > 1e-2


def test_a_frame_is_made_of_25_ms_every_20_ms():
    for settings in (Wav2Vec2Settings.base(), Wav2Vec2Settings.large()):
        assert settings.stride == 320 and settings.receptive_field == 400
        assert [settings.num_frames(n) for n in (0, 399, 400, 719, 720, 16000)] == [0, 0, 1, 1, 2, 49]


@pytest.mark.parametrize(
    "change", [{"model_type": "hubert"}, {"hidden_act": "relu"}, {"adapter_attn_dim": 16}, {"add_adapter": True}]
)
def test_other_networks_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        Wav2Vec2Settings.from_huggingface(config_of("group", **change))


def test_sizes_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="differ in number"):
        Wav2Vec2Settings.from_huggingface(config_of("group", conv_dim=[4, 4]))
    with pytest.raises(UserError, match="'batch' is not known"):
        Wav2Vec2Settings.from_huggingface(config_of("group", feat_extract_norm="batch"))
