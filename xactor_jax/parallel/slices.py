"""Arrangement of devices: slices with a fast network inside, and a device grid of which only the first axis spans slices.

A slice is a TPU slice or a node of GPUs: its chips share a fast interconnect, while slices share the data centre's network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

from xactor_jax.errors import UserError

Device = Any


def slice_of(device: Device) -> int:
    """Number of the device's slice; 0 for devices without slices."""
    return getattr(device, "slice_index", None) or 0


def in_slices(devices: Sequence[Device], slices: int = 0) -> list[list[Device]]:
    """The devices of every slice: as the devices report them or, if `slices` is given, equal parts of neighbouring processes.

    Raises `UserError` if slices have unequal sizes, or `slices` does not divide the number of devices.
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
    """Devices in an array of this shape: slices one after the other on the first axis, other axes by the physical topology.

    Raises `UserError` if the number of slices does not divide the first axis.
    """
    first, *rest = shape
    if first % len(slices):
        raise UserError(
            f"mesh.data={first} does not divide over {len(slices)} slices, and no other axis may span them: let the product of "
            f"the other axes divide the {len(slices[0])} devices of a slice, or set mesh.slices=1 to let all axes span them."
        )
    return np.concatenate([_grid((first // len(slices), *rest), devices) for devices in slices])


def _grid(shape: Sequence[int], devices: Sequence[Device]) -> np.ndarray:
    """Devices of one slice in an array of this shape, by the physical topology."""
    if len({slice_of(device) for device in devices}) > 1:  # mesh.slices joins several slices: no common topology to follow
        return np.asarray(devices, object).reshape(shape)
    return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
