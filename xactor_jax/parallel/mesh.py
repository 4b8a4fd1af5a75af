"""The device mesh with axes `data`, `fsdp`, `context` and `tensor`, and the sharding of a batch on it.

The rows of a batch are split over `data` and `fsdp`. Entries with frames, [batch, frames, ...], are also split over `context`
in their second axis. If a stage has only single images, `context` splits the rows, together with the other two. Devices that
are neighbours on the last axes are closest in the network, because these axes communicate most: inside every layer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.parallel.slices import device_grid, in_slices
from xactor_jax.run_settings import MeshSettings

AXES = ("data", "fsdp", "context", "tensor")
BATCH_AXES = ("data", "fsdp")
FRAME_AXIS = "context"

Entries = Collection[str]
"""Names of the entries of a batch that have frames as their second axis."""


def mesh_shape(sizes: Sequence[int], num_devices: int) -> tuple[int, ...]:
    """Axis sizes, with a −1 replaced by the number of remaining devices. Raises `UserError` if they do not fit."""
    sizes = tuple(int(size) for size in sizes)
    wish = ", ".join(f"mesh.{name}={size}" for name, size in zip(AXES, sizes, strict=True))
    if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
        raise UserError(f"{wish} is not a mesh: give every axis a positive number, or -1 for only one axis.")
    given = math.prod(size for size in sizes if size > 0)
    if num_devices % given or (-1 not in sizes and given != num_devices):
        divisors = ", ".join(str(n) for n in range(1, num_devices + 1) if num_devices % n == 0)
        raise UserError(
            f"{wish} does not fit the {num_devices} devices there are: let mesh.data be -1 and mesh.fsdp × mesh.context × "
            f"mesh.tensor be one of {divisors}."
        )
    return tuple(num_devices // given if size == -1 else size for size in sizes)


def make_mesh(config: MeshSettings | ConfigDict, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh of all devices (or those given) from `config.mesh`; only `data` spans several slices.

    The axes are `Auto`: the compiler propagates shardings.
    """
    devices = jax.devices() if devices is None else devices
    shape = mesh_shape([getattr(config, name) for name in AXES], len(devices))
    grid = device_grid(shape, in_slices(devices, config.slices))
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding with the whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def row_axes(frame_entries: Entries = ()) -> tuple[str, ...]:
    """Mesh axes that split the rows of a batch."""
    return BATCH_AXES if frame_entries else (*BATCH_AXES, FRAME_AXIS)


def batch_spec(name: str, frame_entries: Entries = ()) -> PartitionSpec:
    """Partition spec of an entry of a batch: its rows are split, and its frames if it has any."""
    return PartitionSpec(row_axes(frame_entries), *[FRAME_AXIS] * (name in frame_entries))


def batch_shardings(names: Iterable[str], mesh: Mesh, frame_entries: Entries = ()) -> dict[str, NamedSharding]:
    """Name → sharding of every entry of a batch."""
    return {name: NamedSharding(mesh, batch_spec(name, frame_entries)) for name in names}


def batch_sharding(mesh: Mesh, frame_entries: Entries = ()) -> NamedSharding:
    """Sharding that splits only the rows."""
    return NamedSharding(mesh, PartitionSpec(row_axes(frame_entries)))


def batch_shards(mesh: Mesh, frame_entries: Entries = ()) -> int:
    """Number of parts into which the rows of a batch are split."""
    return math.prod(mesh.shape[name] for name in row_axes(frame_entries))


def check_batch_size(batch_size: int, grad_accumulation: int, mesh: Mesh, frame_entries: Entries = ()) -> None:
    """Raises `UserError` unless every microbatch divides over the mesh."""
    shards = batch_shards(mesh, frame_entries)
    unit = shards * grad_accumulation
    if grad_accumulation < 1 or batch_size < 1:
        raise UserError(f"batch_size={batch_size} and grad_accumulation={grad_accumulation} must both be at least 1.")
    if batch_size % unit:
        below, above = batch_size // unit * unit, -(-batch_size // unit) * unit
        numbers = f"{below} or {above}" if below else f"{above}"
        axes = " × ".join(f"mesh.{name}" for name in row_axes(frame_entries) if name in BATCH_AXES or mesh.shape[name] > 1)
        raise UserError(
            f"batch_size={batch_size} does not divide over {shards} devices ({axes}) × "
            f"{grad_accumulation} microbatches (grad_accumulation): use {numbers}."
        )


def check_frames(batch: Mapping[str, jax.ShapeDtypeStruct], mesh: Mesh, frame_entries: Entries) -> None:
    """Raises `UserError` unless the frames of every entry divide over `context`. A batch may lack some of `frame_entries`."""
    size = mesh.shape[FRAME_AXIS]
    for frames in (batch[name].shape[1] for name in frame_entries if name in batch):
        if frames % size:
            raise UserError(
                f"{frames} frames of an example do not divide over mesh.context={size}: let it be a divisor of {frames}, or "
                f"data.window a multiple of {size}."
            )


def check_one_row(batch_size: int, grad_accumulation: int, mesh: Mesh) -> None:
    """Raises `UserError` if a device has several rows of a microbatch, because then `context` splits no work.

    This holds for networks that fold frames into rows: a device's frames of several rows are not a contiguous block of the
    folded axis, so the compiler computes all of them on every device of `context`.
    """
    rows = batch_size // (math.prod(mesh.shape[name] for name in BATCH_AXES) * grad_accumulation)
    if mesh.shape[FRAME_AXIS] > 1 and rows > 1:
        raise UserError(
            f"mesh.context={mesh.shape[FRAME_AXIS]} splits the frames of one example and every device has {rows} at a time: "
            f"use grad_accumulation={rows * grad_accumulation}, or more devices in mesh.data or mesh.fsdp."
        )


def share_of(process: int, pieces: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """(index, count) of a process's part of a batch, given (process, first row) of the piece on every device.

    Processes with the same rows read the same part. This happens if `tensor` or `context` spans several processes.
    """
    rows: dict[int, set[int]] = {}
    for holder, first_row in pieces:
        rows.setdefault(holder, set()).add(first_row)
    shares = sorted({tuple(sorted(held)) for held in rows.values()})
    return shares.index(tuple(sorted(rows[process]))), len(shares)


def process_share(mesh: Mesh, batch_size: int, frame_entries: Entries = ()) -> tuple[int, int]:
    """(index, count) of the part of a batch that this process must read: whole rows, with all their frames."""
    indices = batch_sharding(mesh, frame_entries).devices_indices_map((batch_size,))
    return share_of(jax.process_index(), [(device.process_index, rows.start or 0) for device, (rows,) in indices.items()])


def put_batch(
    batch: Mapping[str, np.ndarray], mesh: Mesh, frame_entries: Entries = (), parts: int | None = None
) -> dict[str, jax.Array]:
    """Builds global arrays from this process's part `[local batch, ...]` of every entry. A part has all frames of its rows.

    `parts` is the number of different parts; it is computed if it is not given.
    """
    parts = parts or process_share(mesh, batch_shards(mesh, frame_entries), frame_entries)[1]
    shardings = batch_shardings(batch, mesh, frame_entries)

    def put(name: str, array: np.ndarray) -> jax.Array:
        shape = (parts * len(array), *array.shape[1:])
        return jax.make_array_from_process_local_data(shardings[name], array, shape)

    return {name: put(name, np.asarray(array)) for name, array in batch.items()}
