"""Axes along which people's faces differ, made from the mesh's local shape targets.

Two targets that undo each other (`nose-hump-incr`, `nose-hump-decr`) are the two directions of one axis. The targets of the
two sides of a face (`l-eye-scale-incr`, `r-eye-scale-incr`) belong to one axis, too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.heads.mesh import ASSETS, load_mesh

LIMITS = "limits.json"
"""File of the largest weights that do not break the mesh, made by launch/assets/heads.py."""

OPPOSITES = (
    ("incr", "decr"),
    ("up", "down"),
    ("out", "in"),
    ("forward", "backward"),
    ("convex", "concave"),
    ("uncompress", "compress"),
    ("l", "r"),
)
"""Endings of the names of two targets that undo each other; the positive direction comes first."""

SPREAD = {
    "asym": 0.005,
    "cheek": 0.018,
    "chin": 0.018,
    "ears": 0.016,
    "eyebrows": 0.013,
    "eyes": 0.009,
    "forehead": 0.025,
    "head": 0.028,
    "mouth": 0.012,
    "neck": 0.03,
    "nose": 0.013,
}
"""Standard deviation among people, in decimetres, of the place that an axis moves most; by the part of the face."""

STRONGEST = 0.6
"""Largest standard deviation of a weight."""

STD_LIMIT = 2.5
"""A weight is clipped at this many standard deviations."""

SIDES_DIFFER = 0.15
"""Standard deviation of the difference of one side, as a fraction of the axis's standard deviation."""

TENDENCIES = {
    "cheek/cheek-bones-incr-decr": (-0.3, -0.3),
    "cheek/cheek-volume-incr-decr": (-0.3, -0.5),
    "chin/chin-height-incr-decr": (0.4, 0.0),
    "chin/chin-prominent-incr-decr": (0.5, 0.0),
    "chin/chin-triangle": (-0.5, 0.0),
    "chin/chin-width-incr-decr": (0.7, 0.0),
    "ears/ear-lobe-incr-decr": (0.2, 0.8),
    "ears/ear-scale-incr-decr": (0.5, 0.5),
    "eyebrows/eyebrows-trans-forward-backward": (0.8, 0.0),
    "eyebrows/eyebrows-trans-up-down": (-0.7, -0.2),
    "eyes/eye-bag-incr-decr": (0.0, 1.0),
    "eyes/eye-corner2-up-down": (-0.4, -0.4),
    "eyes/eye-eyefold-up-down": (-0.2, -0.8),
    "eyes/eye-scale-incr-decr": (-0.7, -0.3),
    "head/head-age-incr-decr": (0.0, 0.8),
    "head/head-oval": (-0.6, 0.0),
    "head/head-rectangular": (0.4, 0.0),
    "head/head-square": (0.6, 0.0),
    "mouth/mouth-laugh-lines-out-in": (0.0, 0.8),
    "mouth/mouth-lowerlip-height-incr-decr": (-0.5, -0.6),
    "mouth/mouth-scale-horiz-incr-decr": (0.3, 0.0),
    "mouth/mouth-upperlip-height-incr-decr": (-0.5, -0.6),
    "neck/neck-scale-horiz-incr-decr": (0.8, 0.0),
    "nose/nose-hump-incr-decr": (0.4, 0.2),
    "nose/nose-point-up-down": (-0.3, -0.4),
    "nose/nose-scale-horiz-incr-decr": (0.4, 0.2),
    "nose/nose-volume-incr-decr": (0.5, 0.3),
}
"""Axis → mean shift in standard deviations (of men, women the opposite; of the oldest, the youngest the opposite)."""

EVERYONE = {
    "eyebrows/eyebrows-trans-up-down": -2.0,  # else face trackers read the brows as raised
    "mouth/mouth-angles-up-down": 1.0,  # the corners of MakeHuman's mouths point down
    "mouth/mouth-scale-horiz-incr-decr": 1.2,  # else face trackers read narrow mouths as puckered
}
"""Axis → mean shift of everybody, in standard deviations."""

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
"""Prefixes of the names of targets that are no local shape of a human face."""


@dataclass(frozen=True)
class Axis:
    """Targets of both directions of an axis, for each side of the face; one side for targets in the middle."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    """Empty where only a negative weight of `up` undoes it."""

    @property
    def sides(self) -> int:
        """Number of sides, 1 or 2."""
        return len(self.up)

    def along(self, place: float, side: int) -> tuple[str, float]:
        """(Target, its weight) of a side for a position along the axis; the weight is 1 at positions -1 and 1."""
        if place < 0.0 and self.down:
            return self.down[side], -place
        return self.up[side], place


def _place(target: str) -> tuple[str, bool]:
    """(Name of the axis of a target, whether the target is its positive direction)."""
    folder, name = target.split("/")
    name = name[2:] if name[:2] in ("l-", "r-") else name
    stem, _, end = name.rpartition("-")
    for pair in OPPOSITES:
        if end in pair:
            return f"{folder}/{stem}-{'-'.join(pair)}", end == pair[0]
    return f"{folder}/{name}", True


@functools.cache
def axes() -> tuple[Axis, ...]:
    """All axes, sorted by name."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for target in sorted(load_mesh().targets):
        if not target.startswith(UNUSED):
            name, positive = _place(target)
            found.setdefault(name, ([], []))[0 if positive else 1].append(target)
    return tuple(Axis(name, tuple(up), tuple(down)) for name, (up, down) in sorted(found.items()))


@functools.cache
def limits() -> Mapping[str, tuple[float, float]]:
    """Largest weight of every axis, (down, up)."""
    return {name: tuple(pair) for name, pair in json.loads((ASSETS / LIMITS).read_text()).items()}


@functools.cache
def weight_std(target: str) -> float:
    """Standard deviation among people of the weight of a target."""
    reach = float(np.linalg.norm(load_mesh().targets[target].delta, axis=1).max())
    return min(STRONGEST, SPREAD[target.split("/")[0]] / reach)


def tendency(axis: Axis, male: float, age: float) -> float:
    """Mean position along an axis of people of a sex and an age, each 0..1, in standard deviations."""
    by_sex, by_age = TENDENCIES.get(axis.name, (0.0, 0.0))
    return EVERYONE.get(axis.name, 0.0) + by_sex * (2.0 * male - 1.0) + by_age * (2.0 * age - 1.0)


def weights(axis: Axis, along: float, sides: tuple[float, ...], limit: tuple[float, float]) -> dict[str, float]:
    """Weights of the axis's targets, for a position `along` it and a difference of each side, all in standard deviations."""
    out = {}
    for side, own in enumerate(sides):
        place = float(np.clip(along + SIDES_DIFFER * own, -STD_LIMIT, STD_LIMIT))
        target, _ = axis.along(place, side)
        out |= dict([axis.along(float(np.clip(place * weight_std(target), -limit[0], limit[1])), side)])
    return out
