"""Paints teeth, gums and tongue on the head at rest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from data.heads import brush
from data.heads.atlas import SIZE, load_atlas
from data.heads.mending import vertices_of
from data.heads.mesh import PARTS, load_mesh
from data.heads.regions import smoothstep
from data.heads.skin import Painted, over
from data.heads.traits import Traits

_ARCH = (0.9, 0.33)
"""Depth of the centre of the dental arch, and the arch's radius about it, decimetres."""

_WIDTHS = np.array([0.088, 0.068, 0.077, 0.07, 0.068, 0.1, 0.1])
_LOWER_WIDTHS = np.array([0.054, 0.058, 0.068, 0.07, 0.07, 0.11, 0.1])
"""Widths of teeth from the middle outwards, upper and lower, decimetres."""

BITE = {"teeth_upper": (6.645, 6.775), "teeth_lower": (6.655, 6.55)}
"""Heights of the teeth's edges and of the gum, for each jaw at rest."""


def gums(row: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of a row of teeth, and their position from the teeth (0) to the gum (1)."""
    mesh = load_mesh()
    mine = vertices_of(row)
    edge, gum = BITE[row]
    return mine, np.clip((mesh.vertices[mine, 1] - edge) / (gum - edge) - 0.4, 0.0, 1.0)


def _part(name: str) -> tuple[np.ndarray, Float32[np.ndarray, "n 3"]]:
    atlas = load_atlas()
    mine = np.flatnonzero(atlas.part == PARTS.index(name))
    return atlas.texel[mine], atlas.point[mine]


def _teeth(rng: np.random.Generator, traits: Traits, name: str) -> Painted:
    texel, p = _part(name)
    along = np.abs(np.arctan2(p[:, 0], p[:, 2] - _ARCH[0])) * (_ARCH[1] + 0.12)
    ends = np.cumsum(_WIDTHS if name == "teeth_upper" else _LOWER_WIDTHS)
    tooth = np.minimum(np.searchsorted(ends, along), len(ends) - 1)
    width = np.diff(ends, prepend=0.0)[tooth]
    across = 1.0 - (ends[tooth] - along) / width  # 0 to 1 over a tooth
    edge, gum = BITE[name]
    rise = (p[:, 1] - edge) / (gum - edge)  # 0 at the bite to 1 at the gum
    middle = 2.0 * np.abs(across - 0.5)
    gap = smoothstep(0.82, 1.0, middle + 0.25 * (rise < 0.12))
    age = np.array([0.94, 0.905, 0.83]) - np.array([0.08, 0.12, 0.2]) * np.clip(0.25 * traits.age + 0.25 * rng.uniform(), 0, 1)
    shade = 1.0 - 0.3 * gap - 0.08 * middle**2 - 0.06 * (tooth == 2)
    enamel = age * (1.0 + np.array([0.0, -0.04, -0.12]) * smoothstep(0.3, 1.0, rise)[:, None])
    colour = (enamel * shade[:, None]).astype(np.float32)
    arc = rise + 0.18 * middle**2 - 0.06 * (tooth % 2)
    over(colour, (0.62, 0.33, 0.33), smoothstep(0.94, 1.04, arc))
    return Painted(texel, colour, 1.0 - 0.5 * gap.astype(np.float32))


def _tongue(rng: np.random.Generator) -> Painted:
    texel, p = _part("tongue")
    grain = brush.noise(rng, (SIZE // 2, SIZE // 2), (250, 250)).ravel()[texel % (SIZE * SIZE // 4)]
    colour = np.array([0.66, 0.34, 0.34]) * (0.95 + 0.05 * grain[:, None])
    colour = colour - np.array([0.12, 0.1, 0.1]) * np.exp(-((p[:, :1] / 0.025) ** 2)) + 0.05 * smoothstep(6.6, 6.7, p[:, 1:2])
    return Painted(texel, colour.astype(np.float32), np.ones(len(texel), np.float32))


def paint_mouth(rng: np.random.Generator, traits: Traits) -> list[Painted]:
    """Colours of both rows of teeth and of the tongue."""
    return [*(_teeth(rng, traits, name) for name in BITE), _tongue(rng)]
