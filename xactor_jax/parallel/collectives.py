"""Collectives of a compiled program, read from its optimised HLO text: their kinds, numbers, sizes and communication volume.

Bytes that a device sends with ring algorithms, where S is the size of the whole array and n the number of devices in the group:
(1)  all-gather, reduce-scatter     S (n − 1) / n
(2)  all-reduce                   2 S (n − 1) / n
(3)  all-to-all                     S (n − 1) / n      S: size of the part on one device
(4)  collective-permute             S                  S: size of the part on one device
A collective inside a loop counts once for each iteration if the compiler knows their number; else once.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BITS = {"pred": 8, "s4": 4, "u4": 4, "bf16": 16, "token": 0}

_OPCODE = re.compile(rf"= (?P<type>.*?) (?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\(")
_HEADER = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) (?:\(.*\) -> .*)?\{$")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count\\?":\{\\?"n\\?":\\?"(\d+)')
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\]")
_OP_NAME = re.compile(r'op_name="([^"]*)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """One collective instruction."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of its results."""
    size: float
    """S of equations 1 to 4, in bytes."""
    group: int
    """n of equations 1 to 4, in devices."""
    times: int
    """How often it runs."""
    source: str
    """JAX's name of the operation that it belongs to."""

    @property
    def sent(self) -> float:
        """Bytes that a device sends, over all runs (equations 1 to 4)."""
        share = {"all-reduce": 2.0, "collective-permute": 1.0}.get(self.kind, 1.0)
        ring = 1.0 if self.kind == "collective-permute" else (self.group - 1) / self.group
        return self.times * share * ring * self.size


def collectives(text: str, devices: int) -> list[Collective]:
    """Collectives in the text of a module that is compiled for `devices` devices. Those within one device are omitted."""
    bodies, entry = _computations(text)
    found = [_collective(line, name, times, devices) for name, line, times in _executed(bodies, entry, 1, ())]
    return [one for one in found if one is not None and one.group > 1]


def totals(found: Iterable[Collective]) -> dict[str, dict[str, float]]:
    """Kind → count (number of runs), bytes (sum of S over the runs) and sent (bytes that a device sends)."""
    table: dict[str, dict[str, float]] = {}
    for one in found:
        row = table.setdefault(one.kind, {"count": 0.0, "bytes": 0.0, "sent": 0.0})
        row["count"] += one.times
        row["bytes"] += one.times * one.size
        row["sent"] += one.sent
    return table


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Name → lines of every computation, and the name of the entry computation."""
    bodies: dict[str, list[str]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = bodies.setdefault(header["name"], [])
            entry = header["name"] if header["entry"] else entry
        elif current is not None and " = " in line:
            current.append(line)
    return bodies, entry


def _executed(bodies: dict[str, list[str]], name: str, times: int, above: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """(computation, line, how often it runs) for every line, including those of called computations."""
    for line in bodies.get(name, ()) if name not in above else ():
        yield name, line, times
        trips = _TRIPS.search(line) if " while(" in line else None
        called = _CALLED.findall(line)
        for several in _BRANCHES.findall(line):
            called += [part.strip().lstrip("%") for part in several.split(",")]
        for one in called:
            yield from _executed(bodies, one, times * (int(trips[1]) if trips else 1), (*above, name))


def _collective(line: str, computation: str, times: int, devices: int) -> Collective | None:
    match = _OPCODE.search(line)
    if match is None:
        return None
    kind, arrays = match["kind"], _ARRAY.findall(match["type"])
    if match["start"] and kind in ("all-gather", "collective-permute"):
        arrays = arrays[len(arrays) // 2 :] if kind == "all-gather" else arrays[1:2]  # the results follow the inputs
    group, size = group_size(line, devices), sum(_bytes(*array) for array in arrays)
    if kind == "reduce-scatter":
        size *= group
    if kind == "all-reduce" and "all-reduce-scatter" in computation:
        kind = "reduce-scatter"  # TPUs implement it as a fused all-reduce and slice
    named = _OP_NAME.search(line)
    shapes = tuple(_dimensions(dimensions) for _, dimensions in arrays)
    return Collective(kind=kind, shapes=shapes, size=size, group=group, times=times, source=named[1] if named else "")


def _dimensions(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)


def _bytes(dtype: str, dimensions: str) -> float:
    bits = BITS.get(dtype) if dtype in BITS else int((re.match(r"[a-z]+(\d+)", dtype) or [0, 8])[1])
    return bits / 8 * math.prod(_dimensions(dimensions))


def group_size(line: str, devices: int) -> int:
    """n of an instruction, from its `replica_groups` in any of XLA's three notations; all devices if it has none."""
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return len(listed[1].split(","))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line):
        return int(iota[2])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'([^']+)'=(\d+)", named[1]))
        parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", named[2])
        return math.prod(int(part or sizes[name]) for name, part in parts)
    return 2 if "source_target_pairs=" in line else devices
