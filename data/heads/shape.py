"""A person's head at rest, and the head with an expression.

    (1) rest = mesh + Σ macro weights × macro targets + Σ local weights × local targets
    (2) face = rest + s Σ unit weights × units, s the size of the person's face

Both are mended where people differ: eyes stay balls that lids lie on, teeth stand behind the lips, lids and lips meet
(data/heads/slits.py).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from data.heads import axes, slits, soundness
from data.heads.mesh import PARTS, load_mesh
from xactor_jax.labels import UNITS

RACES = ("caucasian", "african", "asian")

EYES = ("eye_left", "eye_right")

BLINKS = [UNITS.index("eyeBlinkLeft"), UNITS.index("eyeBlinkRight")]

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

SOUND = 0.15
"""Least cosine between a triangle's normal and its normal without local targets."""

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


def local_weights(rng: np.random.Generator) -> list[dict[str, float]]:
    """Random weights of local shape targets, axis by axis, within the limits of the axes."""
    out = []
    for axis in axes.axes():
        along, sides = rng.normal(), tuple(rng.normal(size=axis.sides).tolist())
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


@functools.cache
def _vertices_of(*parts: str) -> np.ndarray:
    mesh = load_mesh()
    return np.unique(mesh.faces[np.isin(mesh.part, [PARTS.index(part) for part in parts])])


def _place_eye(vertices: np.ndarray, name: str) -> np.ndarray:
    """The eye as a ball again, as large as its opening wants it, and lids lying on it as the mesh's own lie on its ball."""
    mesh, gap, own = load_mesh(), slits.slit(name), _vertices_of(name)
    (centre, _), (there, _) = slits.ball(mesh.vertices, name), slits.ball(vertices, name)
    edge, base = vertices[gap.rings[slits.EDGE]], mesh.vertices[gap.rings[slits.EDGE]]
    scale = np.sqrt(np.ptp(edge[:, 0]) / np.ptp(base[:, 0]))
    want = np.linalg.norm(base - centre, axis=1) * scale
    for _ in range(4):  # Gauss-Newton steps: the middle from which lids are as far as they should be
        away = edge - there
        length = np.linalg.norm(away, axis=1)
        there = there - np.linalg.lstsq(away / length[:, None], want - length, rcond=None)[0]
    out = vertices.copy()
    out[own] = there + (mesh.vertices[own] - centre) * scale
    away = edge - there
    return slits.shift(out, gap, away * (want / np.linalg.norm(away, axis=1) - 1.0)[:, None])


def _grow_lashes(vertices: np.ndarray, name: str) -> np.ndarray:
    """Lashes as on the mesh, where the person's lids are."""
    mesh, gap = load_mesh(), slits.slit(name)
    roots = gap.rings[slits.EDGE][gap.place]
    out = vertices.copy()
    out[gap.lashes] = mesh.vertices[gap.lashes] + vertices[roots] - mesh.vertices[roots]
    return out


def _place_teeth(vertices: np.ndarray) -> np.ndarray:
    """Teeth and tongue where the inside of the lips is, as wide as the mouth."""
    mesh, own = load_mesh(), _vertices_of("teeth_upper", "teeth_lower", "tongue")
    ring = mesh.rings["mouth"][0]
    here, there = mesh.vertices[ring], vertices[ring]
    scale = np.ones(3, np.float32)
    scale[0] = np.ptp(there[:, 0]) / np.ptp(here[:, 0])
    out = vertices.copy()
    out[own] = there.mean(axis=0) + (mesh.vertices[own] - here.mean(axis=0)) * scale
    return out


def _close_lips(vertices: np.ndarray) -> np.ndarray:
    """Lips as close as the mesh's own."""
    mouth = slits.slit("mouth")
    change = np.zeros((len(mouth.upper), 3), np.float32)
    change[:, 1] = slits.opening(load_mesh().vertices, mouth) - slits.opening(vertices, mouth)
    return slits.part_edges(vertices, mouth, change)


def middle(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "3"]:
    """The point between the eyes' centres."""
    return np.mean([slits.ball(vertices, name)[0] for name in EYES], axis=0)


