"""Released networks for perceptual losses: VGG16, with weights named as in torchvision, and LPIPS.

LPIPS comes in two files: VGG16, and the weights of its features (`lin{i}.model.1.weight`). The first releases of both are files
from before PyTorch 1.6. They must be saved again with a later version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.layers.perceptual import PerceptualModel, PerceptualSettings
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, in_file, joined, layer
from xactor_jax.pretrained.transforms import conv_kernel, pointwise_kernel

STAGE = "perceptual"
FILES: Mapping[str, str] = {"vgg": "vgg16.safetensors", "lin": "lpips_vgg.safetensors"}
"""Role → name of the file, for LPIPS."""

VGG16 = Table(
    ignored=("classifier.", "pre_logits.", "head."),
    rules=layer("features.{i}", "vgg/conv{i}", conv_kernel),
)
_LIN = Table(rules=(Rule("lin{i}.model.1.weight", "lin/lin{i}", pointwise_kernel),))
LPIPS = joined(in_file("vgg", VGG16), in_file("lin", _LIN))


def read_config(lpips: bool, beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights. There is only one size, so no file is read."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(PerceptualSettings(lpips=lpips))})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    return shapes(jax.eval_shape(PerceptualModel.from_network(config.network).init, jax.random.key(0)))
