"""Sampling with networks that are too large for one device: large parameters are split over the devices of this process.

The compiler gathers the parameters of a layer when they are needed. The samples of a batch are split over the same devices, one
on each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xactor_jax.parallel.partition import tree_shardings
from xactor_jax.sampling.batch import Conditions, Networks, Result, generate, networks_of, on_all
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.variables import Variables


def local_mesh() -> Mesh:
    """Mesh of this process's devices with one axis, `fsdp`. It is local, so processes need no synchronisation."""
    return Mesh(np.array(jax.local_devices()), ("fsdp",))


def place_sharded(variables: Variables) -> Variables:
    """Places host arrays on the devices. Each array is split along its largest axis that can be split."""
    return jax.device_put(variables, tree_shardings(variables, (), local_mesh()))


def sharded_generator(models: Models, settings: Settings) -> Callable[[Conditions], Result]:
    """`batch.generate` for up to as many samples as there are local devices, on variables placed by `place_sharded`."""
    rows = NamedSharding(local_mesh(), PartitionSpec("fsdp"))
    variables = tuple(stage.variables for stage in models)
    mapped = split_over(rows, networks_of(models), settings)
    return on_all(lambda conditions: mapped(variables, jax.device_put(conditions, rows)), len(jax.local_devices()))


@functools.lru_cache(maxsize=4)
def split_over(rows: NamedSharding, networks: Networks, settings: Settings) -> Callable[..., Result]:
    """The compiled function. It is cached, so that another list of jobs with the same settings needs no compilation."""
    return jax.jit(jax.vmap(functools.partial(generate, networks, settings), (None, 0)), out_shardings=rows)
