"""Released autoencoders of Stable Diffusion and Stable Video Diffusion, with weights named as in the diffusers library.

The result is a checkpoint of the stage `autoencoder`, as training writes it. The video stage reads it from
`config.pretrained.autoencoder`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, layer, norm
from xactor_jax.pretrained.transforms import conv_kernel, time_kernel
from xactor_jax.video.autoencoder import AutoencoderModel, AutoencoderSettings

STAGE = "autoencoder"
IMAGE_SIZE = 512
"""Side of a picture that is written to the config, pixels. The weights do not depend on it."""
SETTLED = 1_000_000
"""Number of steps that the statistics of the latents count as measured from. Further training then hardly changes them."""

COMMON = {
    "in_channels": 3,
    "out_channels": 3,
    "act_fn": "silu",
    "shift_factor": None,
    "latents_mean": None,
    "latents_std": None,
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
FIXED = {
    "sd_vae": {"_class_name": "AutoencoderKL", **COMMON},
    "svd_vae": {"_class_name": "AutoencoderKLTemporalDecoder", "norm_num_groups": 32, "layers_per_block": 2, **COMMON},
}
"""Values that a config.json must have if it has the key. A temporal decoder has `layers_per_block` middle blocks: here 2."""
BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


def _residual(source: str, target: str) -> tuple[Rule, ...]:
    return (
        *norm(f"{source}.norm1", f"{target}/norm1"),
        *layer(f"{source}.conv1", f"{target}/conv1", conv_kernel),
        *norm(f"{source}.norm2", f"{target}/norm2"),
        *layer(f"{source}.conv2", f"{target}/conv2", conv_kernel),
        *layer(f"{source}.conv_shortcut", f"{target}/shortcut", conv_kernel),
    )


def _spatiotemporal(source: str, target: str) -> tuple[Rule, ...]:
    time = f"{source}.temporal_res_block"
    return (
        *_residual(f"{source}.spatial_res_block", target),
        *norm(f"{time}.norm1", f"{target}_time/norm1"),
        *layer(f"{time}.conv1", f"{target}_time/conv1/conv", time_kernel),
        *norm(f"{time}.norm2", f"{target}_time/norm2"),
        *layer(f"{time}.conv2", f"{target}_time/conv2/conv", time_kernel),
        Rule(f"{source}.time_mixer.mix_factor", f"{target}_time/mix"),
    )


def _attention(source: str, target: str) -> tuple[Rule, ...]:
    """Attention with the names of current files and of files from before 2023."""
    names = {"query": ("to_q", "query"), "key": ("to_k", "key"), "value": ("to_v", "value"), "out": ("to_out.0", "proj_attn")}
    spelled = ((ours, spelling) for ours, spellings in names.items() for spelling in spellings)
    linear = (layer(f"{source}.{spelling}", f"{target}/attention/{ours}") for ours, spelling in spelled)
    return *norm(f"{source}.group_norm", f"{target}/norm"), *(rule for pair in linear for rule in pair)


def _ends(source: str, target: str) -> tuple[Rule, ...]:
    return (
        *layer(f"{source}.conv_in", f"{target}/conv_in", conv_kernel),
        *_attention(f"{source}.mid_block.attentions.0", f"{target}/middle_attention"),
        *norm(f"{source}.conv_norm_out", f"{target}/norm_out"),
        *layer(f"{source}.conv_out", f"{target}/conv_out", conv_kernel),
    )


_ENCODER, _DECODER = "autoencoder/encoder", "autoencoder/decoder"

_SHARED = (
    *_ends("encoder", _ENCODER),
    *_residual("encoder.mid_block.resnets.{j}", f"{_ENCODER}/middle_block{{j}}"),
    *_residual("encoder.down_blocks.{i}.resnets.{j}", f"{_ENCODER}/level{{i}}_block{{j}}"),
    *layer("encoder.down_blocks.{i}.downsamplers.0.conv", f"{_ENCODER}/down{{i}}/conv", conv_kernel),
    *layer("quant_conv", f"{_ENCODER}/quant", conv_kernel),
    *_ends("decoder", _DECODER),
    *layer("decoder.up_blocks.{i}.upsamplers.0.conv", f"{_DECODER}/up{{i}}/conv", conv_kernel),
)
SD_TABLE = Table(
    rules=(
        *_SHARED,
        *_residual("decoder.mid_block.resnets.{j}", f"{_DECODER}/middle_block{{j}}"),
        *_residual("decoder.up_blocks.{i}.resnets.{j}", f"{_DECODER}/level{{i}}_block{{j}}"),
        *layer("post_quant_conv", f"{_DECODER}/post_quant", conv_kernel),
    )
)
SVD_TABLE = Table(
    rules=(
        *_SHARED,
        *_spatiotemporal("decoder.mid_block.resnets.{j}", f"{_DECODER}/middle_block{{j}}"),
        *_spatiotemporal("decoder.up_blocks.{i}.resnets.{j}", f"{_DECODER}/level{{i}}_block{{j}}"),
        *layer("decoder.time_conv_out", f"{_DECODER}/time_conv_out/conv", time_kernel),
    )
)
TABLES = {"sd_vae": SD_TABLE, "svd_vae": SVD_TABLE}


def read_config(what: str, config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> ConfigDict:
    """The config to store with the weights, from the config.json of `sd_vae` or `svd_vae`; `preprocessor` is not used.

    Raises:
        UserError: it describes another network.
    """
    blocks = {name: [kind] * len(config.get(name, ())) for name, kind in BLOCKS.items() if name in config}
    for name, value in {**FIXED[what], **blocks}.items():
        if config.get(name, value) != value:
            raise UserError(f"config.json has {name} = {config[name]!r}, which is not supported: use a model with {value!r}.")
    network = AutoencoderSettings(
        image_size=IMAGE_SIZE,
        patch=1,
        middle=True,
        linear=False,
        channels=tuple(config.get("block_out_channels", (64,))),
        blocks=config.get("layers_per_block", 1),
        latent_channels=config.get("latent_channels", 4),
        groups=config.get("norm_num_groups", 32),
        temporal=what == "svd_vae",
    )
    scale = float(config.get("scaling_factor", 0.18215))
    fixed = {"stage": STAGE, "precision": "float32", "scaling_factor": scale}
    return ConfigDict({**fixed, "network": dataclasses.asdict(network)})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    model = AutoencoderModel.from_network(config.network)
    return shapes({"autoencoder": jax.eval_shape(model.init, jax.random.key(0))["params"]})


def buffers(config: ConfigDict) -> dict[str, np.ndarray]:
    """Statistics with which our standardised latents equal the released ones: raw latents times the scaling factor."""
    channels = config.network.latent_channels
    std = np.full(channels, 1.0 / config.scaling_factor, np.float32)
    return {"latent_mean": np.zeros(channels, np.float32), "latent_std": std, "latent_count": np.array(SETTLED, np.int32)}
