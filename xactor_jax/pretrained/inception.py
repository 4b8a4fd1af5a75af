"""FID's network: Inception v3 from pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`.

Its names are those of torchvision (`Mixed_5b.branch1x1.conv.weight`, `….bn.running_mean`). The classifier (`fc`) is not used.
"""

from __future__ import annotations

import dataclasses

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.metric_networks.inception import InceptionModel, InceptionSettings, unit_names
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, batch_norm, counter
from xactor_jax.pretrained.transforms import conv_kernel

STAGE = "inception"


def _rules(unit: str) -> tuple[Rule, ...]:
    path = unit.replace(".", "/")
    return Rule(f"{unit}.conv.weight", f"{path}/conv/kernel", conv_kernel), *batch_norm(f"{unit}.bn", f"{path}/norm")


TABLE = Table(
    rules=tuple(rule for unit in unit_names() for rule in _rules(unit)),
    ignored=("fc.", "AuxLogits."),
    constants=tuple(counter(f"{unit}.bn", f"{unit.replace('.', '/')}/norm") for unit in unit_names()),
)


def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights. There is only one size, so no file is read."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(InceptionSettings())})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    return shapes(jax.eval_shape(InceptionModel.from_network(config.network).init, jax.random.key(0)))
