"""Released X-NeMo renderers, Stable Diffusion 1.x trunks and AnimateDiff's modules, as parts of the video stage.

X-NeMo comes in four files: the denoising network, its temporal modules, the reference network, and the motion encoder. Of the
last one, only the layers that turn a latent into tokens belong here. A trunk of Stable Diffusion (also of its image variations)
is one file in the format of diffusers. It becomes the denoiser's trunk; training starts the reference network from it too.
Motion modules of AnimateDiff (those with one in the middle block, mm_sd_v15_v2) become the denoiser's temporal modules. Blocks
on the way up are counted from the coarsest level in files and from the finest here, so a table depends on the number of levels.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.layers.spatial_attention import sinusoidal_table
from xactor_jax.pretrained.name_map import Constant, Rule, Shape, Shapes, Table, in_file, joined, layer, norm
from xactor_jax.pretrained.transforms import Transform, conv_kernel, linear_kernel, pointwise_kernel
from xactor_jax.video.denoiser import Denoiser, DenoiserSettings

STAGE = "video"
PRESET = "configs/video.py:base"
LEVELS = 4
"""Number of levels of the released networks."""
LONGEST_WINDOW = 32
"""Number of frames for which released temporal modules have positions."""
TOKEN_WIDTH = 16
"""Features of a released motion token."""
FILES = types.MappingProxyType(
    {
        "denoising": "xnemo_denoising_unet.pth",
        "temporal": "xnemo_temporal_module.pth",
        "reference": "xnemo_reference_unet.pth",
        "motion": "xnemo_motion_encoder.pth",
    }
)
ANIMATEDIFF_FILES = types.MappingProxyType({"temporal": "mm_sd_v15_v2.ckpt"})
UNET_FILES = types.MappingProxyType({"unet": "diffusion_pytorch_model.safetensors"})

Rules = tuple[Rule, ...]


def _attention(source: str, target: str) -> Rules:
    names = (("q", "query"), ("k", "key"), ("v", "value"))
    into = tuple(Rule(f"{source}.to_{theirs}.weight", f"{target}/{ours}/kernel", linear_kernel) for theirs, ours in names)
    return *into, *layer(f"{source}.to_out.0", f"{target}/out")


def _shell(source: str, block: str, target: str, kernel: Transform) -> Rules:
    """The layers around the attentions of every attention module."""
    return (
        *norm(f"{source}.norm", f"{target}/norm"),
        *layer(f"{source}.proj_in", f"{target}/proj_in", kernel),
        *layer(f"{block}.ff.net.0.proj", f"{target}/feed_forward/in"),
        *layer(f"{block}.ff.net.2", f"{target}/feed_forward/out"),
        *layer(f"{source}.proj_out", f"{target}/proj_out", kernel),
    )


def _spatial(source: str, target: str) -> Rules:
    """A spatial module: attention to pixels and the reference features, then to the embedding."""
    block = f"{source}.transformer_blocks.0"
    norms = zip((1, 2, 3), ("norm0", "norm1", "norm_ff"), strict=True)
    return (
        *_shell(source, block, target, pointwise_kernel),
        *(rule for i, ours in norms for rule in norm(f"{block}.norm{i}", f"{target}/{ours}")),
        *_attention(f"{block}.attn1", f"{target}/attention0"),
        *_attention(f"{block}.attn2", f"{target}/attention1"),
    )


def _module(source: str, target: str) -> Rules:
    """A module with attention to motion tokens or over time; {n} counts its attentions."""
    inner = f"{source}.temporal_transformer"
    block = f"{inner}.transformer_blocks.0"
    return (
        *_shell(inner, block, target, linear_kernel),
        *norm(f"{block}.ff_norm", f"{target}/norm_ff"),
        *norm(f"{block}.norms.{{n}}", f"{target}/norm{{n}}"),
        *_attention(f"{block}.attention_blocks.{{n}}", f"{target}/attention{{n}}"),
    )


def _residual(source: str, target: str) -> Rules:
    return (
        *norm(f"{source}.norm1", f"{target}/norm1"),
        *layer(f"{source}.conv1", f"{target}/conv1", conv_kernel),
        *layer(f"{source}.time_emb_proj", f"{target}/embedding"),
        *norm(f"{source}.norm2", f"{target}/norm2"),
        *layer(f"{source}.conv2", f"{target}/conv2", conv_kernel),
        *layer(f"{source}.conv_shortcut", f"{target}/shortcut", conv_kernel),
    )


def _layers(levels: int) -> tuple[tuple[str, str, str], ...]:
    """(released block, index in it, our name) of every layer."""
    up = tuple((f"up_blocks.{k}", "{j}", f"up{levels - 1 - k}_{{j}}") for k in range(levels))
    return ("down_blocks.{i}", "{j}", "down{i}_{j}"), ("mid_block", "0", "middle"), *up


def unet_table(levels: int = LEVELS) -> Table:
    """Table of Stable Diffusion's trunk, the UNet2DConditionModel of diffusers."""
    layers = (
        (*_residual(f"{block}.resnets.{j}", f"{name}_block"), *_spatial(f"{block}.attentions.{j}", f"{name}_attention/spatial"))
        for block, j, name in _layers(levels)
    )
    ups = ((f"up_blocks.{k}.upsamplers.0.conv", f"up_{levels - 2 - k}/conv") for k in range(levels - 1))
    return Table(
        rules=(
            *layer("conv_in", "conv_in", conv_kernel),
            *layer("time_embedding.linear_1", "noise_level/in"),
            *layer("time_embedding.linear_2", "noise_level/out"),
            *(rule for rules in layers for rule in rules),
            *_residual("mid_block.resnets.1", "middle_out_block"),
            *layer("down_blocks.{i}.downsamplers.0.conv", "down_{i}/conv", conv_kernel),
            *(rule for source, target in ups for rule in layer(source, target, conv_kernel)),
            *norm("conv_norm_out", "norm_out"),
            *layer("conv_out", "conv_out", conv_kernel),
        )
    )


