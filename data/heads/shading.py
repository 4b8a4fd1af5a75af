"""Colours of surfaces: light at the vertices of the mesh, eyes by gaze.

Light changes slowly over the fine mesh. So diffuse light and highlights are computed at its vertices (equations of
data/heads/light.py), interpolated, and combined with the atlas' colours at the pixel:

    colour = albedo · diffuse + shine · highlight.                                                        (1)

An eye is a ball of centre c. The angle between the gaze g and the direction d = (p - c) / |p - c| decides between pupil, iris
and white. Lamps are reflected by the cornea, a smaller ball in front of the eye: its normal at p is that of d - `CORNEA` g
(equation 2).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int32

from data.heads.light import Colours, Light, Vectors, fresnel, lobe, softened, surround, unit, wrapped
from data.heads.model import MATERIALS, Model

IRIS, PUPIL, LIMBUS = 0.50, 0.19, 0.07
"""Angles from the gaze in radians: edges of iris and pupil, and the width of the dark ring at the edge of the iris."""

CORNEA = 0.42
"""Factor in equation 2, in radii of the eyeball."""

EYE_SOCKET = 0.82
"""Share of the light that reaches an eye between its lids."""

_SHEEN = np.float32(0.6)
"""Share of the surroundings that rough skin reflects."""

MOUTH_DEPTH = 0.5
"""Depth in decimetres behind the front teeth from which on there is no light."""


@functools.cache
def linear_of_display() -> Float32[np.ndarray, "256"]:
    """Linear values of 8-bit sRGB values."""
    code = np.arange(256) / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear(colour: tuple[float, float, float]) -> Float32[np.ndarray, "3"]:
    """Converts a display-coded colour (0 to 1) to linear."""
    return np.interp(colour, np.arange(256) / 255.0, linear_of_display()).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """Materials at the n groups (places) of a model, and their openness to the surroundings."""

    specular: Float32[np.ndarray, "n"]
    gloss: Float32[np.ndarray, "n"]
    wrap: Float32[np.ndarray, "n 3"]
    hair: Int32[np.ndarray, "h"]  # groups whose highlight runs along strands
    turning: Bool[np.ndarray, "n"]  # whether the normal is turned to the viewer (thin two-sided surfaces)
    open: Float32[np.ndarray, "n"]  # 0 … 1

    def of(self, some: Int32[np.ndarray, "m"]) -> Surfaces:
        """The surfaces of some places (in increasing order)."""
        place = np.full(len(self.open), -1, np.int32)
        place[some] = np.arange(len(some))
        hair = place[self.hair]
        columns = (np.take(value, some, axis=0) for value in (self.specular, self.gloss, self.wrap, self.turning, self.open))
        specular, gloss, wrap, turning, open_ = columns
        return Surfaces(specular, gloss, wrap, hair[hair >= 0], turning, open_)


def materials_at(model: Model, groups: int) -> tuple[np.ndarray, ...]:
    """(specular, gloss, wrap, hair, turning) as in `Surfaces`, from the material of any triangle of the group."""
    material = np.zeros(groups, np.int64)
    material[model.group[model.triangles]] = model.material[:, None]
    table = list(MATERIALS.values())
    column = lambda value: np.array([value(m) for m in table], np.float32)[material]
    wrap = np.array([[m.wrap * c for c in m.subsurface] for m in table], np.float32)[material]
    hair = np.flatnonzero(column(lambda m: m.kind == "hair")).astype(np.int32)
    return column(lambda m: m.specular), column(lambda m: m.gloss), wrap, hair, column(lambda m: m.two_sided) > 0


def mouth_light(model: Model, rest: Vectors) -> Float32[np.ndarray, "n"]:
    """Share of light: 1 everywhere except on teeth and tongue, where it falls with the depth behind the front teeth."""
    kinds = np.array([m.kind for m in MATERIALS.values()])[model.material]
    teeth, inside = (np.unique(model.group[model.triangles[np.isin(kinds, names)]]) for names in ("teeth", ("teeth", "tongue")))
    out = np.ones(len(rest), np.float32)
    if len(teeth):
        depth = np.clip((rest[teeth, 2].max() - rest[inside, 2]) / MOUTH_DEPTH, 0.0, 1.0)
        out[inside] = 0.6 * (1.0 - depth) ** 1.5
    return out


def _cosine(a: Vectors, b: np.ndarray) -> Float32[np.ndarray, "n"]:
    return a @ b if b.ndim == 1 else np.einsum("ij,ij->i", a, b)


def _strand_cosine(normals: Vectors, half: Vectors) -> Float32[np.ndarray, "n"]:
    """Replaces n·h for hair: the sine of the angle between h and a strand that runs down the surface (Kajiya-Kay 1989)."""
    strand = -normals * normals[:, 1:2]
    strand[:, 1] += 1.0
    along = _cosine(unit(strand), half)
    return np.sqrt(np.maximum(1.0 - along * along, 0.0))


def lit(
    surfaces: Surfaces, light: Light, points: Vectors, normals: Vectors, eye: np.ndarray, shares: Sequence[np.ndarray]
) -> tuple[Colours, Colours]:
    """(Diffuse light, highlights) at points in space seen from `eye`; `shares` [n] of each lamp's light reach the points."""
    view = unit(eye.astype(np.float32) - points)
    diffuse = surround(light, normals) * surfaces.open[:, None]
    facing_viewer = np.maximum(_cosine(normals, view), 0.0)
    mirrored = (2.0 * facing_viewer)[:, None] * normals - view
    sheen = _SHEEN * fresnel(facing_viewer, surfaces.specular, surfaces.gloss) * np.square(surfaces.open)
    highlights = sheen[:, None] * surround(light, mirrored)
    for lamp, share in zip(light.lamps, shares, strict=True):
        direction, colour = np.asarray(lamp.direction, np.float32), np.asarray(lamp.colour, np.float32)
        facing = normals @ direction
        diffuse += wrapped(facing, surfaces.wrap) * (share[:, None] * colour)
        half = unit(view + direction)
        cosine = _cosine(normals, half)
        cosine[surfaces.hair] = _strand_cosine(normals[surfaces.hair], half[surfaces.hair])
        bright = lobe(cosine, softened(surfaces.gloss, lamp.size))
        bright *= fresnel(_cosine(view, half), surfaces.specular, surfaces.gloss)
        highlights += (bright * np.maximum(facing, 0.0) * share)[:, None] * colour
    return diffuse, highlights


