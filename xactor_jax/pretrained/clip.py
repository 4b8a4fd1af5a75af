"""Released image encoders of CLIP, with weights named as in the transformers library."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, layer, norm
from xactor_jax.pretrained.transforms import conv_kernel, linear_kernel
from xactor_jax.video.clip import MEAN, STD, ClipModel, ClipSettings

STAGE = "clip"

_BLOCK = "vision_model.encoder.layers.{i}"

TABLE = Table(
    ignored=("text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids"),
    rules=(
        Rule("vision_model.embeddings.class_embedding", "class"),
        Rule("vision_model.embeddings.patch_embedding.weight", "patches/kernel", conv_kernel),
        Rule("vision_model.embeddings.position_embedding.weight", "position"),
        *norm("vision_model.pre_layrnorm", "norm_in"),
        *layer(f"{_BLOCK}.self_attn.q_proj", "block{i}/attention/query"),
        *layer(f"{_BLOCK}.self_attn.k_proj", "block{i}/attention/key"),
        *layer(f"{_BLOCK}.self_attn.v_proj", "block{i}/attention/value"),
        *layer(f"{_BLOCK}.self_attn.out_proj", "block{i}/attention/out"),
        *norm(f"{_BLOCK}.layer_norm1", "block{i}/attention_norm"),
        *layer(f"{_BLOCK}.mlp.fc1", "block{i}/mlp_in"),
        *layer(f"{_BLOCK}.mlp.fc2", "block{i}/mlp_out"),
        *norm(f"{_BLOCK}.layer_norm2", "block{i}/mlp_norm"),
        *norm("vision_model.post_layernorm", "norm_out"),
        Rule("visual_projection.weight", "projection/kernel", linear_kernel),
    ),
)

HUGGINGFACE = {
    "image_size": "image_size",
    "patch_size": "patch",
    "hidden_size": "width",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "projection_dim": "projection",
    "hidden_act": "activation",
    "layer_norm_eps": "epsilon",
}
"""Name in a config.json → name of the setting here."""

DEFAULTS = {
    "image_size": 224,
    "patch_size": 32,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "projection_dim": 512,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
"""Values of keys that are missing in a config.json: those of ViT-B/32."""

PREPROCESSOR = {
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "do_normalize": True,
    "do_resize": True,
    "resample": 3,  # bicubic
}
"""Values that a preprocessor_config.json must have if it has the key."""


def read_config(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> ConfigDict:
    """The config to store with the weights, from the config.json of an image encoder or of both encoders of CLIP.

    Raises:
        UserError: it describes another network or other pictures.
    """
    kind = config.get("model_type", "clip_vision_model")
    if kind not in ("clip", "clip_vision_model"):
        raise UserError(f"config.json has model_type = {kind!r}, which is not supported: use a CLIP image encoder.")
    for name, value in PREPROCESSOR.items():
        if preprocessor.get(name, value) != value:
            odd = f"preprocessor_config.json has {name} = {preprocessor[name]!r}"
            raise UserError(f"{odd}, which is not supported: use a model with {value!r}.")
    vision = {**(config.get("vision_config") or {}), "projection_dim": config.get("projection_dim", 512)}
    values = {**DEFAULTS, **(vision if kind == "clip" else config)}
    settings = ClipSettings(**{ours: values[theirs] for theirs, ours in HUGGINGFACE.items()})
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(settings)})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    return shapes(jax.eval_shape(ClipModel.from_network(config.network).init, jax.random.key(0)))
