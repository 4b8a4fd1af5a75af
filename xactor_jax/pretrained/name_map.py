"""From the names that a released network's weights have to the paths that they have here, and back: a table, used up wholly.

A rule says of released names such as `encoder.layers.{i}.final_layer_norm.weight` ({i}: any whole number) where they go, here
`block{i}/mlp_norm/scale`, and what is done to the array on the way there and on the way back. Every key of a file is used
exactly once, is a fixed table that the network computes for itself, is listed as not needed, or is named in an error; so is
everything that the network needs and the file lacks.
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
"""How far a fixed table in a file may be from ours: files in half precision round it."""


class Rule(NamedTuple):
    """One line of a table. Rules with the same target give the parts that `transform` makes one array of, in their order.

    Of rules with the same target and part, the first has the name that is exported; the others are other spellings of it.
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
    """Scale, offset, running mean and running variance; `counter` is for the count of steps beside them."""
    statistics = Rule(f"{source}.running_mean", f"{target}/mean"), Rule(f"{source}.running_var", f"{target}/variance")
    return *norm(source, target), *statistics


class Constant(NamedTuple):
    """A released name that no parameter belongs to. Files may lack it; an export has it.

    `value` gives it from the shape of the parameter `beside`, whose name has the same numbers as `source`. Unless it is
    `exact`, whatever a file holds there is as good (a count of training steps).
    """

    source: str
    beside: str
    value: Callable[[Shape], np.ndarray]
    exact: bool = True


def counter(source: str, target: str) -> Constant:
    """The count of steps of a batch normalisation, of which nothing depends."""
    return Constant(f"{source}.num_batches_tracked", f"{target}/scale", lambda shape: np.zeros((), np.int64), exact=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """How the names of one kind of network are read."""

    rules: tuple[Rule, ...]
    prefixes: tuple[str, ...] = ()  # each may stand before every name
    ignored: tuple[str, ...] = ()  # beginnings of names, without prefix, that are not needed
    constants: tuple[Constant, ...] = ()


FILE_MARK = ":"


def in_file(role: str, table: Table, below: str = "") -> Table:
    """The table of one of several files that are read together: names become `role:name`, targets `below/target`."""
    source = lambda name: f"{role}{FILE_MARK}{name}"
    target = lambda path: f"{below}/{path}" if below else path
    return Table(
        rules=tuple(rule._replace(source=source(rule.source), target=target(rule.target)) for rule in table.rules),
        prefixes=tuple(map(source, table.prefixes)),
        ignored=tuple(map(source, table.ignored)),
        constants=tuple(c._replace(source=source(c.source), beside=target(c.beside)) for c in table.constants),
    )


def joined(*tables: Table) -> Table:
    """All rules of several tables."""
    return Table(**{f.name: sum((getattr(t, f.name) for t in tables), ()) for f in dataclasses.fields(Table)})


class _Part(NamedTuple):
    """A key of the file and the rule that it follows."""

    key: str
    rule: Rule


class _Constant(NamedTuple):
    """A key of the file and what is to be there."""

    key: str
    value: np.ndarray
    exact: bool


class _Reading(NamedTuple):
    """What each key of a file is: path → part number → key, and the fixed tables."""

    parts: dict[str, dict[int, _Part]]
    constants: list[_Constant]


def convert(weights: Mapping[str, np.ndarray], table: Table, shapes: Shapes) -> dict[str, Any]:
    """Nested dicts of float32 arrays with exactly the paths and shapes of `shapes`.

    Raises:
        UserError: a key is unknown or is there twice, one is missing, an array has another shape, a fixed table other numbers.
    """
    reading = _read(weights, table, shapes)
    for constant in reading.constants:
        _check_constant(constant, np.asarray(weights[constant.key]))
    flat = {path: _transformed(path, parts, weights, shapes[path]) for path, parts in reading.parts.items()}
    return unflatten_dict({path: np.asarray(array, order="C") for path, array in flat.items()}, sep="/")


def exported(tree: Mapping[str, Any], table: Table) -> dict[str, np.ndarray]:
    """The way back: nested parameters → arrays under their released names, fixed tables among them. Exact.

    Raises:
        KeyError: no rule leads to a parameter.
    """
    flat = flatten_dict(dict(tree), sep="/")
    return {name: np.asarray(value, order="C") for name, value in _exported(flat, table).items()}


def _exported(flat: Mapping[str, np.ndarray], table: Table) -> dict[str, np.ndarray]:
    """Released name → array, views where that is possible."""
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
    """Raises `UserError` where a file holds another table than the network computes."""
    if found.shape != constant.value.shape:
        raise UserError(f"{constant.key} {found.shape} should be {constant.value.shape}: is it a file of this network?")
    if constant.exact and not np.allclose(found.astype(np.float32), constant.value, rtol=0, atol=TABLE_ERROR):
        raise UserError(f"{constant.key} is not the fixed table that this network computes: is it a file of this network?")


def _read(keys: Iterable[str], table: Table, shapes: Shapes) -> _Reading:
    """What each key is. Raises `UserError` where one is unknown, the second of its kind, or missing."""
    reading = _assign(keys, table, shapes)
    if missing := [path for path in shapes if not _complete(path, reading.parts, table)]:
        names = [name for path in missing for name in _released_names(path, table)]
        raise UserError(f"the file lacks {_listed(names)}: is it a whole checkpoint of the network that its config describes?")
    return reading


def _assign(keys: Iterable[str], table: Table, shapes: Shapes) -> _Reading:
    """What each key is. Raises `UserError` at a key that is unknown or the second of its kind."""
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
    """The fixed table that a name stands for, if it does and the network has it."""
    for constant in table.constants:
        if match := _pattern(constant.source).fullmatch(name):
            path = constant.beside.format(**match.groupdict())
            if path in shapes:
                return _Constant(key, constant.value(shapes[path]), constant.exact)
    return None


def _without_prefix(key: str, prefixes: tuple[str, ...]) -> str:
    """A prefix of one file of several, `role:prefix`, leaves `role:`."""
    for prefix in prefixes:
        if key.startswith(prefix):
            role, mark, _ = prefix.rpartition(FILE_MARK)
            return role + mark + key.removeprefix(prefix)
    return key


def _targets(name: str, rules: Iterable[Rule]) -> Iterator[tuple[str, Rule]]:
    """Where the rules that know a name put it."""
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
    """Rules that lead to a path, and the numbers in it. Raises `KeyError` for a path that the table forgot."""
    matches = ((rule, _pattern(rule.target).fullmatch(path)) for rule in table.rules)
    found = [(rule, match.groupdict()) for rule, match in matches if match]
    if not found:
        raise KeyError(f"no rule leads to {path}")
    return found


def _released_names(path: str, table: Table) -> list[str]:
    """What the parts of a path are called in released files; of several spellings the first."""
    names = {rule.part: rule.source.format(**numbers) for rule, numbers in reversed(_rules_to(path, table))}
    return [names[part] for part in sorted(names)]


def _transformed(path: str, parts: Mapping[int, _Part], weights: Mapping[str, np.ndarray], shape: Shape) -> np.ndarray:
    """One array of the network. Raises `UserError` where it has not the shape that it should."""
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
