"""Released wav2vec 2.0 encoders, with weights named as in the transformers library."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from xactor_jax.audio.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from xactor_jax.checkpoints.trees import shapes
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, layer, norm
from xactor_jax.pretrained.transforms import conv_kernel, weight_normed_conv_kernel

STAGE = "wav2vec2"

_POSITION = "encoder.pos_conv_embed.conv"
_CONV, _BLOCK = "feature_extractor.conv_layers.{i}", "encoder.layers.{i}"

TABLE = Table(
    prefixes=("wav2vec2.",),
    ignored=("masked_spec_embed", "quantizer.", "project_q.", "project_hid.", "lm_head.", "projector.", "classifier."),
    rules=(
        *layer(f"{_CONV}.conv", "features/conv{i}", conv_kernel),
        *norm(f"{_CONV}.layer_norm", "features/norm{i}"),
        *norm("feature_projection.layer_norm", "projection_norm"),
        *layer("feature_projection.projection", "projection"),
        Rule(f"{_POSITION}.weight_g", "position/conv/kernel", weight_normed_conv_kernel, 0),
        Rule(f"{_POSITION}.weight_v", "position/conv/kernel", weight_normed_conv_kernel, 1),
        Rule(f"{_POSITION}.parametrizations.weight.original0", "position/conv/kernel", weight_normed_conv_kernel, 0),
        Rule(f"{_POSITION}.parametrizations.weight.original1", "position/conv/kernel", weight_normed_conv_kernel, 1),
        Rule(f"{_POSITION}.bias", "position/conv/bias"),
        *norm("encoder.layer_norm", "norm"),
        *layer(f"{_BLOCK}.attention.q_proj", "block{i}/attention/query"),
        *layer(f"{_BLOCK}.attention.k_proj", "block{i}/attention/key"),
        *layer(f"{_BLOCK}.attention.v_proj", "block{i}/attention/value"),
        *layer(f"{_BLOCK}.attention.out_proj", "block{i}/attention/out"),
        *norm(f"{_BLOCK}.layer_norm", "block{i}/attention_norm"),
        *layer(f"{_BLOCK}.feed_forward.intermediate_dense", "block{i}/mlp_in"),
        *layer(f"{_BLOCK}.feed_forward.output_dense", "block{i}/mlp_out"),
        *norm(f"{_BLOCK}.final_layer_norm", "block{i}/mlp_norm"),
    ),
)


def read_config(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> ConfigDict:
    """The config to store with the weights, from a config.json and a preprocessor_config.json ({} if there is none).

    Raises:
        UserError: it describes another network.
    """
    settings = Wav2Vec2Settings.from_huggingface(config, preprocessor.get("do_normalize", True))
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(settings)})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    network = Wav2Vec2(Wav2Vec2Settings(**config.network))
    waveform = jax.ShapeDtypeStruct((1, network.settings.receptive_field), jnp.float32)
    return shapes(jax.eval_shape(network.init, jax.random.key(0), waveform)["params"])
