"""Sharding of parameters: an ordered table of (path pattern → PartitionSpec), and a rule by shape for all others.

The table belongs to a task; networks do not define their sharding. All functions here are pure and depend only on shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xactor_jax.variables import Tree

Rules = Sequence[tuple[str, PartitionSpec]]

MIN_ELEMENTS = 4096
"""Arrays smaller than this are replicated, because gathering them costs more than storing them everywhere."""


def path_name(path: Sequence[Any]) -> str:
    """Path of a leaf as text, such as "a/b/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def _axis_size(mesh: Mesh, names: str | tuple[str, ...] | None) -> int:
    """Number of devices over which one entry of a PartitionSpec splits."""
    names = (names,) if isinstance(names, str) else (names or ())
    return math.prod(mesh.shape[name] for name in names)


def fit_spec(spec: PartitionSpec, shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    """Removes entries from a spec if their number of devices does not divide the array's axis."""
    if len(spec) > len(shape):
        raise ValueError(f"{spec} names more dimensions than an array of shape {tuple(shape)} has.")
    entries = (name if size % _axis_size(mesh, name) == 0 else None for name, size in zip(spec, shape, strict=False))
    return PartitionSpec(*entries)


def spec_by_shape(shape: Sequence[int], mesh: Mesh, min_elements: int = MIN_ELEMENTS) -> PartitionSpec:
    """Splits the largest axis that `fsdp` divides (the last one of equal axes) over `fsdp`; small arrays are not split."""
    fsdp = mesh.shape["fsdp"]
    candidates = [axis for axis, size in enumerate(shape) if size % fsdp == 0 and size >= fsdp]
    if fsdp == 1 or math.prod(shape) < min_elements or not candidates:
        return PartitionSpec()
    largest = max(candidates, key=lambda axis: (shape[axis], axis))
    return PartitionSpec(*(None,) * largest, "fsdp")


def spec_for(name: str, shape: Sequence[int], rules: Rules, mesh: Mesh, min_elements: int = MIN_ELEMENTS) -> PartitionSpec:
    """Spec of the first rule whose pattern is found in `name`; by shape if there is no such rule."""
    for pattern, spec in rules:
        if re.search(pattern, name):
            return fit_spec(spec, shape, mesh)
    return spec_by_shape(shape, mesh, min_elements)


def tree_shardings(tree: Tree, rules: Rules, mesh: Mesh, min_elements: int = MIN_ELEMENTS) -> Tree:
    """NamedSharding of every leaf (anything with a shape) of a tree."""

    def leaf(path: Sequence[Any], array: Any) -> NamedSharding:
        return NamedSharding(mesh, spec_for(path_name(path), array.shape, rules, mesh, min_elements))

    return jax.tree_util.tree_map_with_path(leaf, tree)


def follow_params(tree: Tree, params: Tree, shardings: Tree, mesh: Mesh) -> Tree:
    """Shardings for a tree that contains copies of `params`, such as the moments of an optimiser.

    A leaf whose path ends in the path of a parameter, and which has the same shape, gets that parameter's sharding. All other
    leaves are replicated.
    """
    paths, arrays = zip(*jax.tree_util.tree_leaves_with_path(params), strict=True)
    known = {
        (path_name(path), tuple(array.shape)): sharding
        for path, array, sharding in zip(paths, arrays, jax.tree.leaves(shardings), strict=True)
    }
    nowhere = NamedSharding(mesh, PartitionSpec())

    def leaf(path: Sequence[Any], array: Any) -> NamedSharding:
        suffixes = (path_name(path[start:]) for start in range(len(path)))
        return next((known[s, tuple(array.shape)] for s in suffixes if (s, tuple(array.shape)) in known), nowhere)

    return jax.tree_util.tree_map_with_path(leaf, tree)