@dataclasses.dataclass(frozen=True)
class Eyes:
    """Linear colours of a person's eyes."""

    iris: Float32[np.ndarray, "3"]
    white: Float32[np.ndarray, "3"]


def _step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def eye_colour(eyes: Eyes, outwards: Vectors, gaze: Float32[np.ndarray, "3"], up: Float32[np.ndarray, "3"]) -> Colours:
    """Albedo of an eyeball in directions `outwards` from its centre; darker under the lids, redder at the corners."""
    angle = np.arccos(np.clip(_cosine(outwards, gaze), -1.0, 1.0))
    around = np.arctan2(outwards[:, 0] - gaze[0], outwards[:, 1] - gaze[1])
    streaks = 1.0 + 0.16 * np.sin(17.0 * around) * np.sin(7.0 * around + 9.0 * angle)
    bright = streaks * (0.75 + 0.75 * _step(IRIS, PUPIL + 0.05, angle)) * (1.0 - 0.7 * _step(IRIS - LIMBUS, IRIS, angle))
    redness = _step(0.6, 1.15, angle)[:, None] * np.array([0.12, 0.34, 0.36], np.float32)
    colour = eyes.white * (1.0 - redness)
    colour += _step(IRIS + 0.025, IRIS - 0.025, angle)[:, None] * (eyes.iris * bright[:, None] - colour)
    colour *= (0.012 + 0.988 * _step(PUPIL - 0.02, PUPIL + 0.02, angle))[:, None]
    height = outwards @ up
    lids = 1.0 - 0.62 * _step(0.12, 0.5, height) - 0.18 * _step(-0.2, -0.5, height)
    return colour * (EYE_SOCKET * lids)[:, None]


def eye_highlight(
    light: Light,
    outwards: Vectors,
    gaze: Float32[np.ndarray, "3"],
    view: Float32[np.ndarray, "3"],
    shade: Float32[np.ndarray, "n"],
) -> Colours:
    """Lamps and surroundings reflected by the wet eye (equation 2). Lamps are discs whose size grows with the lamp's."""
    normal = unit(np.where(_cosine(outwards, gaze)[:, None] > np.cos(IRIS + 0.1), outwards - CORNEA * gaze, outwards))
    out = np.float32(0.035) * surround(light, 2.0 * (normal @ view)[:, None] * normal - view)
    for lamp in light.lamps[:2]:
        half = unit(view + np.asarray(lamp.direction, np.float32))
        angle = np.arccos(np.clip(normal @ half, -1.0, 1.0))
        size = np.float32(0.22 * lamp.size + 0.05)
        disc = _step(size + 0.03, size - 0.03, angle) * shade
        out += (0.9 * disc)[:, None] * np.asarray(lamp.colour, np.float32)
    return out
