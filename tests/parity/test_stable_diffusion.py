"""The trunk against diffusers' UNet2DConditionModel, through a file that diffusers itself has written."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from configs import video
from tests.golden import relative_error
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.checkpoints.trees import shapes
from xactor_jax.pretrained.files import open_weights
from xactor_jax.pretrained.importing import import_weights
from xactor_jax.pretrained.name_map import convert
from xactor_jax.pretrained.xnemo_video import unet_table
from xactor_jax.video.denoiser import DenoiserSettings
from xactor_jax.video.unet import Conditions, UNet

CHANNELS = (16, 32, 32, 48)
TINY = dict(block_out_channels=CHANNELS, layers_per_block=2, cross_attention_dim=12, attention_head_dim=4, norm_num_groups=8)
WIDTH = 12


@pytest.fixture(scope="module")
def config():
    """Ours, of the same sizes."""
    config = video.get_config("base")
    config.network.unet.update(channels=CHANNELS, heads=4, groups=8, module_groups=8, context_width=WIDTH, time_width=64)
    return config


@pytest.fixture(scope="module")
def model():
    """Stable Diffusion 1.5's layout, every parameter away from zero and one."""
    torch.manual_seed(0)
    model = diffusers.UNet2DConditionModel(sample_size=16, **TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            size = 1 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.2
            parameter.copy_(size * torch.randn_like(parameter) + (parameter.ndim == 1))
    return model


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    model.save_pretrained(folder)
    return folder / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 16, 16, 4)).astype(np.float32), rng.normal(size=(2, WIDTH)).astype(np.float32)


def theirs(model, inputs, step: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output, channels last, and what each self-attention saw."""
    x, shown = (torch.from_numpy(a) for a in inputs)
    seen: list[np.ndarray] = []
    norms = [module for name, module in model.named_modules() if name.endswith("transformer_blocks.0.norm1")]
    hooks = [norm.register_forward_hook(lambda module, given, result: seen.append(result.numpy())) for norm in norms]
    with torch.no_grad():
        y = model(x.permute(0, 3, 1, 2), step, shown[:, None]).sample
    for hook in hooks:
        hook.remove()
    return y.permute(0, 2, 3, 1).numpy(), seen


def test_the_whole_trunk(model, file, config, inputs):
    settings = DenoiserSettings.from_config(config.network, 4).unet.for_reference(features_only=False)
    (x, shown), unet = map(jnp.asarray, inputs), UNet(settings)
    run = jax.jit(lambda params, t: unet.apply({"params": params}, x[:, None], t, Conditions(embedding=shown))[0][:, 0])
    wanted = jax.eval_shape(unet.init, jax.random.key(0), x[:, None], jnp.zeros(2), Conditions(embedding=shown))
    with open_weights(file) as weights:
        params = convert(weights, unet_table(), shapes(wanted["params"]))
    for step in (0, 421, 999):
        assert relative_error(run(params, jnp.full(2, (step + 1) / 1000)), theirs(model, inputs, step)[0]) < 1e-4


def test_the_imported_trunk_gives_the_reference_network_its_features(tmp_path, model, file, config, inputs):
    import_weights("sd_unet", {"unet": file}, tmp_path / "out", config)
    found, variables = load_variables(tmp_path / "out", "video")
    settings = DenoiserSettings.from_config(found.network, found.autoencoder.latent_channels)
    unet = UNet(settings.unet.for_reference(not settings.full_reference))
    (x, shown), params = map(jnp.asarray, inputs), variables.params["trunk"]
    run = jax.jit(lambda params: unet.apply({"params": params}, x[:, None], jnp.zeros(2), Conditions(embedding=shown))[1])
    expected = theirs(model, inputs, 0)[1]
    assert len(expected) == settings.unet.num_features == 16
    assert max(relative_error(a, b) for a, b in zip(run(params), expected, strict=True)) < 1e-4
