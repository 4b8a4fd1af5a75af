"""The autoencoders of Stable Diffusion and Stable Video Diffusion against those in diffusers, through files that it wrote."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from safetensors.numpy import load_file

from tests.pretrained.keys import check_keys
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.pretrained import autoencoder
from xactor_jax.pretrained.importing import export_weights, import_weights
from xactor_jax.video.autoencoder import AutoencoderModel

CLASSES = {"sd_vae": diffusers.AutoencoderKL, "svd_vae": diffusers.AutoencoderKLTemporalDecoder}
TINY = {
    "sd_vae": dict(block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4),
    "svd_vae": dict(block_out_channels=(32, 64), layers_per_block=2, latent_channels=4),
}
RELEASED = dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, scaling_factor=0.18215)


def sizes_of(what: str, **sizes):
    """With the names of the blocks, which diffusers wants one by one."""
    kinds = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}
    kinds = {name: (kind,) * len(sizes["block_out_channels"]) for name, kind in kinds.items()}
    return {**sizes, **(kinds if what == "sd_vae" else {"down_block_types": kinds["down_block_types"]})}


def random_model(what: str, **sizes):
    """A model whose every parameter matters: nothing is left at zero or one."""
    torch.manual_seed(0)
    model = CLASSES[what](**sizes_of(what, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            size = 1 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.3
            parameter.copy_(size * torch.randn_like(parameter) + (parameter.ndim == 1))
    return model


def imported(model, what: str, folder, **saving) -> tuple[AutoencoderModel, dict]:
    """Through the files that diffusers writes; and the same arrays come back out."""
    model.save_pretrained(folder / "released", **saving)
    (file,) = (folder / "released").glob("*model.*")
    import_weights(what, file, folder / "out")
    export_weights(what, folder / "out", folder / "back.safetensors")
    back, state = load_file(folder / "back.safetensors"), model.state_dict()
    assert set(back) == set(state) and all(np.array_equal(value, state[name].numpy()) for name, value in back.items())
    return loaded(folder / "out")


def loaded(folder) -> tuple[AutoencoderModel, dict]:
    config, variables = load_variables(folder, "autoencoder")
    frozen = {"params": variables.params["autoencoder"], "buffers": variables.buffers}
    return AutoencoderModel.from_network(config.network), frozen


def pictures(rng, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, (*shape, 3)).astype(np.float32)


def first(x: np.ndarray) -> torch.Tensor:
    """Channels first."""
    return torch.from_numpy(np.moveaxis(x, -1, -3))


def last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.numpy(), -3, -1)


def close(ours, theirs: np.ndarray) -> None:
    """Within 1e-4 of what the largest numbers are."""
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1.0, float(np.abs(theirs).max())), rtol=0)


def check_pictures(model, ours: AutoencoderModel, frozen, x: np.ndarray) -> None:
    """Posterior, standardised latents and pictures of a decoder of pictures."""
    with torch.no_grad():
        posterior = model.encode(first(x)).latent_dist
        scaled = model.config.scaling_factor * posterior.mean
        rebuilt = model.decode(scaled / model.config.scaling_factor).sample
    mean, log_variance = jax.jit(lambda x: ours.module.apply({"params": frozen["params"]}, x, method="encode"))(x)
    close(mean, last(posterior.mean))
    close(log_variance, last(posterior.logvar))
    z = jax.jit(ours.encode)(frozen, x)
    close(z, last(scaled))
    close(jax.jit(ours.decode)(frozen, z), np.clip(last(rebuilt), -1, 1))
    close(jax.jit(ours.module.apply)({"params": frozen["params"]}, x), last(rebuilt))


def check_clips(model, ours: AutoencoderModel, frozen, z: np.ndarray, piece: int) -> None:
    """Clips of latents [n, t, …], decoded by diffusers in the same pieces as its pipeline does: each by itself."""
    decoded = []
    with torch.no_grad():
        for start in range(0, z.shape[1], piece):
            part = first(z[:, start : start + piece]) / model.config.scaling_factor
            decoded.append(model.decode(part.flatten(0, 1), num_frames=part.shape[1]).sample.unflatten(0, part.shape[:2]))
    expected = last(torch.cat(decoded, dim=1))
    found = jax.jit(ours.decode, static_argnums=2)(frozen, z, piece)
    assert np.abs(expected).std() > 0.1
    close(found, np.clip(expected, -1, 1))


@pytest.mark.parametrize("saving", [{}, {"safe_serialization": False}])
def test_a_tiny_autoencoder_of_pictures(tmp_path, rng, saving):
    model = random_model("sd_vae", **TINY["sd_vae"], scaling_factor=0.3)
    check_pictures(model, *imported(model, "sd_vae", tmp_path, **saving), pictures(rng, 2, 16, 24))


def test_three_levels_and_the_old_spelling_of_attention(tmp_path, rng):
    model = random_model("sd_vae", **{**TINY["sd_vae"], "block_out_channels": (8, 12, 16), "layers_per_block": 2})
    x = pictures(rng, 1, 16, 16)
    imported(model, "sd_vae", tmp_path)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = model.state_dict()
    for new, spelling in old.items():
        state = {name.replace(f"attentions.0.{new}.", f"attentions.0.{spelling}."): value for name, value in state.items()}
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in state
    torch.save(state, tmp_path / "released" / "old.bin")
    import_weights("sd_vae", tmp_path / "released" / "old.bin", tmp_path / "out")
    check_pictures(model, *loaded(tmp_path / "out"), x)


def test_stable_diffusion_s_own_widths(tmp_path, rng):
    model = random_model("sd_vae", **RELEASED, norm_num_groups=32)
    check_pictures(model, *imported(model, "sd_vae", tmp_path), pictures(rng, 1, 64, 64))


@pytest.mark.parametrize("piece", [5, 3, 2])
def test_a_tiny_decoder_of_clips_whole_and_in_pieces(tmp_path, rng, piece):
    model = random_model("svd_vae", **TINY["svd_vae"], scaling_factor=0.5)
    ours, frozen = imported(model, "svd_vae", tmp_path)
    check_clips(model, ours, frozen, rng.normal(size=(2, 5, 4, 6, 4)).astype(np.float32), piece)
    with torch.no_grad():
        scaled = 0.5 * model.encode(first(x := pictures(rng, 2, 8, 8))).latent_dist.mean
    close(jax.jit(ours.encode)(frozen, x), last(scaled))


def test_stable_video_diffusion_s_own_widths(tmp_path, rng):
    model = random_model("svd_vae", **RELEASED)
    ours, frozen = imported(model, "svd_vae", tmp_path)
    check_clips(model, ours, frozen, rng.normal(size=(1, 3, 6, 6, 4)).astype(np.float32), 3)


@pytest.mark.parametrize("what, count", [("sd_vae", 83_653_863), ("svd_vae", 97_742_847)])
def test_every_released_key_is_a_parameter_of_ours(what, count):
    with torch.device("meta"):
        model = CLASSES[what](**sizes_of(what, **RELEASED, **({"norm_num_groups": 32} if what == "sd_vae" else {})))
    config = {name: list(v) if isinstance(v, tuple) else v for name, v in dict(model.config).items()}
    shapes = autoencoder.parameter_shapes(autoencoder.read_config(what, config, {}))
    released = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert check_keys(released, autoencoder.TABLES[what], shapes).keys() == released.keys()
    assert sum(map(np.prod, shapes.values())) == sum(p.numel() for p in model.parameters()) == count
