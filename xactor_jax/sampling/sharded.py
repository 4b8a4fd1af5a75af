"""Networks too large for one device: every large array of their parameters is split over the devices of this process.

The compiler gathers what a layer needs when it needs it. Samples of a batch are split over the same devices, one on each.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh

from xactor_jax.parallel.partition import tree_shardings
from xactor_jax.variables import Variables


def local_mesh() -> Mesh:
    """The devices of this process along one axis, `fsdp`: processes need not keep step."""
    return Mesh(np.array(jax.local_devices()), ("fsdp",))


def place_sharded(variables: Variables) -> Variables:
    """Host arrays onto the devices, each array split over them along its largest dimension that can be split."""
    return jax.device_put(variables, tree_shardings(variables, (), local_mesh()))
