"""The device mesh: axes `data`, `fsdp` and `tensor`, and how a batch lies on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from xactor_jax.errors import UserError

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")


def mesh_shape(sizes: Sequence[int], num_devices: int) -> tuple[int, ...]:
    """Axis sizes with one −1 replaced by the devices that the others leave. Raises `UserError` when they do not fit."""
    sizes = tuple(int(size) for size in sizes)
    wish = ", ".join(f"mesh.{name}={size}" for name, size in zip(AXES, sizes, strict=True))
    if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
        raise UserError(f"{wish} is not a mesh: give every axis a positive number, or -1 for one axis alone.")
    given = math.prod(size for size in sizes if size > 0)
    if num_devices % given or (-1 not in sizes and given != num_devices):
        divisors = ", ".join(str(n) for n in range(1, num_devices + 1) if num_devices % n == 0)
        raise UserError(
            f"{wish} does not fit the {num_devices} devices there are: let mesh.data be -1 and mesh.fsdp × mesh.tensor be one "
            f"of {divisors}."
        )
    return tuple(num_devices // given if size == -1 else size for size in sizes)


def make_mesh(config: ConfigDict, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh of all devices (or those given) from `config.data`, `config.fsdp` and `config.tensor`.

    The axes are `Auto`: the compiler propagates shardings. `jax.make_mesh` alone would make them `Explicit`.
    """
    devices = jax.devices() if devices is None else devices
    shape = mesh_shape([config[name] for name in AXES], len(devices))
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Leading axis split over `data` and `fsdp` together."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_shards(mesh: Mesh) -> int:
    """Pieces that a batch is cut into."""
    return math.prod(mesh.shape[name] for name in BATCH_AXES)


def check_batch_size(batch_size: int, grad_accumulation: int, mesh: Mesh) -> None:
    """Raises `UserError` unless every microbatch divides over the mesh."""
    unit = batch_shards(mesh) * grad_accumulation
    if grad_accumulation < 1 or batch_size < 1:
        raise UserError(f"batch_size={batch_size} and grad_accumulation={grad_accumulation} must both be at least 1.")
    if batch_size % unit:
        below, above = batch_size // unit * unit, -(-batch_size // unit) * unit
        numbers = f"{below} or {above}" if below else f"{above}"
        raise UserError(
            f"batch_size={batch_size} does not divide over {batch_shards(mesh)} devices (mesh.data × mesh.fsdp) × "
            f"{grad_accumulation} microbatches (grad_accumulation): use {numbers}."
        )


def share_of(process: int, pieces: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """(index, count) of a process's part of a batch, given (process, first row) of every piece that a device holds.

    Processes that hold the same rows, as happens where `tensor` spans several processes, read the same part.
    """
    rows: dict[int, set[int]] = {}
    for holder, first_row in pieces:
        rows.setdefault(holder, set()).add(first_row)
    shares = sorted({tuple(sorted(held)) for held in rows.values()})
    return shares.index(tuple(sorted(rows[process]))), len(shares)


def process_share(mesh: Mesh, batch_size: int) -> tuple[int, int]:
    """(index, count) of the part of a batch that this process must read."""
    indices = batch_sharding(mesh).devices_indices_map((batch_size,))
    return share_of(jax.process_index(), [(device.process_index, rows.start or 0) for device, (rows,) in indices.items()])


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Global arrays from this process's part of every array `[local batch, ...]`."""
    sharding = batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, np.asarray(array)) for name, array in batch.items()}
