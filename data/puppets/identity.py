"""Identity of a puppet: the shape and colours of its face, drawn at random once per person.

Lengths are in half crops: the square picture spans -1 to 1, x to the right and y down, the head's centre near the origin.
Colours are RGB, 0 to 255. Brows and lips always differ from the skin in brightness, so that expressions are visible on
everybody.
"""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np

from data.performers.voice import FACE, person_rng

Colour = tuple[float, float, float]

SKINS = ("fbe0cb", "f3cdb0", "e8b894", "d9a07a", "c28a5e", "a56f48", "855535", "6a412a")
HAIRS = ("1c1613", "3a2518", "5d3a1e", "8a5a2b", "c39448", "e2c27b", "a43d1d", "8d8d90", "d9d6d0", "48304f", "2c4a6e")
EYES = ("5b3a1e", "7a5a2c", "3d6a3a", "3a6f9c", "6f8798", "2e2019")
HAIR_STYLES = ("bald", "short", "fringe", "side", "long", "curly", "bun", "receding")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Shape and colours of one face."""

    width: float  # half width of the head
    top: float  # from the centre to the crown
    bottom: float  # from the centre to the closed chin
    jaw_width: float  # width at the mouth as a fraction of that at the eyes
    eye_x: float  # from the middle to an eye
    eye_y: float
    eye_width: float  # half width
    eye_height: float  # height of the open eye above its middle; below the middle 0.7 of it
    eye_slant: float  # height of the outer corner above the inner one
    iris: float  # radius
    brow_y: float
    brow_width: float  # half width
    brow_thickness: float
    nose_width: float  # half width
    nose_length: float  # y of the tip
    mouth_y: float
    mouth_width: float  # half width at rest
    upper_lip: float  # thickness
    lower_lip: float
    ear: float  # size
    hair_style: str
    hairline: float  # y in the middle of the forehead
    part: float  # side of the parting, -1 to 1
    beard: str  # none, stubble, moustache or full
    glasses: bool
    blush: float  # opacity of the cheeks' red
    light: float  # side that the light comes from, -1 to 1
    skin: Colour
    hair: Colour
    brow: Colour
    eye: Colour
    lips: Colour
    clothes: Colour
    background: tuple[Colour, Colour]
    pattern: int  # seed of the background's soft spots


def luminance(colour: Colour) -> float:
    """Rec. 601 luma, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Mixes two colours: `share` (0 to 1) of `b`, the rest `a`."""
    return tuple(float(x + share * (y - x)) for x, y in zip(a, b, strict=True))


def _hex(code: str) -> Colour:
    return tuple(float(int(code[i : i + 2], 16)) for i in (0, 2, 4))


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return tuple(255.0 * c for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def _between(palette: tuple[str, ...], rng: np.random.Generator) -> Colour:
    """A random colour between two neighbours of the palette."""
    i = rng.integers(len(palette) - 1)
    return mix(_hex(palette[i]), _hex(palette[i + 1]), rng.uniform())


def _distinct(colour: Colour, other: Colour, contrast: float, lighter: Colour) -> Colour:
    """`colour`, darkened (beside a dark colour: mixed with `lighter`) until its luma differs from `other` by `contrast`."""
    goal = (0.0, 0.0, 0.0) if luminance(other) - contrast > 40 else lighter
    for share in np.linspace(0.0, 1.0, 21):
        candidate = mix(colour, goal, share)
        if abs(luminance(candidate) - luminance(other)) >= contrast:
            return candidate
    return goal


def _colours(rng: np.random.Generator) -> dict:
    skin = _between(SKINS, rng)
    hair = _hex(HAIRS[rng.integers(len(HAIRS))])
    red = _hsv(rng.uniform(0.955, 1.01), rng.uniform(0.65, 0.85), rng.uniform(0.6, 0.85))
    hue = rng.uniform()
    light = _hsv(hue, rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.95))
    return {
        "skin": skin,
        "hair": hair,
        "brow": _distinct(mix(hair, (30.0, 20.0, 15.0), 0.35), skin, 60.0, (12.0, 9.0, 9.0)),
        "eye": _hex(EYES[rng.integers(len(EYES))]),
        "lips": _distinct(mix(red, skin, 0.12), skin, 40.0, (240.0, 150.0, 150.0)),
        "clothes": _hsv(rng.uniform(), rng.uniform(0.2, 0.75), rng.uniform(0.25, 0.85)),
        "background": (light, mix(light, _hsv(hue + 0.1, 0.5, 0.3), rng.uniform(0.3, 0.8))),
    }


def _shape(rng: np.random.Generator) -> dict:
    u = rng.uniform
    return {
        "width": u(0.56, 0.66),
        "top": u(0.78, 0.86),
        "bottom": u(0.74, 0.82),
        "jaw_width": u(0.7, 0.92),
        "eye_x": u(0.255, 0.285),
        "eye_y": u(-0.075, -0.045),
        "eye_width": u(0.17, 0.195),
        "eye_height": u(0.145, 0.17),
        "eye_slant": u(-0.01, 0.03),
        "iris": u(0.085, 0.1),
        "brow_y": u(-0.405, -0.38),
        "brow_width": u(0.18, 0.21),
        "brow_thickness": u(0.075, 0.105),
        "nose_width": u(0.075, 0.115),
        "nose_length": u(0.185, 0.22),
        "mouth_y": u(0.415, 0.44),
        "mouth_width": u(0.265, 0.285),
        "upper_lip": u(0.06, 0.08),
        "lower_lip": u(0.08, 0.1),
        "ear": u(0.11, 0.16),
        "hairline": u(-0.68, -0.6),
        "part": u(-1.0, 1.0),
        "blush": u(0.0, 0.35),
        "light": u(-1.0, 1.0),
    }


def make_identity(seed: int, person: int) -> Identity:
    """The face of a person. The same (seed, person) gives the same face."""
    rng = person_rng(seed, person, FACE)
    return Identity(
        **_shape(rng),
        **_colours(rng),
        hair_style=str(rng.choice(HAIR_STYLES, p=(0.07, 0.18, 0.15, 0.15, 0.18, 0.11, 0.08, 0.08))),
        beard=str(rng.choice(("none", "stubble", "moustache", "full"), p=(0.84, 0.08, 0.04, 0.04))),
        glasses=bool(rng.uniform() < 0.1),
        pattern=int(rng.integers(2**31)),
    )
