"""The wav2vec 2.0 encoder against its formulas in float64, and recordings inside longer inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

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


@cache
def compiled(network: Wav2Vec2) -> Callable[..., Any]:
    """All tests share two programs of a network: of LENGTH samples with a mask, and of WHOLE samples without one."""
    return jax.jit(network.apply)


LENGTH, WHOLE = 3000, 1900


@pytest.fixture(scope="module", params=["group", "layer"])
def tiny(request):
    config = config_of(request.param)
    weights = weights_of(config, np.random.default_rng(0))
    return config, weights, *imported(config, weights)


def speech(rng: np.random.Generator, samples: int) -> np.ndarray:
    return (0.1 * rng.normal(size=samples) * (1 + np.sin(np.arange(samples) / 900))).astype(np.float32)


@pytest.mark.parametrize("samples", [400, 719, 720, LENGTH])
def test_every_hidden_state_is_what_the_formulas_say(tiny, rng, samples):
    config, weights, network, variables = tiny
    x = speech(rng, samples) + 0.3  # a constant that equation (1) takes away
    padded = np.pad(x, (0, LENGTH - samples))
    states, valid = compiled(network)(variables, padded[None], np.arange(LENGTH)[None] < samples)
    frames = (samples - 400) // 320 + 1
    assert states.shape == (3, 1, (LENGTH - 400) // 320 + 1, 8)
    assert valid[0].tolist() == [frame < frames for frame in range(states.shape[2])]
    np.testing.assert_allclose(states[:, 0, :frames], Reference(config, weights)(x), atol=2e-5)


def test_a_recording_inside_a_longer_input_is_the_recording_by_itself(tiny, rng):
    config, weights, network, variables = tiny
    x = speech(rng, WHOLE)
    inside = speech(rng, LENGTH)  # the samples around it are masked
    inside[960 : 960 + WHOLE] = x
    where = (np.arange(LENGTH) >= 960) & (np.arange(LENGTH) < 960 + WHOLE)
    states, valid = compiled(network)(variables, inside[None], where[None])
    single, every = compiled(network)(variables, x[None])
    assert every.all() and valid[0].nonzero()[0].tolist() == list(range(3, 3 + single.shape[2]))
    np.testing.assert_allclose(states[:, :, 3 : 3 + single.shape[2]], single, atol=2e-5)
    np.testing.assert_allclose(single[:, 0], Reference(config, weights)(x), atol=2e-5)


def test_silence_is_finite(tiny):
    _, _, network, variables = tiny
    states, _ = compiled(network)(variables, np.zeros((1, WHOLE), np.float32))
    assert np.isfinite(states).all()


def test_without_normalisation_level_and_offset_count(rng):
    config = config_of("layer")
    normalising, variables = imported(config, weights_of(config, rng))
    plain = Wav2Vec2(Wav2Vec2Settings.from_huggingface(config, normalize=False))
    x = speech(rng, WHOLE)[None]
    expected, _ = compiled(normalising)(variables, x)
    level = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
    np.testing.assert_allclose(compiled(plain)(variables, level)[0], expected, atol=2e-5)
    assert np.abs(compiled(plain)(variables, x)[0] - expected).max() > 1e-2


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
