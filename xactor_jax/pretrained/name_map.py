"""From the names that a released network's weights have to the paths that they have here: a table, used to the last key.

A rule says of released names such as `encoder.layers.{i}.final_layer_norm.weight` ({i}: any whole number) where they go, here
`block{i}/mlp_norm/scale`, and what is done to the array on the way. Every key of a file is used exactly once, is listed as
not needed, or is named in an error; so is everything that the network needs and the file lacks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Float

from xactor_jax.errors import UserError

Transform = Callable[..., np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


def linear_kernel(w: Float[np.ndarray, "out in_"]) -> Float[np.ndarray, "in_ out"]:
    """Of a fully connected layer."""
    return w.T


def conv_kernel(w: Float[np.ndarray, "out in_ *space"]) -> Float[np.ndarray, "*space in_ out"]:
    """Of a convolution over any number of dimensions, grouped or not."""
    return np.moveaxis(w, (1, 0), (-2, -1))


def weight_normed_conv_kernel(
    g: Float[np.ndarray, "1 1 space"], v: Float[np.ndarray, "out in_ space"]
) -> Float[np.ndarray, "space in_ out"]:
    """w = g · v / ‖v‖, the norm taken for each tap: weight normalisation over the last dimension (Salimans & Kingma 2016)."""
    norm = np.sqrt(np.sum(np.square(v.astype(np.float64)), axis=(0, 1), keepdims=True))
    return conv_kernel((g * v / norm).astype(np.float32))


class Rule(NamedTuple):
    """One line of a table. Rules with the same target give the parts that `transform` makes one array of, in their order."""

    source: str
    target: str
    transform: Transform = unchanged
    part: int = 0


def layer(source: str, target: str, kernel: Transform = linear_kernel) -> tuple[Rule, Rule]:
    """Weight and bias of a fully connected layer or a convolution."""
    return Rule(f"{source}.weight", f"{target}/kernel", kernel), Rule(f"{source}.bias", f"{target}/bias")


def norm(source: str, target: str) -> tuple[Rule, Rule]:
    """Scale and offset of a normalisation."""
    return Rule(f"{source}.weight", f"{target}/scale"), Rule(f"{source}.bias", f"{target}/bias")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """How the names of one kind of network are read."""

    rules: tuple[Rule, ...]
    prefixes: tuple[str, ...] = ()  # each may stand before every name
    ignored: tuple[str, ...] = ()  # beginnings of names, without prefix, that are not needed


class _Part(NamedTuple):
    """A key of the file and the rule that it follows."""

    key: str
    rule: Rule


def convert(weights: Mapping[str, np.ndarray], table: Table, shapes: Shapes) -> dict[str, Any]:
    """Nested dicts of float32 arrays with exactly the paths and shapes of `shapes`.

    Raises:
        UserError: a key is unknown or is there twice, one is missing, or an array has another shape.
    """
    assigned = _assign(weights, table, shapes)
    if missing := [path for path in shapes if not _complete(path, assigned, table)]:
        names = [name for path in missing for name in _released_names(path, table)]
        raise UserError(f"the file lacks {_listed(names)}: is it a whole checkpoint of the network that config.json describes?")
    flat = {path: _transformed(path, parts, weights, shapes[path]) for path, parts in assigned.items()}
    return unflatten_dict(flat, sep="/")


def _assign(keys: Iterable[str], table: Table, shapes: Shapes) -> dict[str, dict[int, _Part]]:
    """Path → part number → key. Raises `UserError` at a key that is unknown or the second of its kind."""
    assigned: dict[str, dict[int, _Part]] = {}
    unknown = []
    for key in sorted(keys):
        name = _without_prefix(key, table.prefixes)
        found = next(((path, rule) for path, rule in _targets(name, table.rules) if path in shapes), None)
        if found is None:
            unknown += [] if name.startswith(table.ignored) else [key]
            continue
        path, rule = found
        earlier = assigned.setdefault(path, {}).setdefault(rule.part, part := _Part(key, rule))
        if earlier is not part:
            raise UserError(f"the file holds both {earlier.key} and {key}, which are the same weight: remove one of them.")
    if unknown:
        hint = "is it the network that config.json describes?"
        raise UserError(f"the file holds {_listed(unknown)}, which this network does not have: {hint}")
    return assigned


def _without_prefix(key: str, prefixes: tuple[str, ...]) -> str:
    return next((key.removeprefix(prefix) for prefix in prefixes if key.startswith(prefix)), key)


def _targets(name: str, rules: Iterable[Rule]) -> Iterator[tuple[str, Rule]]:
    """Where the rules that know a name put it."""
    for rule in rules:
        if match := re.fullmatch(_pattern(rule.source), name):
            yield rule.target.format(**match.groupdict()), rule


def _pattern(template: str) -> str:
    """A template as a regular expression with named groups."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template))


def _complete(path: str, assigned: Mapping[str, Mapping[int, _Part]], table: Table) -> bool:
    return set(assigned.get(path, {})) == {rule.part for rule, _ in _rules_to(path, table)}


def _rules_to(path: str, table: Table) -> list[tuple[Rule, Mapping[str, str]]]:
    """Rules that lead to a path, and the numbers in it. Raises `KeyError` for a path that the table forgot."""
    matches = ((rule, re.fullmatch(_pattern(rule.target), path)) for rule in table.rules)
    found = [(rule, match.groupdict()) for rule, match in matches if match]
    if not found:
        raise KeyError(f"no rule leads to {path}")
    return found


def _released_names(path: str, table: Table) -> list[str]:
    """What the parts of a path are called in released files; of several spellings the first."""
    names = {rule.part: rule.source.format(**numbers) for rule, numbers in reversed(_rules_to(path, table))}
    return [names[part] for part in sorted(names)]


def _transformed(
    path: str, parts: Mapping[int, _Part], weights: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """One array of the network. Raises `UserError` where it has not the shape that it should."""
    keys = [parts[number].key for number in sorted(parts)]
    arrays = [np.asarray(weights[key]) for key in keys]
    listed = " and ".join(f"{key} {array.shape}" for key, array in zip(keys, arrays, strict=True))
    wrong = UserError(f"{listed} cannot be read as {path} {shape}: is config.json that of this file?")
    try:
        result = parts[0].rule.transform(*(array.astype(np.float32) for array in arrays))
    except (ValueError, TypeError, IndexError):
        raise wrong from None
    if result.shape != shape:
        raise wrong
    return np.ascontiguousarray(result)


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
