"""Released networks for perceptual distances: VGG16, with weights named as in torchvision, and LPIPS by VGG16 or AlexNet.

LPIPS comes in two files: VGG16 or AlexNet, and the weights of its features (`lin{i}.model.1.weight`). The first releases are
files from before PyTorch 1.6. They must be saved again with a later version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.layers.perceptual import ALEXNET_WIDTHS, PerceptualModel, PerceptualSettings
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, in_file, joined, layer
from xactor_jax.pretrained.transforms import conv_kernel, pointwise_kernel

STAGE = "perceptual"
FILES: Mapping[str, str] = {"vgg": "vgg16.safetensors", "lin": "lpips_vgg.safetensors"}
"""Role → name of the file, for LPIPS by VGG16."""
ALEX_FILES: Mapping[str, str] = {"alexnet": "alexnet.safetensors", "lin": "lpips_alex.safetensors"}
"""The same by AlexNet."""


def _recognition(trunk: str) -> Table:
    """Convolutions of a network of torchvision."""
    rules = layer("features.{i}", f"{trunk}/conv{{i}}", conv_kernel)
    return Table(ignored=("classifier.", "pre_logits.", "head."), rules=rules)


VGG16 = _recognition("vgg")
_LIN = Table(rules=(Rule("lin{i}.model.1.weight", "lin/lin{i}", pointwise_kernel),))
LPIPS = joined(in_file("vgg", VGG16), in_file("lin", _LIN))
LPIPS_ALEX = joined(in_file("alexnet", _recognition("alexnet")), in_file("lin", _LIN))


def read_config(lpips: bool, beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights of VGG16. There is only one size, so no file is read."""
    return _stored(PerceptualSettings(lpips=lpips))


def read_alex_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The same for LPIPS by AlexNet."""
    return _stored(PerceptualSettings(widths=ALEXNET_WIDTHS, lpips=True, trunk="alexnet"))


def _stored(settings: PerceptualSettings) -> ConfigDict:
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(settings)})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    return shapes(jax.eval_shape(PerceptualModel.from_network(config.network).init, jax.random.key(0)))
