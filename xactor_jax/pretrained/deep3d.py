"""The released network of Deep3DFaceRecon_pytorch (epoch_20.pth), from a face to coefficients of a 3D face model."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.metric_networks.deep3d import Deep3DSettings, make_network
from xactor_jax.pretrained.name_map import Rule, Shapes, Table, batch_norm, counter, layer
from xactor_jax.pretrained.transforms import conv_kernel, pointwise_kernel

STAGE = "deep3d"

_BLOCK, _OURS = "backbone.layer{n}.{i}", "layer{n}_{i}"
_NORMS = [("backbone.bn1", "bn1"), (f"{_BLOCK}.downsample.1", f"{_OURS}/bn_match")]
_NORMS += [(f"{_BLOCK}.bn{k}", f"{_OURS}/bn{k}") for k in (1, 2, 3)]
_KERNELS = [("backbone.conv1", "conv1"), (f"{_BLOCK}.downsample.0", f"{_OURS}/conv_match")]
_KERNELS += [(f"{_BLOCK}.conv{k}", f"{_OURS}/conv{k}") for k in (1, 2, 3)]

TABLE = Table(
    prefixes=("net_recon.", "module."),
    rules=(
        *(rule for pair in _NORMS for rule in batch_norm(*pair)),
        *(Rule(f"{source}.weight", f"{target}/kernel", conv_kernel) for source, target in _KERNELS),
        *layer("final_layers.{k}", "final{k}", pointwise_kernel),
    ),
    constants=tuple(counter(*pair) for pair in _NORMS),
)


def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights. There is only one size, so no file is read."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(Deep3DSettings())})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    network = make_network(config.network)
    faces = jax.ShapeDtypeStruct((1, network.settings.side, network.settings.side, 3), jnp.float32)
    return shapes(jax.eval_shape(network.init, jax.random.key(0), faces)["params"])
