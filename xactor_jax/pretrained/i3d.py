"""FVD's network: I3D from VideoGPT's `i3d_pretrained_400.pt`, with names such as `Mixed_3b.b1a.conv3d.weight`.

The other file in use, `i3d_torchscript.pt` of StyleGAN-V, is a program and no file of weights. Its numbers are nearly the same.
"""

from __future__ import annotations

import dataclasses

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.metric_networks.i3d import I3DModel, I3DSettings, unit_names
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, batch_norm, counter, layer
from xactor_jax.pretrained.transforms import conv_kernel

STAGE = "i3d"


def _rules(unit: str) -> tuple[Rule, ...]:
    path = unit.replace(".", "/")
    return Rule(f"{unit}.conv3d.weight", f"{path}/conv/kernel", conv_kernel), *batch_norm(f"{unit}.bn", f"{path}/norm")


TABLE = Table(
    rules=(*(rule for unit in unit_names() for rule in _rules(unit)), *layer("logits.conv3d", "logits", conv_kernel)),
    constants=tuple(counter(f"{unit}.bn", f"{unit.replace('.', '/')}/norm") for unit in unit_names()),
)


def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights. There is only one size, so no file is read."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(I3DSettings())})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    return shapes(jax.eval_shape(I3DModel.from_network(config.network).init, jax.random.key(0)))
