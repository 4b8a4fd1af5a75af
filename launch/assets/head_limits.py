"""Measures how far every axis of people's faces may go, and writes data/assets/heads/limits.json.

python launch/assets/head_limits.py

An axis's limit is the largest weight that, with all others 0, turns no triangle of the face over: on women and men of every
race, young and old, at rest and with faces at their most extreme. Run it after launch/assets/heads.py; the same mesh gives the
same limits.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from data.heads import axes, expression, mending, shape, soundness

WEIGHTS = np.arange(1.0, 0.0, -0.1).round(1).tolist()

YEARS = (25.0, 70.0)


def people() -> list[dict[str, float]]:
    """Macro weights of those on whom limits are measured."""
    of = itertools.product(np.eye(len(shape.RACES)).tolist(), (0.0, 1.0), YEARS)
    return [shape.macro_weights(tuple(race), male, years, 0.5, 0.5) for race, male, years in of]


def faces(weights: dict[str, float]) -> list[np.ndarray]:
    """The vertices of somebody at rest and with every extreme expression."""
    rest = mending.mend(shape.blend(weights))
    return [rest, *(expression.apply(rest, mending.size(rest), units) for units in soundness.extremes())]


def whole(weights: dict[str, float], references: list[list[np.ndarray]]) -> bool:
    """Whether nobody's face breaks by local weights."""
    for macro, before in zip(people(), references, strict=True):
        after = faces(macro | weights)
        if any(len(soundness.turned_over(a, b)) for a, b in zip(after, before, strict=True)):
            return False
    return True


def limit(axis: axes.Axis, direction: float, references: list[list[np.ndarray]]) -> float:
    """The largest of WEIGHTS in a direction, -1 or 1, of an axis, 0 for none."""
    for weight in WEIGHTS:
        if whole(dict(axis.along(direction * weight, side) for side in range(axis.sides)), references):
            return weight
    return 0.0


def main() -> None:
    """Runs the command line."""
    references = [faces(macro) for macro in people()]
    out = {}
    for axis in axes.axes():
        out[axis.name] = [limit(axis, direction, references) for direction in (-1.0, 1.0)]
        print(axis.name, *out[axis.name], flush=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(pair)}" for name, pair in out.items())
    (axes.ASSETS / axes.LIMITS).write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