def size(vertices: Float[np.ndarray, "v 3"]) -> float:
    """Distance from the point between the eyes to the mouth, relative to the mesh's own."""
    ring = load_mesh().rings["mouth"][0]
    far = [np.linalg.norm(middle(v) - v[ring].mean(axis=0)) for v in (vertices, load_mesh().vertices)]
    return float(far[0] / far[1])


def mend(vertices: Float32[np.ndarray, "v 3"]) -> Float32[np.ndarray, "v 3"]:
    """A blend with eyes, lashes, teeth and lips put right, moved so that the eyes' middle is the mesh's own."""
    for name in EYES:
        vertices = slits.keep_out(_grow_lashes(_place_eye(vertices, name), name), name)
    vertices = _close_lips(_place_teeth(vertices))
    return (vertices + middle(load_mesh().vertices) - middle(vertices)).astype(np.float32)


def fit(macro: dict[str, float], local: list[dict[str, float]]) -> Float32[np.ndarray, "v 3"]:
    """The mended blend, after axes were weakened that together turn a triangle over: those that move it, step by step."""
    plain, force = blend(macro), np.ones(len(local))
    whole = mend(plain)
    for _ in range(WEAKENINGS):
        parts = zip(local, force, strict=True)
        vertices = mend(blend({name: weight * by for part, by in parts for name, weight in part.items()}, plain))
        bad = soundness.turned_over(vertices, whole, SOUND)
        if not len(bad):
            return vertices
        force *= [WEAKER if any(soundness.touches(name, bad) for name in part) else 1.0 for part in local]
    return whole


def make_shape(rng: np.random.Generator) -> Shape:
    """A random person's head."""
    race = tuple(rng.dirichlet([CONCENTRATION] * len(RACES)).tolist())
    male, age = float(rng.beta(SEX, SEX)), float(rng.beta(1.0, 1.4))
    weight, muscle = np.clip(rng.normal(0.5, BUILD, 2), 0.0, 1.0).tolist()
    years = YOUNGEST + age * (OLDEST - YOUNGEST)
    vertices = fit(macro_weights(race, male, years, muscle, weight), local_weights(rng))
    return Shape(vertices, race, male, age, weight, muscle, size(vertices))


@functools.cache
def _units() -> Float32[np.ndarray, "52 v 3"]:
    """The mesh's units without the balls of the eyes, whose direction is a matter of shading."""
    units = load_mesh().units.copy()
    units[:, _vertices_of(*EYES)] = 0.0
    return units


def _close_eye(open_: np.ndarray, face: np.ndarray, name: str, blink: float) -> np.ndarray:
    """The face with the upper lid of an eye brought `blink` of the way to the lower one, and never below it."""
    gap = slits.slit(name)
    upper, lower = slits.edge(face, gap)
    start, _ = slits.edge(open_, gap)
    want = (1.0 - blink) * start + blink * lower
    want[:, 1] = np.maximum(want[:, 1], lower[:, 1])
    return slits.keep_out(slits.part_edges(face, gap, want - upper), name)


def _stop_lips(face: np.ndarray) -> np.ndarray:
    """The face with lips that would pass through one another stopped where they touch."""
    mouth = slits.slit("mouth")
    least = np.minimum(slits.opening(load_mesh().vertices, mouth), 0.0)
    change = np.zeros((len(mouth.upper), 3), np.float32)
    change[:, 1] = np.maximum(least - slits.opening(face, mouth), 0.0)
    return slits.part_edges(face, mouth, change)


def _set_teeth_back(face: np.ndarray) -> np.ndarray:
    return slits.behind_lips(slits.behind_lips(face, "teeth_upper"), "teeth_lower")


def express(shape: Shape, units: Float[np.ndarray, "52"]) -> Float32[np.ndarray, "v 3"]:
    """The person's vertices with the expression of `units` (columns `xactor_jax.labels.UNITS`, 0 at rest to 1)."""
    weights = np.float32(shape.size) * np.asarray(units, np.float32)
    face = shape.vertices + np.tensordot(weights, _units(), axes=1)
    open_ = face - np.tensordot(weights[BLINKS], _units()[BLINKS], axes=1)
    for name, blink in zip(EYES, BLINKS, strict=True):
        face = _close_eye(open_, face, name, float(units[blink]))
    return _set_teeth_back(_stop_lips(face)).astype(np.float32)
