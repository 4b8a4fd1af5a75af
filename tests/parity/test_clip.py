"""CLIP's image encoder against the one in transformers, through files that PyTorch itself has written."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.numpy import load_file

from tests.parity.test_autoencoder import close, first
from tests.pretrained.keys import check_keys
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.pretrained import clip
from xactor_jax.pretrained.importing import export_weights, import_weights
from xactor_jax.video.clip import MEAN, STD, ClipModel, ClipSettings, clip_input

TINY = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7)
LARGE = dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, image_size=224, patch_size=14)


def randomised(model):
    """Every parameter matters: nothing is left at zero or one."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            size = 1 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.3
            parameter.copy_(size * torch.randn_like(parameter) + (parameter.ndim == 1))
    return model.eval()


def random_model(**sizes):
    return randomised(transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**sizes)))


def check(model, folder, rng, file: str = "model.safetensors", embedding=None) -> None:
    """The embedding of pictures of the right size, standardised, and the file back again."""
    import_weights("clip", folder / "released" / file, folder / "out")
    config, (params, _) = load_variables(folder / "out", "clip")
    ours = ClipModel.from_network(config.network)
    x = rng.normal(size=(2, ours.settings.image_size, ours.settings.image_size, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = (embedding or (lambda x: model(x).image_embeds))(first(x)).numpy()
    close(jax.jit(ours.module.apply)({"params": params}, x), theirs)
    export_weights("clip", folder / "out", folder / "back.safetensors")
    back, state = load_file(folder / "back.safetensors"), model.state_dict()
    assert set(back) == {name for name in state if name.startswith("vi")}
    assert all(np.array_equal(value, state[name].numpy()) for name, value in back.items())


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_a_tiny_encoder(tmp_path, rng, activation):
    model = random_model(**TINY, projection_dim=24, hidden_act=activation)
    model.save_pretrained(tmp_path / "released")
    check(model, tmp_path, rng)


def test_the_file_of_both_encoders(tmp_path, rng):
    text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=9)
    text |= dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    both = randomised(
        transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=dict(TINY), projection_dim=24))
    )
    both.save_pretrained(tmp_path / "released")
    torch.save(both.state_dict(), tmp_path / "released" / "pytorch_model.bin")
    check(both, tmp_path, rng, "pytorch_model.bin", lambda x: both.get_image_features(x).pooler_output)


def test_layers_of_the_large_encoder(tmp_path, rng):
    model = random_model(**LARGE, num_hidden_layers=2, projection_dim=768)
    model.save_pretrained(tmp_path / "released")
    check(model, tmp_path, rng)


def test_every_key_of_the_large_encoder_is_a_parameter_of_ours():
    config = transformers.CLIPVisionConfig(**LARGE, num_hidden_layers=24, projection_dim=768)
    with torch.device("meta"):
        model = transformers.CLIPVisionModelWithProjection(config)
    kept = clip.read_config(config.to_dict(), {})
    assert ClipSettings(**kept.network) == ClipSettings(depth=24)
    shapes = clip.parameter_shapes(kept)
    released = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert check_keys(released, clip.TABLE, shapes).keys() == released.keys()
    assert sum(map(np.prod, shapes.values())) == sum(p.numel() for p in model.parameters()) == 303_966_208


@pytest.mark.parametrize("height, width", [(512, 512), (300, 413), (97, 64)])
def test_pictures_are_prepared_as_by_the_processor(rng, height, width):
    """It works in bytes, rounded after each of two passes: within 2 of 255, and on average within half of one."""
    y, x = np.mgrid[:height, :width]
    waves = 127 + 60 * np.stack([np.sin(y / 17 + x / 11), np.cos(x / 7), np.sin(y / 5)], axis=-1)
    picture = np.clip(waves + rng.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)
    processor = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil()
    theirs = np.moveaxis(processor(picture, return_tensors="np").pixel_values[0], 0, -1)
    ours = np.asarray(jax.jit(clip_input)(picture[None].astype(np.float32) / 127.5 - 1))[0]
    bytes_of = lambda z: 255 * (np.asarray(z) * STD + MEAN)
    difference = np.abs(bytes_of(ours) - bytes_of(theirs))
    assert ours.shape == (224, 224, 3) and difference.max() < 2 and difference.mean() < 0.5
