from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec

from tests.training.toy import toy_config
from xactor_jax.checkpoints.trees import all_finite, digest, fingerprint, read_arrays, saved_steps, saved_tree, write_arrays
from xactor_jax.parallel.mesh import make_mesh


def by_hand(array: np.ndarray) -> int:
    """Σ bits · (2 · position + 1) mod 2³², in Python's integers."""
    bits = np.ascontiguousarray(array).reshape(-1).view(f"uint{8 * array.dtype.itemsize}")
    return sum(int(b) * (2 * i + 1) for i, b in enumerate(bits)) % 2**32


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint8])
def test_fingerprint_by_hand(rng: np.random.Generator, dtype: type) -> None:
    array = (50 * rng.normal(size=(3, 4, 5))).astype(dtype) if dtype != np.uint8 else rng.integers(0, 255, (3, 4, 5), np.uint8)
    assert fingerprint({"a": array}) == by_hand(array)


def test_every_bit_and_every_place_counts(rng: np.random.Generator) -> None:
    array = rng.normal(size=(6, 4)).astype(np.float32)
    bits = array.view(np.uint32)
    changed = [
        bits ^ (np.uint32(1 << bit) * (np.arange(24).reshape(6, 4) == place)) for bit in (0, 15, 31) for place in (0, 23)
    ]
    others = [x.view(np.float32) for x in changed] + [array[::-1], array[:, ::-1]]
    assert fingerprint({"a": array}) not in {fingerprint({"a": x}) for x in others}


def test_the_order_of_arrays_counts() -> None:
    a, b = jnp.ones(3), jnp.zeros(3)
    assert fingerprint({"a": a, "b": b}) != fingerprint({"a": b, "b": a})


def test_fingerprint_is_the_same_on_any_mesh(rng: np.random.Generator) -> None:
    array = rng.normal(size=(16, 8)).astype(np.float32)
    mesh = make_mesh(toy_config(mesh__fsdp=2, mesh__tensor=2).mesh)
    sharded = jax.device_put(array, NamedSharding(mesh, PartitionSpec("fsdp", ("data", "tensor"))))
    assert fingerprint(sharded) == fingerprint(array)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_found(rng: np.random.Generator, odd: float) -> None:
    tree = {"a": rng.normal(size=(8, 4)).astype(np.float32), "count": np.int32(3)}
    mesh = make_mesh(toy_config(mesh__fsdp=2, mesh__tensor=2).mesh)
    sharded = lambda: jax.device_put(tree["a"], NamedSharding(mesh, PartitionSpec("fsdp", "tensor")))
    assert all_finite({**tree, "b": sharded()})
    tree["a"][7, 3] = odd
    assert not all_finite({**tree, "a": sharded()}) and not all_finite(tree)


def test_arrays_come_back_whole_and_in_part(tmp_path: pathlib.Path, rng: np.random.Generator) -> None:
    tree = {
        "a": {"x": rng.normal(size=(3, 4)).astype(np.float32), "n": np.int32(3)},
        "b": {"y": np.arange(5, dtype=np.float16)},
    }
    folder = epath.Path(tmp_path) / "tree"
    write_arrays(folder, tree)
    saved = saved_tree(folder)
    jax.tree.map(np.testing.assert_array_equal, read_arrays(folder, saved), tree)
    part = read_arrays(folder, {"b": saved["b"]})
    assert set(part) == {"b"} and part["b"]["y"].dtype == np.float16


def test_digest_sees_names_types_and_numbers() -> None:
    tree = {"a": np.zeros(3, np.float32)}
    others = [{"b": np.zeros(3, np.float32)}, {"a": np.zeros(3, np.float16)}, {"a": np.full(3, -0.0, np.float32)}]
    assert len({digest(t) for t in [tree, *others]}) == 4 and digest(tree) == digest({"a": jnp.zeros(3)})


def test_no_folder_has_no_steps(tmp_path: pathlib.Path) -> None:
    assert saved_steps(epath.Path(tmp_path) / "none") == []
