"""Released autoencoders become checkpoints that compute the same and that the video stage takes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.pretrained.released_autoencoder import Reference, import_tiny, release
from tests.video import tiny
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.pretrained import autoencoder
from xactor_jax.pretrained.importing import export_weights, import_weights
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.task import VideoTask

KINDS = ("sd_vae", "svd_vae")


def load(folder):
    config, variables = load_variables(folder, "autoencoder")
    frozen = {"params": variables.params["autoencoder"], "buffers": variables.buffers}
    return AutoencoderModel.from_network(config.network), frozen


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Kind → (folder, released weights)."""
    return {what: import_tiny(tmp_path_factory.mktemp("vae"), what) for what in KINDS}


@pytest.mark.parametrize("what", KINDS)
def test_pictures_become_scaled_latents(imported, rng, what):
    folder, weights = imported[what]
    model, frozen = load(folder)
    x = rng.uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    mean = Reference(what, weights).encode(np.moveaxis(x, -1, 1))[:, :4]
    np.testing.assert_allclose(jax.jit(model.encode)(frozen, x), 0.25 * np.moveaxis(mean, 1, -1), atol=1e-4)


@pytest.fixture(scope="module")
def decode(imported):
    """Of two clips of five frames: (kind, latents, frames of a piece) → pictures."""
    loaded = {what: load(folder) for what, (folder, _) in imported.items()}
    programs = {what: jax.jit(model.decode, static_argnums=2) for what, (model, _) in loaded.items()}
    return lambda what, z, piece: np.asarray(programs[what](loaded[what][1], z, piece))


@pytest.mark.parametrize("what, piece", [("sd_vae", 25), ("svd_vae", 25), ("svd_vae", 2)])
def test_latents_become_clips_in_pieces(imported, decode, rng, what, piece):
    """Two clips of five frames; those of the decoder of clips as if each piece were a clip."""
    weights = imported[what][1]
    z = rng.normal(size=(2, 5, 4, 6, 4)).astype(np.float32)
    found = decode(what, z, piece)
    for clip, rebuilt in zip(z, found, strict=True):
        raw = np.moveaxis(clip, -1, 1) / 0.25
        parts = [Reference(what, weights).decode(raw[start : start + piece]) for start in range(0, 5, piece)]
        expected = np.moveaxis(np.concatenate(parts), 1, -1)
        np.testing.assert_allclose(rebuilt, np.clip(expected, -1, 1), atol=2e-4)


def test_the_two_decoders_differ_where_frames_see_each_other(decode, rng):
    """One frame of a clip changed: others follow in the decoder of clips, and none in that of pictures."""
    z = np.repeat(rng.normal(size=(1, 5, 4, 6, 4)), 2, axis=0).astype(np.float32)
    z[1, 4] += 1
    for what in KINDS:
        first, other = decode(what, z, 25)
        change = np.abs(first - other).max(axis=(1, 2, 3))
        assert change[4] > 1e-2 and (change[2:4] > 1e-3).all() == (what == "svd_vae")
        assert what == "svd_vae" or change[:4].max() == 0


@pytest.mark.parametrize("what", KINDS)
def test_export_gives_the_released_file_back(imported, tmp_path, what):
    folder, weights = imported[what]
    export_weights(what, folder, tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value)


def test_the_old_spelling_of_attention_is_the_same(imported, tmp_path):
    folder, weights = imported["sd_vae"]
    spelled = {**weights}
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        spelled = {name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value for name, value in spelled.items()}
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in spelled
    file, _ = release(tmp_path / "released", "sd_vae")
    save_file(spelled, file)
    import_weights("sd_vae", file, tmp_path / "out")
    assert checkpoint_hash(tmp_path / "out") == checkpoint_hash(folder)


@pytest.mark.parametrize("what", KINDS)
def test_the_video_stage_takes_it(imported, what):
    folder, _ = imported[what]
    model, frozen = load(folder)
    config = tiny.video_config()
    network = config.autoencoder
    network.update(image_size=16, patch=1, channels=(32, 64), blocks=model.settings.blocks, middle=True, linear=False)
    network.update(latent_channels=4, groups=model.settings.groups)
    config.pretrained.autoencoder = str(folder)
    config.autoencoder.temporal = what != "svd_vae"
    with pytest.raises(UserError, match="other sizes"):
        VideoTask.from_config(config).pretrained_buffers()
    config.autoencoder.temporal = what == "svd_vae"
    task = VideoTask.from_config(config)
    taken = task.pretrained_buffers()["autoencoder"]
    wanted = jax.eval_shape(task.model.autoencoder.init, jax.random.key(0))
    assert jax.tree.map(np.shape, taken) == jax.tree.map(np.shape, wanted)
    jax.tree.map(np.testing.assert_array_equal, taken, frozen)


def test_releases_of_other_networks_are_refused(tmp_path):
    cases = {
        "_class_name": ("sd_vae", "AutoencoderTiny"),
        "shift_factor": ("sd_vae", 0.1),
        "up_block_types": ("sd_vae", ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"]),
        "layers_per_block": ("svd_vae", 1),
    }
    for name, (what, value) in cases.items():
        file, _ = release(tmp_path / name, what, **{name: value})
        with pytest.raises(UserError, match=f"config.json has {name}"):
            import_weights(what, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_released_sizes(key):
    sizes = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
    counts = {what: autoencoder.parameter_shapes(autoencoder.read_config(what, sizes, {})) for what in KINDS}
    assert {what: sum(map(np.prod, shapes.values())) for what, shapes in counts.items()} == {
        "sd_vae": 83_653_863,
        "svd_vae": 97_742_847,
    }
