"""Trees of arrays in checkpoints: their content, their shapes, and whether their numbers are unchanged."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from xactor_jax.parallel.partition import path_name
from xactor_jax.variables import Tree

FOLDER = "checkpoints"
"""Name of the folder of checkpoints in a run's folder."""


def shapes(tree: Tree) -> dict[str, tuple[int, ...]]:
    """Path → shape of every leaf with a shape."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): tuple(leaf.shape) for path, leaf in leaves if hasattr(leaf, "shape")}


def flat(tree: Tree) -> dict[str, Any]:
    """A tree as a dictionary: path → leaf."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def saved_steps(folder: epath.Path) -> list[int]:
    """Steps with a complete checkpoint in one of Orbax's folders, newest first. Empty if there is no such folder."""
    return sorted(ocp.utils.checkpoint_steps(folder), reverse=True) if folder.exists() else []


def cut_off(folder: epath.Path) -> list[int]:
    """Steps that only have an incomplete checkpoint, because the run ended while it was written."""
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    begun = {int(found.group()) for name in names if (found := re.match(r"\d+", name))}
    return sorted(begun - set(saved_steps(folder)))


def saved_tree(folder: epath.Path) -> Tree:
    """Nested dicts with the shape and dtype of every array in a saved tree, without reading the arrays."""
    metadata = ocp.PyTreeCheckpointHandler().metadata(folder)
    return getattr(metadata, "tree", metadata)


def read_arrays(folder: epath.Path, wanted: Tree) -> Tree:
    """Host arrays of a part of a saved tree. `wanted` is this part of the result of `saved_tree`."""
    item = jax.tree.map(lambda leaf: np.zeros((), leaf.dtype), wanted)
    restore_args = jax.tree.map(lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
    args = ocp.args.PyTreeRestore(item=item, restore_args=restore_args, partial_restore=True)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        return checkpointer.restore(folder, args=args)


def write_arrays(folder: epath.Path, tree: Tree) -> None:
    """Saves a tree of host arrays into a folder that does not exist yet."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(folder, args=ocp.args.PyTreeSave(tree))


def _bits(array: jax.Array) -> jax.Array:
    if array.dtype == bool:
        return array.astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(array, jnp.dtype(f"uint{8 * array.dtype.itemsize}")).astype(jnp.uint32)


@jax.jit
def _summary(array: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The array's `bit_sum`, and whether all of its numbers are finite: in one program, as a save needs both.

    Arrays of one shape share a small program. One program for the whole state would take longer to compile than a training
    step.
    """
    finite = jnp.isfinite(array).all() if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.bool_(True)
    return bit_sum(array), finite


def bit_sum(array: jax.Array) -> jax.Array:
    """A uint32 that changes if a bit of the array changes: Σ bits · (2 · position + 1) mod 2³². It is the same on every mesh.

    Sums of integers do not depend on the order, so each device sums its own part and no array is gathered.
    """
    position = jnp.zeros((), jnp.uint32)
    for axis, size in enumerate(array.shape):
        position = position * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis)
    return jnp.sum(_bits(array) * (2 * position + 1), dtype=jnp.uint32)


def fingerprint(tree: Tree) -> int:
    """Combines the `bit_sum` of all arrays into one number below 2³², which also depends on their order."""
    sums = jax.device_get([_summary(array)[0] for array in jax.tree.leaves(tree)])
    return functools.reduce(lambda total, one: (31 * total + int(one)) % 2**32, sums, 0)


def all_finite(tree: Tree) -> bool:
    """Whether every number is finite."""
    return all(jax.device_get([_summary(array)[1] for array in jax.tree.leaves(tree)]))


def digest(tree: Tree) -> str:
    """Twelve hexadecimal digits of the SHA-256 of names, shapes, types and bytes of host arrays."""
    sha = hashlib.sha256()
    for path, leaf in sorted(((path_name(p), np.asarray(x)) for p, x in jax.tree_util.tree_leaves_with_path(tree))):
        sha.update(f"{path}{leaf.shape}{leaf.dtype}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()[:12]
