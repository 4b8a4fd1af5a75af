"""A person's head at rest, and with an expression.

    (1) rest = mesh + Σ macro weights × macro targets + Σ local weights × local targets

The blend is repaired (data/heads/mending.py). Local weights are reduced until the skin does not break in any expression.
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
"""Parameter of the Dirichlet distribution of races: most people are nearly of one, some are mixed."""

SEX = 0.25
"""Parameter of the beta distribution of sex: most people are near one end."""

YOUNGEST, OLDEST = 18.0, 80.0
"""Range of ages in years."""

FULLY_YOUNG, FULLY_OLD = 25.0, 90.0
"""Ages in years at which MakeHuman's young and old targets have weight 1."""

BUILD = 0.2
"""Standard deviation of weight and muscle. Their mean is .5 and their range 0..1."""

SOUND = 0.1
"""Smallest cosine between a triangle's normal and its normal without local targets: c of data/heads/soundness.py."""

WEAKER, WEAKENINGS = 0.8, 24
"""Factor that weakens axes that break the skin, and the largest number of times it is applied."""

LEVELS = ("min", "average", "max")


@dataclass(frozen=True)
class Shape:
    """One person's head."""

    vertices: Float32[np.ndarray, "v 3"]
    """At rest, with closed lips and open eyes; the point between the eyes is the mesh's."""
    race: tuple[float, float, float]
    """Weights of RACES; their sum is 1."""
    male: float
    """0 for a woman to 1 for a man."""
    age: float
    """0 at YOUNGEST to 1 at OLDEST."""
    weight: float
    """0 for the thinnest to 1 for the heaviest."""
    muscle: float
    size: float
    """Of the face, relative to the mesh."""

    @property
    def years(self) -> float:
        """Age in years."""
        return YOUNGEST + self.age * (OLDEST - YOUNGEST)


def _levels(value: float) -> tuple[float, float, float]:
    """Weights of the minimum, average and maximum target."""
    return max(0.0, 1.0 - 2.0 * value), 1.0 - abs(2.0 * value - 1.0), max(0.0, 2.0 * value - 1.0)


def macro_weights(race: tuple[float, ...], male: float, years: float, muscle: float, weight: float) -> dict[str, float]:
    """Weights of the macro targets for a person of a race, sex, age and build."""
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
    """Random weights of local shape targets for each axis, within the limits of the axes."""
    out = []
    for axis in axes.axes():
        along = axes.tendency(axis, male, age) + rng.normal()
        sides = tuple(rng.normal(size=axis.sides).tolist())
        out.append(axes.weights(axis, along, sides, axes.limits()[axis.name]))
    return out


def blend(weights: dict[str, float], start: Float32[np.ndarray, "v 3"] | None = None) -> Float32[np.ndarray, "v 3"]:
    """`start` (default: the mesh) with targets added. Targets without an effect are not in the mesh and are ignored."""
    mesh = load_mesh()
    out = (mesh.vertices if start is None else start).copy()
    for name, weight in weights.items():
        if weight and name in mesh.targets:
            target = mesh.targets[name]
            out[target.index] += np.float32(weight) * target.delta
    return out


def broken(vertices: Float32[np.ndarray, "v 3"], whole: Float32[np.ndarray, "v 3"]) -> Int[np.ndarray, "k"]:
    """Triangles that are flipped compared to an intact head `whole`, at rest or in an extreme expression."""
    bad = soundness.turned_over(vertices, whole, SOUND)
    for units in soundness.extremes():
        if len(bad):
            break
        faces = [expression.apply(rest, size(rest), units) for rest in (vertices, whole)]
        bad = soundness.turned_over(*faces, SOUND)
    return bad


def fit(macro: dict[str, float], local: list[dict[str, float]]) -> Float32[np.ndarray, "v 3"]:
    """The repaired blend. As long as a triangle is flipped, the axes that move it are weakened step by step."""
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
    """Race, sex and age of a random person, as in `Shape`. They are the first random numbers drawn for a person."""
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
    """The person's vertices with the expression `units` (columns `xactor_jax.labels.UNITS`, 0 at rest to 1)."""
    return expression.apply(shape.vertices, shape.size, units)
