"""A person's head at rest, and the head with an expression.

    (1) rest = mesh + Σ macro weights × macro targets + Σ local weights × local targets

mended (data/heads/mending.py), the local weights small enough that the skin stays whole, whatever the expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from data.heads import axes, expression, soundness
from data.heads.mending import mend, size
from data.heads.mesh import load_mesh

RACES = ("caucasian", "african", "asian")

CONCENTRATION = 0.3
"""Of the Dirichlet distribution of races: most people are nearly of one, some are mixed."""

SEX = 0.25
"""Parameter of the beta distribution of sexes: most people are near one end."""

YOUNGEST, OLDEST = 18.0, 80.0
"""Years."""

FULLY_YOUNG, FULLY_OLD = 25.0, 90.0
"""Years at which MakeHuman's young and old targets have weight 1."""

BUILD = 0.2
"""Standard deviation of weight and muscle, whose average is .5 and whose range is 0..1."""

SOUND = 0.1
"""Least cosine between a triangle's normal and its normal without local targets, c of data/heads/soundness.py."""

WEAKER, WEAKENINGS = 0.8, 24
"""Axes that break the skin are weakened by this factor, so many times at most."""

LEVELS = ("min", "average", "max")


@dataclass(frozen=True)
class Shape:
    """One person's head."""

    vertices: Float32[np.ndarray, "v 3"]
    """At rest, lips closed and eyes open; the point between the eyes is the mesh's own."""
    race: tuple[float, float, float]
    """Weights of RACES, of sum 1."""
    male: float
    """0 for a woman to 1 for a man."""
    age: float
    """0 at YOUNGEST to 1 at OLDEST."""
    weight: float
    """0 for the thinnest to 1 for the heaviest."""
    muscle: float
    size: float
    """Of the face, relative to the mesh's own."""

    @property
    def years(self) -> float:
        """Age in years."""
        return YOUNGEST + self.age * (OLDEST - YOUNGEST)


def _levels(value: float) -> tuple[float, float, float]:
    """Weights of minimum, average and maximum."""
    return max(0.0, 1.0 - 2.0 * value), 1.0 - abs(2.0 * value - 1.0), max(0.0, 2.0 * value - 1.0)


def macro_weights(race: tuple[float, ...], male: float, years: float, muscle: float, weight: float) -> dict[str, float]:
    """Weights of the targets that make a person of a race, sex, age and build."""
    old = float(np.clip((years - FULLY_YOUNG) / (FULLY_OLD - FULLY_YOUNG), 0.0, 1.0))
    out = {}
    for sex, of_sex in (("male", male), ("female", 1.0 - male)):
        for age, of_age in (("young", 1.0 - old), ("old", old)):
            for name, of_race in zip(RACES, race, strict=True):
                out[f"macrodetails/{name}-{sex}-{age}"] = of_race * of_sex * of_age
            for m, of_m in zip(LEVELS, _levels(muscle), strict=True):
                for w, of_w in zip(LEVELS, _levels(weight), strict=True):
                    out[f"macrodetails/universal-{sex}-{age}-{m}muscle-{w}weight"] = of_sex * of_age * of_m * of_w
    return out


def local_weights(rng: np.random.Generator, male: float, age: float) -> list[dict[str, float]]:
    """Random weights of local shape targets, axis by axis, within the limits of the axes."""
    out = []
    for axis in axes.axes():
        along = axes.tendency(axis, male, age) + rng.normal()
        sides = tuple(rng.normal(size=axis.sides).tolist())
        out.append(axes.weights(axis, along, sides, axes.limits()[axis.name]))
    return out


def blend(weights: dict[str, float], start: Float32[np.ndarray, "v 3"] | None = None) -> Float32[np.ndarray, "v 3"]:
    """`start`, or else the mesh, with targets added; targets that move nothing are not in the mesh."""
    mesh = load_mesh()
    out = (mesh.vertices if start is None else start).copy()
    for name, weight in weights.items():
        if weight and name in mesh.targets:
            target = mesh.targets[name]
            out[target.index] += np.float32(weight) * target.delta
    return out


def broken(vertices: Float32[np.ndarray, "v 3"], whole: Float32[np.ndarray, "v 3"]) -> Int[np.ndarray, "k"]:
    """Triangles turned over that are not on a head that is `whole`: at rest, or else with an extreme expression."""
    bad = soundness.turned_over(vertices, whole, SOUND)
    for units in soundness.extremes():
        if len(bad):
            break
        faces = [expression.apply(rest, size(rest), units) for rest in (vertices, whole)]
        bad = soundness.turned_over(*faces, SOUND)
    return bad


def fit(macro: dict[str, float], local: list[dict[str, float]]) -> Float32[np.ndarray, "v 3"]:
    """The mended blend, after axes were weakened that together turn a triangle over: those that move it, step by step."""
    plain, force = blend(macro), np.ones(len(local))
    whole = mend(plain)
    for _ in range(WEAKENINGS):
        parts = zip(local, force, strict=True)
        vertices = mend(blend({name: weight * by for part, by in parts for name, weight in part.items()}, plain))
        bad = broken(vertices, whole)
        if not len(bad):
            return vertices
        force *= [WEAKER if any(soundness.touches(name, bad) for name in part) else 1.0 for part in local]
    return whole


def draw_kind(rng: np.random.Generator) -> tuple[tuple[float, ...], float, float]:
    """Race, sex and age of a random person, as `Shape` has them; the first numbers that are drawn of one."""
    race = tuple(rng.dirichlet([CONCENTRATION] * len(RACES)).tolist())
    return race, float(rng.beta(SEX, SEX)), float(rng.beta(1.0, 1.4))


def make_shape(rng: np.random.Generator) -> Shape:
    """A random person's head."""
    race, male, age = draw_kind(rng)
    weight, muscle = np.clip(rng.normal(0.5, BUILD, 2), 0.0, 1.0).tolist()
    years = YOUNGEST + age * (OLDEST - YOUNGEST)
    vertices = fit(macro_weights(race, male, years, muscle, weight), local_weights(rng, male, age))
    return Shape(vertices, race, male, age, weight, muscle, size(vertices))


def express(shape: Shape, units: Float[np.ndarray, "52"]) -> Float32[np.ndarray, "v 3"]:
    """The person's vertices with the expression of `units` (columns `xactor_jax.labels.UNITS`, 0 at rest to 1)."""
    return expression.apply(shape.vertices, shape.size, units)
