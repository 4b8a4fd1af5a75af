"""The released SyncNet v2 (`syncnet_v2.model`, joonson/syncnet_python).

The running moments of its batch normalisations are parameters (`layers/batch_norm.py`); a checkpoint has no buffers.
The released file is from before PyTorch 1.6. It must be saved again with a later version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.metric_networks.syncnet import SyncNetSettings, init
from xactor_jax.pretrained.name_map import Constant, Rule, Shapes, Table, batch_norm, counter, layer
from xactor_jax.pretrained.transforms import conv_kernel

STAGE = "syncnet"
CONVOLUTIONS = (0, 4, 8, 11, 14, 18)
NORMS = (1, 5, 9, 12, 15, 19)
"""Places of the convolutions and normalisations in both released sequences."""


def _normalised(source: str, target: str) -> tuple[Rule | Constant, ...]:
    return *batch_norm(source, target), counter(source, target)


def _branch(convolutions: str, maps: str, target: str) -> Iterable[Rule | Constant]:
    """The rules of one of the two networks."""
    for i, (place, norm) in enumerate(zip(CONVOLUTIONS, NORMS, strict=True)):
        yield from layer(f"{convolutions}.{place}", f"{target}/conv{i}", conv_kernel)
        yield from _normalised(f"{convolutions}.{norm}", f"{target}/norm{i}")
    yield from (*layer(f"{maps}.0", f"{target}/hidden"), *_normalised(f"{maps}.1", f"{target}/norm"))
    yield from layer(f"{maps}.3", f"{target}/out")


def _table() -> Table:
    lines = *_branch("netcnnlip", "netfclip", "lips"), *_branch("netcnnaud", "netfcaud", "sound")
    rules = tuple(line for line in lines if isinstance(line, Rule))
    return Table(rules=rules, constants=tuple(line for line in lines if isinstance(line, Constant)))


TABLE = _table()


def read_config(beside: epath.Path, given: epath.PathLike) -> ConfigDict:
    """The config to store with the weights. There is only one size, so no file is read."""
    return ConfigDict({"stage": STAGE, "network": dataclasses.asdict(SyncNetSettings())})


def parameter_shapes(config: ConfigDict) -> Shapes:
    """Path → shape of every parameter."""
    settings = SyncNetSettings.from_network(config.network)
    return shapes(jax.eval_shape(lambda key: init(settings, key), jax.random.key(0)))
