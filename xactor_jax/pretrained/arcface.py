"""InsightFace's released ArcFace networks (backbone.pth, arcface_torch): r50, r100 and others that differ only in depth."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.errors import UserError
from xactor_jax.metric_networks.arcface import ArcFaceSettings, make_network
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, batch_norm, counter, layer
from xactor_jax.pretrained.transforms import conv_kernel

STAGE = "arcface"

_NORMS = [(name, name) for name in ("bn1", "bn2", "features")]
_NORMS += [(f"layer{{n}}.{{i}}.bn{k}", f"layer{{n}}_{{i}}/bn{k}") for k in (1, 2, 3)]
_NORMS += [("layer{n}.{i}.downsample.1", "layer{n}_{i}/match_norm")]
_KERNELS = {"conv1": "conv1", "layer{n}.{i}.downsample.0": "layer{n}_{i}/match"}
_KERNELS |= {f"layer{{n}}.{{i}}.conv{k}": f"layer{{n}}_{{i}}/conv{k}" for k in (1, 2)}
_SLOPES = {"prelu": "prelu", "layer{n}.{i}.prelu": "layer{n}_{i}/prelu"}


TABLE = Table(
    prefixes=("module.",),
    rules=(
        *(rule for source, target in _NORMS for rule in batch_norm(source, target)),
        *(Rule(f"{source}.weight", f"{target}/kernel", conv_kernel) for source, target in _KERNELS.items()),
        *(Rule(f"{source}.weight", f"{target}/factor") for source, target in _SLOPES.items()),
        *layer("fc", "fc"),
    ),
    constants=tuple(counter(*pair) for pair in _NORMS),
)


def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config of r50; `with_depths` reads the depth of another from its file."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(ArcFaceSettings())})


def with_depths(config: ConfigDict, names: Iterable[str]) -> ConfigDict:
    """The config with the number of blocks of each stage, from the names in a file.

    Raises:
        UserError: the names are those of another network.
    """
    found = [re.fullmatch(r"(?:module\.)?layer(\d)\.(\d+)\.prelu\.weight", name) for name in names]
    blocks = [int(match[1]) for match in found if match]
    depths = tuple(blocks.count(stage) for stage in range(1, 1 + len(config.network.widths)))
    if not all(depths):
        raise UserError("the file holds no layer1.0.prelu.weight … layer4: take backbone.pth of arcface_torch (r50 or r100).")
    return ConfigDict({**config.to_dict(), "network": {**config.network.to_dict(), "depths": depths}})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    network = make_network(config.network)
    faces = jax.ShapeDtypeStruct((1, network.settings.side, network.settings.side, 3), jnp.float32)
    return shapes(jax.eval_shape(network.init, jax.random.key(0), faces)["params"])
