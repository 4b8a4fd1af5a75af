"""Applies an expression to a head at rest.

    (1) face = rest + s Σ weights × units, s the size of the person's face

Afterwards lids are closed as far as the eye blinks, lips that would overlap stop where they touch, and teeth are kept behind
the lips (data/heads/slits.py). Eyeballs do not move: gaze is a matter of shading.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Float32

from data.heads import slits
from data.heads.mending import EYES, TEETH, vertices_of
from data.heads.mesh import load_mesh
from xactor_jax.labels import UNITS

BLINKS = [UNITS.index("eyeBlinkLeft"), UNITS.index("eyeBlinkRight")]
"""Indices of the blinks, in the order of EYES."""

STRENGTH = {"browDown": 1.4, "mouthFrown": 1.5, "mouthUpperUp": 1.25}
"""Prefix of a unit's name → factor of the unit. At MakeHuman's strength, face trackers do not detect these units."""

SHUT = ("jawForward", "jawLeft", "jawRight", "mouthDimple", "mouthFrown", "mouthLeft", "mouthPress", "mouthRight", "mouthRoll")
"""Prefixes of the names of units that keep closed lips closed."""


def _kept_shut(unit: np.ndarray) -> np.ndarray:
    """A unit without the part of it that opens the lips."""
    mesh, mouth = load_mesh(), slits.slit("mouth")
    parted = slits.opening(mesh.vertices + unit, mouth) - slits.opening(mesh.vertices, mouth)
    return slits.part_edges(mesh.vertices + unit, mouth, slits.upwards(-np.maximum(parted, 0.0))) - mesh.vertices


@functools.cache
def _units() -> Float32[np.ndarray, "52 v 3"]:
    units = load_mesh().units.copy()
    for index, name in enumerate(UNITS):
        units[index] *= next((factor for start, factor in STRENGTH.items() if name.startswith(start)), 1.0)
        if name.startswith(SHUT):
            units[index] = _kept_shut(units[index])
    units[:, vertices_of(*EYES)] = 0.0
    return units


def _close_eye(opened: np.ndarray, face: np.ndarray, name: str, blink: float) -> np.ndarray:
    """Moves the upper lid of an eye by the fraction `blink` of the way to the lower lid, and never below it."""
    gap = slits.slit(name)
    upper, lower = slits.edge(face, gap)
    start, _ = slits.edge(opened, gap)
    want = (1.0 - blink) * start + blink * lower
    want[:, 1] = np.maximum(want[:, 1], lower[:, 1])
    return slits.keep_out(slits.part_edges(face, gap, want - upper), name)


def _stop_lips(face: np.ndarray) -> np.ndarray:
    """Stops lips that would overlap where they touch."""
    mouth = slits.slit("mouth")
    return slits.part_edges(face, mouth, slits.upwards(np.maximum(slits.SEAL - slits.opening(face, mouth), 0.0)))


def apply(rest: Float32[np.ndarray, "v 3"], size: float, units: Float[np.ndarray, "52"]) -> Float32[np.ndarray, "v 3"]:
    """Vertices of the head `rest`, whose face has a relative `size`, with the expression `units`."""
    weights = np.float32(size) * np.asarray(units, np.float32)
    face = rest + np.tensordot(weights, _units(), axes=1)
    opened = face - np.tensordot(weights[BLINKS], _units()[BLINKS], axes=1)
    for name, blink in zip(EYES, BLINKS, strict=True):
        face = _close_eye(opened, face, name, float(units[blink]))
    face = _stop_lips(face)
    for part in TEETH:
        face = slits.behind_lips(face, part)
    return face.astype(np.float32)