def motion_table(levels: int = LEVELS) -> Table:
    """Table of the motion modules after each layer."""
    rules = (_module(f"{block}.motion_modules.{j}", f"{name}_attention/motion") for block, j, name in _layers(levels))
    return Table(rules=tuple(rule for lines in rules for rule in lines))


def temporal_table(levels: int = LEVELS, modules: str = "temporal_modules") -> Table:
    """Table of the temporal modules after each layer, and their position tables; `modules` is their name in files."""
    places = [(f"{block}.{modules}.{j}", f"{name}_attention/temporal") for block, j, name in _layers(levels)]
    attention = "temporal_transformer.transformer_blocks.0.attention_blocks.{n}"
    return Table(
        rules=tuple(rule for source, target in places for rule in _module(source, target)),
        constants=tuple(
            Constant(f"{source}.{attention}.pos_encoder.pe", f"{target}/attention{{n}}/query/kernel", _frame_positions)
            for source, target in places
        ),
    )


def _frame_positions(query_kernel: Shape) -> Float[np.ndarray, "1 frames c"]:
    return sinusoidal_table(LONGEST_WINDOW, query_kernel[0])[None]


def _token_positions(project_kernel: Shape) -> Float[np.ndarray, "1 n c"]:
    return sinusoidal_table(project_kernel[1] // TOKEN_WIDTH, TOKEN_WIDTH, halves=True)[None]


TOKENS_TABLE = Table(
    rules=(
        *layer("bbox_proj.0", "box_in"),
        *layer("bbox_proj.3", "box_out"),
        *layer("final_proj", "project"),
    ),
    constants=(Constant("pe", "project/kernel", _token_positions),),
    ignored=("model.",),
)
"""Table of the motion encoder's file, without the encoder itself, which belongs to the motion stage."""


def table(levels: int = LEVELS) -> Table:
    """Table of the four files together."""
    return joined(
        in_file("denoising", joined(unet_table(levels), motion_table(levels)), "trunk"),
        in_file("temporal", temporal_table(levels), "trunk"),
        in_file("reference", unet_table(levels), "reference"),
        in_file("motion", TOKENS_TABLE, "motion_tokens"),
    )


def trunk_table(levels: int = LEVELS) -> Table:
    """Table of the file of Stable Diffusion's trunk."""
    return in_file("unet", unet_table(levels), "trunk")


def animatediff_table(levels: int = LEVELS) -> Table:
    """Table of AnimateDiff's file."""
    modules = dataclasses.replace(temporal_table(levels, "motion_modules"), prefixes=("module.",))
    return in_file("temporal", modules, "trunk")


def sized(make: Callable[[int], Table], config: ConfigDict) -> Table:
    """The table that `make` returns for the number of levels of a config."""
    return make(len(config.network.unet.channels))


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter of the denoiser and its reference network."""
    return dict(_shapes_of(DenoiserSettings.from_config(config.network, config.autoencoder.latent_channels)))


@functools.cache  # tracing them takes seconds
def _shapes_of(settings: DenoiserSettings) -> Shapes:
    size = 2 ** len(settings.unet.channels)
    x = jax.ShapeDtypeStruct((1, 1, size, size, settings.unet.out_channels), jnp.float32)
    motion = jax.ShapeDtypeStruct((1, 1, settings.motion_dim), jnp.float32)
    start = lambda key, x, motion: Denoiser(settings).init(key, x, jnp.zeros(1), motion, x[:, 0], method="initialise")
    return shapes(jax.eval_shape(start, jax.random.key(0), x, motion)["params"])


def trunk_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of the denoiser's trunk without motion and temporal modules."""
    modules = ("_attention/motion/", "_attention/temporal/")
    inside = lambda path: path.startswith("trunk/") and not any(module in path for module in modules)
    return {path: shape for path, shape in parameter_shapes(config).items() if inside(path)}


def temporal_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of the temporal modules."""
    return {path: shape for path, shape in parameter_shapes(config).items() if "_attention/temporal/" in path}


def other_buffers(config: ConfigDict) -> dict[str, Any]:
    """Statistics that leave the diffused latents unscaled. The autoencoder's buffers come with the autoencoder."""
    return {"residual_std": np.ones(config.autoencoder.latent_channels, np.float32), "residual_count": np.zeros((), np.int32)}
