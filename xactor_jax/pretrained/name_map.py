"""Maps the names of a released network's weights to parameter paths here, and back, by a table of rules.

A rule maps released names such as `encoder.layers.{i}.final_layer_norm.weight` ({i}: any whole number) to a path such as
`block{i}/mlp_norm/scale`, and gives the transform of the array in both directions. Every key of a file is either used exactly
once, or a fixed table that the network computes itself, or listed as not needed. All other keys cause an error that names them,
and so do parameters that the file lacks.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from xactor_jax.errors import UserError
from xactor_jax.pretrained.transforms import Transform, linear_kernel, unchanged

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
TABLE_ERROR = 2e-3
"""Largest allowed difference of a fixed table in a file from ours. Files in half precision round it."""


class Rule(NamedTuple):
    """One line of a table. If several parts have the same target, `transform` combines them, ordered by `part`.

    Of rules with the same target and part, the first has the name that is exported. The others are alternative names.
    """

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


def batch_norm(source: str, target: str) -> tuple[Rule, ...]:
    """Scale, offset, running mean and running variance; the step count beside them is a `counter`."""
    statistics = Rule(f"{source}.running_mean", f"{target}/mean"), Rule(f"{source}.running_var", f"{target}/variance")
    return *norm(source, target), *statistics


class Constant(NamedTuple):
    """A released array that is not a parameter. It may be missing in files; exports contain it.

    `value` computes it from the shape of the parameter at the path `beside`, which has the same numbers as `source`. If not
    `exact`, any value in a file is accepted (such as a count of training steps).
    """

    source: str
    beside: str
    value: Callable[[Shape], np.ndarray]
    exact: bool = True


def counter(source: str, target: str) -> Constant:
    """The step count of a batch normalisation. Nothing depends on it."""
    return Constant(f"{source}.num_batches_tracked", f"{target}/scale", lambda shape: np.zeros((), np.int64), exact=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """All rules for the names of one kind of network."""

    rules: tuple[Rule, ...]
    prefixes: tuple[str, ...] = ()  # optional prefixes of all names
    ignored: tuple[str, ...] = ()  # beginnings (after the prefix) of names that are not needed
    constants: tuple[Constant, ...] = ()


FILE_MARK = ":"


def in_file(role: str, table: Table, below: str = "") -> Table:
    """A table for one of several files that are read together: names become `role:name`, targets `below/target`."""
    source = lambda name: f"{role}{FILE_MARK}{name}"
    target = lambda path: f"{below}/{path}" if below else path
    return Table(
        rules=tuple(rule._replace(source=source(rule.source), target=target(rule.target)) for rule in table.rules),
        prefixes=tuple(map(source, table.prefixes)),
        ignored=tuple(map(source, table.ignored)),
        constants=tuple(c._replace(source=source(c.source), beside=target(c.beside)) for c in table.constants),
    )


def joined(*tables: Table) -> Table:
    """One table with the rules of several."""
    return Table(**{f.name: sum((getattr(t, f.name) for t in tables), ()) for f in dataclasses.fields(Table)})


class _Part(NamedTuple):
    """A key of the file and the rule that it follows."""

    key: str
    rule: Rule


class _Constant(NamedTuple):
    """A key of the file, and the expected value."""

    key: str
    value: np.ndarray
    exact: bool


class _Reading(NamedTuple):
    """Meaning of the keys of a file: path → part number → key, and the fixed tables."""

    parts: dict[str, dict[int, _Part]]
    constants: list[_Constant]


def convert(weights: Mapping[str, np.ndarray], table: Table, shapes: Shapes) -> dict[str, Any]:
    """Nested dicts of float32 arrays with exactly the paths and shapes of `shapes`.

    Raises:
        UserError: a key is unknown, duplicated or missing, an array has a wrong shape, or a fixed table has other values.
    """
    reading = _read(weights, table, shapes)
    for constant in reading.constants:
        _check_constant(constant, np.asarray(weights[constant.key]))
    flat = {path: _transformed(path, parts, weights, shapes[path]) for path, parts in reading.parts.items()}
    return unflatten_dict({path: np.asarray(array, order="C") for path, array in flat.items()}, sep="/")


def exported(tree: Mapping[str, Any], table: Table) -> dict[str, np.ndarray]:
    """The inverse of `convert`, exactly: nested parameters → released names and arrays, including the fixed tables.

    Raises:
        KeyError: no rule leads to a parameter.
    """
    flat = flatten_dict(dict(tree), sep="/")
    return {name: np.asarray(value, order="C") for name, value in _exported(flat, table).items()}


def _exported(flat: Mapping[str, np.ndarray], table: Table) -> dict[str, np.ndarray]:
    """Released name → array, as a view where possible."""
    result: dict[str, np.ndarray] = {}
    for path, array in flat.items():
        names = _released_names(path, table)
        rule, _ = _rules_to(path, table)[0]
        result |= zip(names, rule.transform.backward(np.asarray(array)), strict=True)
        for constant in table.constants:
            if match := _pattern(constant.beside).fullmatch(path):
                result[constant.source.format(**match.groupdict())] = constant.value(array.shape)
    return result


def _check_constant(constant: _Constant, found: np.ndarray) -> None:
    """Raises `UserError` if a fixed table in a file differs from the one that the network computes."""
    if found.shape != constant.value.shape:
        raise UserError(f"{constant.key} {found.shape} should be {constant.value.shape}: is it a file of this network?")
    if constant.exact and not np.allclose(found.astype(np.float32), constant.value, rtol=0, atol=TABLE_ERROR):
        raise UserError(f"{constant.key} is not the fixed table that this network computes: is it a file of this network?")


def _read(keys: Iterable[str], table: Table, shapes: Shapes) -> _Reading:
    """Meaning of each key. Raises `UserError` if a key is unknown, duplicated or missing."""
    reading = _assign(keys, table, shapes)
    if missing := [path for path in shapes if not _complete(path, reading.parts, table)]:
        names = [name for path in missing for name in _released_names(path, table)]
        raise UserError(f"the file lacks {_listed(names)}: is it a whole checkpoint of the network that its config describes?")
    return reading


def _assign(keys: Iterable[str], table: Table, shapes: Shapes) -> _Reading:
    """Meaning of each key. Raises `UserError` if a key is unknown or duplicated."""
    reading, unknown = _Reading({}, []), []
    for key in sorted(keys):
        name = _without_prefix(key, table.prefixes)
        found = next(((path, rule) for path, rule in _targets(name, table.rules) if path in shapes), None)
        if found is None:
            constant = _constant(key, name, table, shapes)
            reading.constants.extend([constant] if constant else [])
            unknown += [] if constant or name.startswith(table.ignored) else [key]
            continue
        path, rule = found
        earlier = reading.parts.setdefault(path, {}).setdefault(rule.part, part := _Part(key, rule))
        if earlier is not part:
            raise UserError(f"the file holds both {earlier.key} and {key}, which are the same weight: remove one of them.")
    if unknown:
        hint = "is it the network that its config describes?"
        raise UserError(f"the file holds {_listed(unknown)}, which this network does not have: {hint}")
    return reading


def _constant(key: str, name: str, table: Table, shapes: Shapes) -> _Constant | None:
    """The fixed table with this name; None if the network has none."""
    for constant in table.constants:
        if match := _pattern(constant.source).fullmatch(name):
            path = constant.beside.format(**match.groupdict())
            if path in shapes:
                return _Constant(key, constant.value(shapes[path]), constant.exact)
    return None


def _without_prefix(key: str, prefixes: tuple[str, ...]) -> str:
    """The key without its prefix. Of `role:prefix`, for one of several files, `role:` stays."""
    for prefix in prefixes:
        if key.startswith(prefix):
            role, mark, _ = prefix.rpartition(FILE_MARK)
            return role + mark + key.removeprefix(prefix)
    return key


def _targets(name: str, rules: Iterable[Rule]) -> Iterator[tuple[str, Rule]]:
    """Target paths of the rules that match a name."""
    for rule in rules:
        if match := _pattern(rule.source).fullmatch(name):
            yield rule.target.format(**match.groupdict()), rule


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression with named groups."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template)))


def _complete(path: str, assigned: Mapping[str, Mapping[int, _Part]], table: Table) -> bool:
    return set(assigned.get(path, {})) == {rule.part for rule, _ in _rules_to(path, table)}


def _rules_to(path: str, table: Table) -> list[tuple[Rule, Mapping[str, str]]]:
    """Rules that lead to a path, and the numbers in it. Raises `KeyError` if there is none."""
    matches = ((rule, _pattern(rule.target).fullmatch(path)) for rule in table.rules)
    found = [(rule, match.groupdict()) for rule, match in matches if match]
    if not found:
        raise KeyError(f"no rule leads to {path}")
    return found


def _released_names(path: str, table: Table) -> list[str]:
    """Released names of the parts of a path; the first one where there are alternatives."""
    names = {rule.part: rule.source.format(**numbers) for rule, numbers in reversed(_rules_to(path, table))}
    return [names[part] for part in sorted(names)]


def _transformed(path: str, parts: Mapping[int, _Part], weights: Mapping[str, np.ndarray], shape: Shape) -> np.ndarray:
    """One parameter of the network. Raises `UserError` if its shape is wrong."""
    keys = [parts[number].key for number in sorted(parts)]
    arrays = [np.asarray(weights[key]) for key in keys]
    listed = " and ".join(f"{key} {array.shape}" for key, array in zip(keys, arrays, strict=True))
    wrong = UserError(f"{listed} cannot be read as {path} {shape}: is its config that of this file?")
    try:
        result = parts[0].rule.transform.forward(*(array.astype(np.float32, copy=False) for array in arrays))
    except (ValueError, TypeError, IndexError):
        raise wrong from None
    if result.shape != shape:
        raise wrong
    return result


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
