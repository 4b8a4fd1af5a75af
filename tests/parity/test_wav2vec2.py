"""wav2vec 2.0 against the one in transformers, through files that PyTorch itself has written. `make parity` installs both."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.pretrained import wav2vec2
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.pretrained.importing import import_weights

TINY = dict(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
DESIGNS = {
    "group": dict(feat_extract_norm="group", do_stable_layer_norm=False, conv_bias=False),
    "layer": dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True),
}
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)


def random_model(seed: int = 0, **sizes):
    """A model whose every parameter matters: nothing is left at zero or one."""
    torch.manual_seed(seed)
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            size = 1 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.3
            parameter.copy_(size * torch.randn_like(parameter) + (parameter.ndim == 1))
    return model


def theirs(model, waveform: np.ndarray) -> np.ndarray:
    """Every hidden state; the last is the network's output, which transformers 5 lists before its normalisation."""
    extract = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    values = extract(list(waveform), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        output = model(values, output_hidden_states=True)
    return np.stack([state.numpy() for state in (*output.hidden_states[:-1], output.last_hidden_state)])


def ours(folder, waveform: np.ndarray) -> np.ndarray:
    config, variables = load_variables(folder, "wav2vec2")
    network = Wav2Vec2(Wav2Vec2Settings(**config.network))
    return np.asarray(jax.jit(network.apply)({"params": variables.params}, waveform)[0])


def saved(model, folder, kind: str):
    """The file with the weights, as users of PyTorch write it."""
    model.save_pretrained(folder)
    if kind == "safetensors":
        return folder / "model.safetensors"
    torch.save(model.state_dict() if kind == "bin" else model.half().state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("design", list(DESIGNS))
def test_every_hidden_state_of_both_designs(tmp_path, rng, design, kind):
    model = random_model(**TINY, **DESIGNS[design])
    waveform = (0.1 * rng.normal(size=(2, 8_000)) + 0.05).astype(np.float32)
    import_weights("wav2vec2", saved(model, tmp_path / "released", kind), tmp_path / "out")
    np.testing.assert_allclose(ours(tmp_path / "out", waveform), theirs(model, waveform), atol=1e-4)


def test_half_precision(tmp_path, rng):
    model = random_model(**TINY, **DESIGNS["group"])
    waveform = (0.1 * rng.normal(size=(1, 4_000))).astype(np.float32)
    import_weights("wav2vec2", saved(model, tmp_path / "released", "half"), tmp_path / "out")
    np.testing.assert_allclose(ours(tmp_path / "out", waveform), theirs(model.float(), waveform), atol=1e-4)


def test_a_model_with_a_head(tmp_path, rng):
    sizes = dict(num_codevectors_per_group=8, codevector_dim=8, proj_codevector_dim=8)
    model = transformers.Wav2Vec2ForPreTraining(transformers.Wav2Vec2Config(**TINY, **DESIGNS["group"], **sizes)).eval()
    waveform = (0.1 * rng.normal(size=(1, 4_000))).astype(np.float32)
    import_weights("wav2vec2", saved(model, tmp_path / "released", "safetensors"), tmp_path / "out")
    np.testing.assert_allclose(ours(tmp_path / "out", waveform), theirs(model.wav2vec2, waveform), atol=1e-4)


def test_the_base_model_on_a_second(tmp_path, rng):
    model = random_model()
    waveform = (0.1 * rng.normal(size=(1, 16_000))).astype(np.float32)
    import_weights("wav2vec2", saved(model, tmp_path / "released", "safetensors"), tmp_path / "out")
    np.testing.assert_allclose(ours(tmp_path / "out", waveform), theirs(model, waveform), atol=1e-4)


@pytest.mark.parametrize(
    "sizes, settings", [({}, Wav2Vec2Settings.base()), ({**LARGE, **DESIGNS["layer"]}, Wav2Vec2Settings.large())]
)
def test_named_sizes_are_the_released_ones(sizes, settings):
    config = transformers.Wav2Vec2Config(**sizes)
    assert Wav2Vec2Settings.from_huggingface(config.to_dict()) == settings
    with torch.device("meta"):
        model = transformers.Wav2Vec2Model(config)
    shapes = wav2vec2.parameter_shapes(wav2vec2.read_config(config.to_dict(), {}))
    not_kept = config.hidden_size + config.num_conv_pos_embeddings  # masked_spec_embed, and g of the weight normalisation
    assert sum(map(np.prod, shapes.values())) == sum(p.numel() for p in model.parameters()) - not_kept


@pytest.mark.parametrize("design", list(DESIGNS))
def test_features_of_a_short_recording_are_those_of_the_published_network(tmp_path, rng, design):
    """Interpolated to the middles of video frames; frame i of the network is centred on sample 320 i + 200."""
    model = random_model(**TINY, **DESIGNS[design])
    waveform = (0.1 * rng.normal(size=20_123) + 0.05).astype(np.float32)
    import_weights("wav2vec2", saved(model, tmp_path / "released", "safetensors"), tmp_path / "out")
    found = load_audio_features({"kind": "wav2vec2", "checkpoint": str(tmp_path / "out"), "piece": 1.4, "context": 0.4})
    states = theirs(model, waveform[None])[:, 0]
    middles, centres = 640 * np.arange(31) + 320, 320 * np.arange(states.shape[1]) + 200
    expected = [np.interp(middles, centres, column) for state in states for column in state.T]
    np.testing.assert_allclose(found.whole(waveform), np.stack(expected, axis=1), atol=1e-4)
