"""In what people's faces differ: the mesh's local shape targets as axes that have a direction.

Two targets that undo one another (`nose-hump-incr`, `nose-hump-decr`) are the two directions of one axis, and the targets of
the two sides of a face (`l-eye-scale-incr`, `r-eye-scale-incr`) belong to one axis too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.heads.mesh import ASSETS, load_mesh

LIMITS = "limits.json"
"""File of the largest weights that leave the mesh whole, made by launch/assets/heads.py."""

OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
    ("l", "r"),
)
"""Ends of names of targets that undo one another, the positive direction first."""

SPREAD = {
    "asym": 0.005,
    "cheek": 0.018,
    "chin": 0.018,
    "ears": 0.016,
    "eyebrows": 0.013,
    "eyes": 0.009,
    "forehead": 0.025,
    "head": 0.035,
    "mouth": 0.012,
    "neck": 0.03,
    "nose": 0.013,
}
"""Standard deviation among people of the place that an axis moves most, in decimetres, by what it changes."""

STRONGEST = 0.6
"""Standard deviation of a weight at most."""

DEVIATIONS = 2.5
"""A weight stays within so many standard deviations."""

SIDES_DIFFER = 0.15
"""Standard deviation of a side's own weight, as a fraction of the axis's."""

UNUSED = (
    "macrodetails/",
    "head/head-angle",  # a pose
    "head/head-trans",
    "neck/neck-trans",
    "neck/measure-",
    "ears/l-ear-shape-pointed",  # an elf's
    "ears/r-ear-shape-pointed",
    "ears/l-ear-shape-triangle",
    "ears/r-ear-shape-triangle",
)
"""Beginnings of names of targets that are no local shape of a human face."""


@dataclass(frozen=True)
class Axis:
    """Targets of either direction for each side of the face, one side for what lies in the middle."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    """Empty for an axis of one direction."""

    @property
    def sides(self) -> int:
        """1 or 2."""
        return len(self.up)


def _place(target: str) -> tuple[str, bool]:
    """(Name of the target's axis, whether it is the positive direction)."""
    folder, name = target.split("/")
    name = name[2:] if name[:2] in ("l-", "r-") else name
    stem, _, end = name.rpartition("-")
    for pair in OPPOSITES:
        if end in pair:
            return f"{folder}/{stem}-{'-'.join(pair)}", end == pair[0]
    return f"{folder}/{name}", True


@functools.cache
def axes() -> tuple[Axis, ...]:
    """All axes, by name."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for target in sorted(load_mesh().targets):
        if not target.startswith(UNUSED):
            name, positive = _place(target)
            found.setdefault(name, ([], []))[0 if positive else 1].append(target)
    return tuple(Axis(name, tuple(up), tuple(down)) for name, (up, down) in sorted(found.items()))


@functools.cache
def limits() -> Mapping[str, tuple[float, float]]:
    """Largest weight of every axis down and up."""
    return {name: tuple(pair) for name, pair in json.loads((ASSETS / LIMITS).read_text()).items()}


def deviation(folder: str, targets: tuple[str, ...]) -> float:
    """Standard deviation of the weight of an axis in the direction of its `targets`."""
    if not targets:
        return 0.0
    reach = max(float(np.linalg.norm(load_mesh().targets[name].delta, axis=1).max()) for name in targets)
    return min(STRONGEST, SPREAD[folder] / reach)


def weights(axis: Axis, along: float, sides: tuple[float, ...], limit: tuple[float, float]) -> dict[str, float]:
    """Weights of the axis's targets for a place `along` it and a difference of every side, all in standard deviations."""
    out = {}
    for side, own in enumerate(sides):
        place = float(np.clip(along + SIDES_DIFFER * own, -DEVIATIONS, DEVIATIONS))
        targets = axis.up if place > 0.0 else axis.down
        if targets:
            weight = abs(place) * deviation(axis.name.split("/")[0], targets)
            out[targets[side]] = min(weight, limit[int(place > 0.0)])
    return out
