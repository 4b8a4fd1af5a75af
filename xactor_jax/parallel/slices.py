"""Where devices lie: in slices, inside which the network is fast, and in a grid whose first axis alone spans several.

A slice is a TPU slice (its chips share an interconnect; slices share a data centre's network), or a node of GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

from xactor_jax.errors import UserError

Device = Any


def slice_of(device: Device) -> int:
    """Number of the device's slice; 0 where devices know of none."""
    return getattr(device, "slice_index", None) or 0


def in_slices(devices: Sequence[Device], slices: int = 0) -> list[list[Device]]:
    """The devices of every slice: as they say themselves, or in `slices` equal parts of neighbouring processes.

    Raises `UserError` when slices are of unequal size, or there cannot be so many.
    """
    ordered = sorted(devices, key=lambda d: (slice_of(d), d.process_index, d.id))
    if slices < 0 or (slices and len(ordered) % slices):
        raise UserError(f"mesh.slices={slices} does not divide the {len(ordered)} devices: give the number of nodes, or 0.")
    if slices:
        return [list(part) for part in np.array_split(np.asarray(ordered, object), slices)]
    numbers = sorted({slice_of(device) for device in ordered})
    groups = [[device for device in ordered if slice_of(device) == number] for number in numbers]
    if len({len(group) for group in groups}) > 1:
        sizes = ", ".join(str(len(group)) for group in groups)
        raise UserError(f"the slices have {sizes} devices, and must have as many each: start as many workers on every slice.")
    return groups


def device_grid(shape: Sequence[int], slices: Sequence[Sequence[Device]]) -> np.ndarray:
    """Devices in an array of this shape: slices one after the other on its first axis, the rest as their wiring suits it.

    Raises `UserError` when the first axis does not divide into the slices.
    """
    first, *rest = shape
    if first % len(slices):
        raise UserError(
            f"mesh.data={first} does not divide over {len(slices)} slices, which it alone may span: let the product of the "
            f"other axes divide the {len(slices[0])} devices of a slice, or set mesh.slices=1 to let all axes span them."
        )
    return np.concatenate([_grid((first // len(slices), *rest), devices) for devices in slices])


def _grid(shape: Sequence[int], devices: Sequence[Device]) -> np.ndarray:
    """Where slices are taken for one, their devices in a row: there is no wiring to follow."""
    if len({slice_of(device) for device in devices}) > 1:
        return np.asarray(devices, object).reshape(shape)
    return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
