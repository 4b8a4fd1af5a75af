from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.parallel import mesh as m
from xactor_jax.run_settings import MeshSettings

FRAMES = ("x",)


def mesh_of(data: int = -1, fsdp: int = 1, tensor: int = 1, context: int = 1) -> Any:
    return m.make_mesh(MeshSettings(data=data, fsdp=fsdp, context=context, tensor=tensor))


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ((-1, 1, 1, 1), (8, 1, 1, 1)),
        ((-1, 2, 1, 2), (2, 2, 1, 2)),
        ((2, -1, 1, 1), (2, 4, 1, 1)),
        ((1, 2, -1, 2), (1, 2, 2, 2)),
        ((1, 2, 1, -1), (1, 2, 1, 4)),
        ((2, 4, 1, 1), (2, 4, 1, 1)),
    ],
)
def test_minus_one_takes_what_is_left(sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert m.mesh_shape(sizes, 8) == shape


@pytest.mark.parametrize("sizes", [(-1, 3, 1, 1), (2, 2, 1, 1), (16, 1, 1, 1), (-1, 4, 4, 1)])
def test_sizes_that_do_not_fit(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"does not fit the 8 devices there are: .* be one of 1, 2, 4, 8\.$"):
        m.mesh_shape(sizes, 8)


@pytest.mark.parametrize("sizes", [(-1, -1, 1, 1), (0, 1, 1, 1), (1, 1, -2, 1)])
def test_sizes_that_are_none(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="is not a mesh: give every axis a positive number, or -1 for only one axis"):
        m.mesh_shape(sizes, 8)


def test_axes_are_automatic() -> None:
    mesh = mesh_of(fsdp=2, tensor=2)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "context": 1, "tensor": 2}
    assert mesh.axis_types == (AxisType.Auto,) * 4


def test_an_axis_that_an_older_config_does_not_have_is_one() -> None:
    assert dict(m.make_mesh(MeshSettings(data=8)).shape) == {"data": 8, "fsdp": 1, "context": 1, "tensor": 1}


def test_frames_are_split_over_context() -> None:
    mesh = mesh_of(fsdp=2, context=2)
    batch = {"x": np.arange(64.0, dtype=np.float32).reshape(8, 4, 2), "whole": np.arange(32.0).reshape(8, 4)}
    arrays = m.put_batch(batch, mesh, FRAMES)
    for name, shape in (("x", (2, 2, 2)), ("whole", (2, 4))):
        np.testing.assert_array_equal(arrays[name], batch[name])
        assert {shard.data.shape for shard in arrays[name].addressable_shards} == {shape}
    assert m.batch_shards(mesh, FRAMES) == 4


def test_where_there_are_no_frames_context_splits_rows() -> None:
    mesh = mesh_of(fsdp=2, context=2)
    array = m.put_batch({"x": np.zeros((8, 4))}, mesh)["x"]
    assert {shard.data.shape for shard in array.addressable_shards} == {(1, 4)}
    assert m.batch_shards(mesh) == 8


def test_frames_that_do_not_divide() -> None:
    batch = {"x": jax.ShapeDtypeStruct((8, 6), np.float32)}
    m.check_frames(batch, mesh_of(context=2), FRAMES)
    with pytest.raises(UserError, match=r"6 frames of an example do not divide over mesh.context=4: let it be a divisor of 6"):
        m.check_frames(batch, mesh_of(context=4), FRAMES)


def test_rows_and_frames_that_are_folded_into_one_leave_one_row_to_a_device() -> None:
    m.check_one_row(8, 2, mesh_of(context=2))
    m.check_one_row(64, 1, mesh_of())
    with pytest.raises(
        UserError, match=r"every device has 3 at a time: use grad_accumulation=6, or more devices in mesh\.data"
    ):
        m.check_one_row(24, 2, mesh_of(context=2))


def test_a_batch_is_split_over_data_and_fsdp() -> None:
    mesh = mesh_of(fsdp=2, tensor=2)
    x = np.arange(16.0, dtype=np.float32).reshape(8, 2)
    array = m.put_batch({"x": x}, mesh)["x"]
    np.testing.assert_array_equal(array, x)
    assert {shard.data.shape for shard in array.addressable_shards} == {(2, 2)}
    assert m.batch_shards(mesh) == 4


def test_a_replicated_array_is_whole_everywhere() -> None:
    array = jax.device_put(np.arange(8), m.replicated(mesh_of()))
    assert {shard.data.shape for shard in array.addressable_shards} == {(8,)}


@pytest.mark.parametrize(
    ("batch_size", "parts", "numbers"), [(12, 1, "use 8 or 16"), (5, 1, "use 8"), (24, 2, "use 16 or 32"), (8, 2, "use 16")]
)
def test_batch_sizes_that_do_not_divide(batch_size: int, parts: int, numbers: str) -> None:
    with pytest.raises(UserError, match=rf"batch_size={batch_size} does not divide over 8 devices .*: {numbers}\.$"):
        m.check_batch_size(batch_size, parts, mesh_of())


def test_batch_sizes_that_divide() -> None:
    m.check_batch_size(16, 2, mesh_of())
    m.check_batch_size(4, 2, mesh_of(data=2, tensor=4))
    with pytest.raises(UserError, match="must both be at least 1"):
        m.check_batch_size(16, 0, mesh_of())


@pytest.mark.parametrize("axis", ["tensor", "context"])
@pytest.mark.parametrize(
    ("size", "devices_each", "shares"),
    [
        (1, 4, [(0, 2), (1, 2)]),
        (1, 2, [(0, 4), (1, 4), (2, 4), (3, 4)]),
        (8, 4, [(0, 1), (0, 1)]),
        (4, 2, [(0, 2), (0, 2), (1, 2), (1, 2)]),
    ],
)
def test_processes_read_the_rows_they_hold(axis: str, size: int, devices_each: int, shares: list[tuple[int, int]]) -> None:
    """Where `tensor` or `context` spans several processes, these hold, and so read, the same rows."""
    indices = m.batch_sharding(mesh_of(**{axis: size}), FRAMES).devices_indices_map((16,))
    pieces = [(device.id // devices_each, rows.start or 0) for device, (rows,) in indices.items()]
    assert [m.share_of(process, pieces) for process in range(len(shares))] == shares


def test_one_process_reads_everything() -> None:
    assert m.process_share(mesh_of(fsdp=2), 16) == (0, 1)
