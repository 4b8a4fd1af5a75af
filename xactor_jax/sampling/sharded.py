"""Sampling with networks that are too large for one device: large parameters are split over the devices of this process.

The compiler gathers the parameters of a layer when they are needed. The samples of a batch are split over the same devices, one
on each.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh

from xactor_jax.parallel.partition import tree_shardings
from xactor_jax.variables import Variables


def local_mesh() -> Mesh:
    """Mesh of this process's devices with one axis, `fsdp`. It is local, so processes need no synchronisation."""
    return Mesh(np.array(jax.local_devices()), ("fsdp",))


def place_sharded(variables: Variables) -> Variables:
    """Places host arrays on the devices. Each array is split along its largest axis that can be split."""
    return jax.device_put(variables, tree_shardings(variables, (), local_mesh()))
