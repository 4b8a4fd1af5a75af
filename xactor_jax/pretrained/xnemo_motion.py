"""The released motion encoder of X-NeMo (xnemo_motion_encoder.pth): its part from face to latent.

It becomes the encoder of the motion stage. The file also contains the layers that turn a latent into tokens. Here they belong
to the video stage, so this import leaves them out.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.motion.model import initial_statistics
from xactor_jax.motion.networks import encoder_size, make_encoder
from xactor_jax.pretrained.name_map import Constant, Rule, Shapes, Table, batch_norm, counter, layer, norm
from xactor_jax.pretrained.transforms import conv_kernel, linear_kernel, pointwise_kernel

STAGE = "motion"
PRESET = "configs/motion.py:base"
TOKENS = ("bbox_proj.", "final_proj.", "pe")
"""Beginnings of the names of the layers that turn a latent into tokens."""

_ENCODER = "generator/encoder"
_NORMS = ("bn1", "norm0"), ("bn2", "norm1"), ("bn3", "norm2"), ("downsample.0", "match_norm")


def _unit(source: str, target: str) -> list[tuple[Rule | Constant, ...]]:
    """A residual unit."""
    return [
        *(_norm(f"{source}.{theirs}", f"{target}/{ours}") for theirs, ours in _NORMS),
        tuple(Rule(f"{source}.conv{i + 1}.weight", f"{target}/conv{i}/kernel", conv_kernel) for i in range(3)),
        (Rule(f"{source}.downsample.2.weight", f"{target}/match/kernel", pointwise_kernel),),
    ]


def _norm(source: str, target: str) -> tuple[Rule | Constant, ...]:
    return *batch_norm(source, target), counter(source, target)


def _attention(source: str, target: str) -> list[tuple[Rule | Constant, ...]]:
    """An attention module over patches."""
    block = f"{source}.transformer_blocks.0"
    heads, fold = f"{block}.attention_blocks.0", f"{target}/attention"
    projections = (("q", "query"), ("k", "key"), ("v", "value"))
    return [
        norm(f"{source}.norm", f"{target}/norm"),
        layer(f"{source}.pos_embed.proj", f"{target}/to_patches", conv_kernel),
        norm(f"{block}.norms.0", f"{target}/norm_attention"),
        tuple(Rule(f"{heads}.to_{q}.weight", f"{fold}/{query}/kernel", linear_kernel) for q, query in projections),
        layer(f"{heads}.to_out.0", f"{fold}/out"),
        norm(f"{block}.ff_norm", f"{target}/norm_ff"),
        layer(f"{block}.ff.net.0.proj", f"{target}/feed_forward/in"),
        layer(f"{block}.ff.net.2", f"{target}/feed_forward/out"),
        layer(f"{source}.proj_out", f"{target}/patches_out"),
    ]


def _lines(model: str, encoder: str) -> list[tuple[Rule | Constant, ...]]:
    hourglass = (("b1_", "skip"), ("b2_", "down"), ("b3_", "up"))
    return [
        layer(f"{model}.conv1", f"{encoder}/stem", conv_kernel),
        _norm(f"{model}.bn1", f"{encoder}/stem_norm"),
        *(line for i in range(3) for line in _unit(f"{model}.conv{i + 2}", f"{encoder}/unit{i}")),
        *(line for i in range(3) for line in _attention(f"{model}.att_{i + 1}", f"{encoder}/attention{i}")),
        *(
            line
            for theirs, ours in hourglass
            for level in range(4)
            for line in _unit(f"{model}.m0.{theirs}{level + 1}", f"{encoder}/hourglass/{ours}{level}")
        ),
        *_unit(f"{model}.m0.b2_plus_1", f"{encoder}/hourglass/bottom"),
        *_unit(f"{model}.top_m_0", f"{encoder}/top"),
        layer(f"{model}.conv_last0", f"{encoder}/last", pointwise_kernel),
        _norm(f"{model}.bn_end0", f"{encoder}/last_norm"),
        layer(f"{model}.l0", f"{encoder}/to_landmarks", pointwise_kernel),
        _norm(f"{model}.bn5", f"{encoder}/landmarks_norm"),
        layer(f"{model}.conv6", f"{encoder}/to_map", conv_kernel),
        layer(f"{model}.fc", f"{encoder}/to_mean"),
    ]


def _table() -> Table:
    lines = [line for group in _lines("model", _ENCODER) for line in group]
    return Table(
        rules=tuple(line for line in lines if isinstance(line, Rule)),
        constants=tuple(line for line in lines if isinstance(line, Constant)),
        ignored=TOKENS,
    )


TABLE = _table()


def as_released(config: ConfigDict) -> ConfigDict:
    """The config with the released encoder, for face crops of the released size, in float32."""
    config = config.copy_and_resolve_references()
    config.precision = "float32"
    config.network.update(encoder="xnemo", variance=False, image_size=encoder_size(config))
    return config


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter of the released encoder.

    Raises:
        UserError: the config has another encoder.
    """
    if config.network.encoder != "xnemo":
        raise UserError("the motion stage's encoder is not X-NeMo's: train it with --config.network.encoder=xnemo.")
    config = as_released(config)
    image = jax.ShapeDtypeStruct((1, *2 * (config.network.image_size,), 3), jnp.float32)
    params = jax.eval_shape(make_encoder(config).init, jax.random.key(0), image)["params"]
    return {f"{_ENCODER}/{path}": shape for path, shape in shapes(params).items()}


def other_buffers(config: ConfigDict) -> dict[str, Any]:
    """Statistics that leave latents unchanged."""
    return jax.device_get(initial_statistics(config.network.latent_dim))
