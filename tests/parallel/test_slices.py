"""Devices of several slices, stood in for by objects that say where they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import mesh_shape
from xactor_jax.parallel.slices import device_grid, in_slices


@dataclasses.dataclass(frozen=True)
class Chip:
    """What JAX says of a device."""

    id: int
    slice_index: int | None = None
    process_index: int = 0
    platform: str = "gpu"
    device_kind: str = "chip"


def chips(*sizes: int) -> list[Chip]:
    """Slices of so many devices each, in no order."""
    count = sum(sizes)
    slices = np.repeat(np.arange(len(sizes)), sizes)
    listed = [Chip(i, int(s), process_index=i // 2) for i, s in zip(range(count), slices, strict=True)]
    return [listed[i] for i in np.random.default_rng(0).permutation(count)]


def slices_of(grid: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda chip: chip.slice_index)(grid)


@pytest.mark.parametrize(("shape", "count"), [((2, 4, 1, 1), 2), ((4, 1, 2, 1), 2), ((4, 2, 1, 1), 4), ((8, 1, 1, 1), 4)])
def test_only_data_spans_slices(shape: tuple[int, ...], count: int) -> None:
    """Every device once, and along all other axes one slice."""
    grid = device_grid(shape, in_slices(chips(*[8 // count] * count)))
    assert grid.shape == shape and len({chip.id for chip in grid.flat}) == 8
    rows = slices_of(grid).reshape(shape[0], -1)
    assert (rows == rows[:, :1]).all()
    np.testing.assert_array_equal(rows[:, 0], np.repeat(np.arange(count), shape[0] // count))


def test_the_other_axes_do_not_fit_a_slice() -> None:
    with pytest.raises(UserError, match=r"^mesh.data=1 does not divide over 2 slices, .* divide the 4 devices of a slice"):
        device_grid((1, 8, 1, 1), in_slices(chips(4, 4)))


def test_all_axes_may_span_slices_if_it_is_allowed() -> None:
    grid = device_grid((1, 8, 1, 1), in_slices(chips(4, 4), slices=1))
    assert [chip.id for chip in grid.flat] == list(range(8))


def test_nodes_of_devices_without_slices() -> None:
    """Two processes a node."""
    nodes = [Chip(i, process_index=i // 2) for i in reversed(range(8))]
    assert len(in_slices(nodes)) == 1
    grid = device_grid((2, 4, 1, 1), in_slices(nodes, slices=2))
    assert [{chip.process_index for chip in row.flat} for row in grid] == [{0, 1}, {2, 3}]


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"mesh\.slices=3 does not divide the 8 devices"):
        in_slices(chips(8), slices=3)
    with pytest.raises(UserError, match="the slices have 4, 2 devices, and must have as many each"):
        in_slices(chips(4, 2))
    assert mesh_shape((-1, 4, 1, 1), 8) == (2, 4, 1, 1)
