"""Traits of a person in addition to the shape of the head, as numbers and names, drawn so that they fit together.

Frequencies follow those among people, but every combination is possible: dark and light skin with any hair, grey hair at
twenty, beards of all colours. Colours are display-coded RGB, 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (0.93, 0.79, 0.72),
    (0.90, 0.73, 0.63),
    (0.86, 0.66, 0.54),
    (0.78, 0.58, 0.46),
    (0.66, 0.475, 0.365),
    (0.53, 0.37, 0.285),
    (0.40, 0.275, 0.215),
    (0.30, 0.195, 0.15),
    (0.23, 0.15, 0.12),
)
"""From very light to very dark, evenly spaced in tone."""

HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.055, 0.047, 0.045),
    "brown black": (0.10, 0.070, 0.055),
    "dark brown": (0.17, 0.115, 0.08),
    "brown": (0.27, 0.18, 0.115),
    "light brown": (0.40, 0.28, 0.18),
    "dark blond": (0.52, 0.40, 0.26),
    "blond": (0.70, 0.57, 0.38),
    "pale blond": (0.82, 0.73, 0.56),
    "red": (0.46, 0.20, 0.09),
    "auburn": (0.32, 0.13, 0.075),
}
GREY: Colour = (0.64, 0.63, 0.61)
DYES: tuple[Colour, ...] = ((0.55, 0.18, 0.42), (0.20, 0.33, 0.58), (0.62, 0.10, 0.13), (0.22, 0.48, 0.42), (0.88, 0.80, 0.66))

_DARK = (0.62, 0.24, 0.1, 0.03, 0.005, 0.002, 0.002, 0.001, 0.0, 0.0)
_MIXED = (0.04, 0.08, 0.16, 0.2, 0.16, 0.13, 0.1, 0.04, 0.055, 0.06)

IRISES: dict[str, Colour] = {
    "black": (0.15, 0.10, 0.075),
    "brown": (0.29, 0.18, 0.11),
    "light brown": (0.40, 0.27, 0.16),
    "hazel": (0.37, 0.30, 0.16),
    "green": (0.36, 0.39, 0.29),
    "grey": (0.42, 0.45, 0.47),
    "blue": (0.42, 0.47, 0.51),
}

CUTS = (
    "bald", "receding", "buzz", "crop", "short", "side part", "quiff", "curly", "afro", "bob", "long", "wavy", "bun",
    "ponytail", "pixie", "braids", "headscarf", "beanie",
)  # fmt: skip
_MEN = (0.09, 0.09, 0.1, 0.14, 0.16, 0.11, 0.09, 0.08, 0.035, 0.01, 0.025, 0.02, 0.015, 0.005, 0.005, 0.01, 0.0, 0.03)
_WOMEN = (0.003, 0.001, 0.01, 0.03, 0.04, 0.03, 0.01, 0.08, 0.05, 0.14, 0.16, 0.13, 0.09, 0.08, 0.06, 0.03, 0.055, 0.018)

BEARDS = ("none", "stubble", "moustache", "goatee", "short", "full")
_BEARDED = (0.47, 0.2, 0.05, 0.07, 0.13, 0.08)

GARMENTS = ("round neck", "v-neck", "shirt", "jacket", "hoodie", "turtleneck")


class Looks(Protocol):
    """The required properties of a shape; `data.heads.shape.Shape` has them."""

    race: Float[np.ndarray, "3"]  # caucasian, african, asian; sums to 1
    male: float
    age: float  # 0 youngest to 1 oldest


@dataclass(frozen=True, kw_only=True)
class Traits:
    """A person's colours and styles. Shares are 0 to 1."""

    male: float
    age: float
    tone: float  # of the skin, 0 lightest to 1 darkest
    warmth: float  # -1 rosy to 1 olive
    redness: float  # of cheeks, nose and ears
    freckles: float
    moles: int
    blotch: float  # strength of the skin's large spots
    shine: float
    lines: float  # depth of wrinkles
    hollow: float  # darkness around the eyes
    iris: Colour
    hair: Colour  # including grey
    brow: Colour
    lash: float  # darkness of the lids' edges
    brow_height: float  # this and the next three: relative to their spread, about -1 to 1
    brow_arch: float
    brow_slant: float
    brow_gap: float  # between them
    brow_thickness: float  # 1 is average
    brow_density: float
    lip_stick: Colour | None
    eye_shadow: Colour | None
    blush: float
    liner: float
    scar: bool
    birthmark: bool
    cut: str
    fringe: float  # 0 none to 1 down to the brows
    part: float  # -1 right to 1 left
    curl: float
    receded: float
    beard: str
    stubble: float
    glasses: str  # "" for none
    garment: str
    cloth: Colour
    cloth_pattern: str
    inner: Colour  # of the shirt under a jacket
    earrings: bool


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Mixes two colours: `share` of `b`, the rest `a`."""
    return tuple(float(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def _choose(rng: np.random.Generator, names: tuple[str, ...], weights: np.ndarray) -> str:
    weights = np.asarray(weights, float)
    return str(names[rng.choice(len(names), p=weights / weights.sum())])


def _varied(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """The colour, lighter or darker by up to `spread`, with nearly the same hue."""
    light = rng.uniform(1.0 - spread, 1.0 + spread)
    return tuple(float(min(1.0, c * light * rng.uniform(0.975, 1.025))) for c in colour)


def _tone(rng: np.random.Generator, race: np.ndarray) -> float:
    spread = race @ [rng.beta(1.6, 3.2) * 0.62, 0.42 + 0.58 * rng.beta(2.0, 1.7), 0.1 + 0.5 * rng.beta(1.7, 2.6)]
    return float(np.clip(spread + rng.normal(0.0, 0.05), 0.0, 1.0))


def skin_colour(tone: float, warmth: float) -> Colour:
    """The skin's mean colour: interpolated between SKIN_TONES, and shifted to rosy or olive."""
    place = np.clip(tone, 0.0, 1.0) * (len(SKIN_TONES) - 1)
    base = [np.interp(place, np.arange(len(SKIN_TONES)), channel) for channel in np.array(SKIN_TONES).T]
    return tuple(float(c * (1.0 + warmth * k)) for c, k in zip(base, (-0.012, 0.018, -0.045), strict=True))


def _hair_colour(
    rng: np.random.Generator, race: np.ndarray, tone: float, age: float, man: bool
) -> tuple[Colour, Colour, float]:
    """Colours of hair and brows, and the share of grey."""
    fair = race[0] * np.clip(1.4 - 1.4 * tone, 0.0, 1.0)
    fair = max(fair, 0.7 * (rng.uniform() < (0.05 if man else 0.2)))  # bleached or dyed
    weights = (1.0 - fair) * np.array(_DARK) + fair * np.array(_MIXED) + 0.004
    natural = HAIR_COLOURS[_choose(rng, tuple(HAIR_COLOURS), weights)]
    natural = _varied(rng, natural, 0.12)
    grey = float(np.clip((age - 0.4) * rng.uniform(0.0, 2.6) + rng.normal(0.0, 0.05), 0.0, 1.0))
    brow = mix(mix(natural, (0.1, 0.07, 0.055), float(rng.uniform(0.1, 0.6))), GREY, 0.6 * grey)
    if not man and rng.uniform() < 0.45:
        grey *= rng.uniform(0.0, 0.4)  # dyed over
    hair = mix(natural, _varied(rng, GREY, 0.25), grey)
    if rng.uniform() < (0.01 if man else 0.05):
        hair = DYES[rng.integers(len(DYES))]
    return hair, brow, grey


def _iris(rng: np.random.Generator, race: np.ndarray, tone: float) -> Colour:
    fair = race[0] * np.clip(1.2 - 1.7 * tone, 0.0, 1.0)
    weights = (1 - fair) * np.array([0.45, 0.42, 0.09, 0.02, 0.01, 0.005, 0.005]) + fair * np.array(
        [0.03, 0.2, 0.14, 0.15, 0.13, 0.13, 0.22]
    )
    return _varied(rng, IRISES[_choose(rng, tuple(IRISES), weights)], 0.15)


def _cloth_colour(rng: np.random.Generator) -> Colour:
    """A colour of clothes: mostly muted (dark, white, grey, navy), sometimes bright."""
    kind = rng.uniform()
    grey = rng.uniform(0.05, 0.3) if kind < 0.3 else rng.uniform(0.6, 0.88) if kind < 0.5 else rng.uniform(0.2, 0.65)
    strength = rng.uniform(0.0, 0.12) if kind < 0.6 else rng.uniform(0.1, 0.45)
    hue = rng.uniform(0, 2 * np.pi) + np.array([0.0, 2.1, 4.2])
    return tuple(float(c) for c in np.clip(grey * (1.0 + strength * 2.0 * np.cos(hue)), 0.03, 0.9))


def _makeup(rng: np.random.Generator, woman: bool, tone: float) -> dict:
    worn = woman and rng.uniform() < 0.55
    red = mix((0.62, 0.16, 0.20), (0.72, 0.38, 0.38), rng.uniform())
    red = mix(red, (0.36, 0.10, 0.16), rng.uniform() * (0.3 + 0.6 * tone))
    shadow = [(0.35, 0.24, 0.2), (0.45, 0.36, 0.42), (0.3, 0.34, 0.42), (0.55, 0.42, 0.34), (0.5, 0.3, 0.32)][rng.integers(5)]
    return {
        "lip_stick": red if worn and rng.uniform() < 0.8 else None,
        "eye_shadow": mix(shadow, (0.2, 0.14, 0.12), tone * 0.6) if worn and rng.uniform() < 0.6 else None,
        "blush": float(rng.uniform(0.1, 0.6)) if worn else 0.0,
        "liner": float(rng.uniform(0.2, 1.0)) if worn else 0.0,
    }


def _beard(rng: np.random.Generator, man: bool, race: np.ndarray) -> dict:
    weights = np.array(_BEARDED) * (1.0, *([1.0 - 0.45 * race[2]] * 5))
    beard = _choose(rng, BEARDS, weights) if man else "none"
    shade = {"none": rng.beta(1.3, 3.5) * 0.6, "stubble": rng.uniform(0.45, 0.95)}.get(beard, rng.uniform(0.1, 0.5))
    return {"beard": beard, "stubble": float(shade) if man else 0.0}


def _brows(rng: np.random.Generator, man: bool, age: float) -> dict:
    return {
        "brow_height": float(np.clip(rng.normal(0.0 if man else 0.35, 0.7), -1.2, 1.8)),
        "brow_arch": float(np.clip(rng.normal(0.1 if man else 0.6, 0.7), -0.9, 2.0)),
        "brow_slant": float(rng.normal(0.0, 0.8)),
        "brow_gap": float(np.clip(rng.normal(0.0 if man else 0.3, 0.6), -1.0, 1.5)),
        "brow_thickness": float(rng.uniform(0.6, 1.5) if man else rng.uniform(0.35, 1.05)),
        "brow_density": float(np.clip(rng.uniform(0.35, 1.15) - 0.3 * max(age - 0.5, 0.0), 0.2, 1.0)),
    }


def _hair_style(rng: np.random.Generator, man: bool, race: np.ndarray, age: float) -> dict:
    weights = np.array(_MEN if man else _WOMEN)
    african = race[1]
    tilt = {"curly": 1 + 1.2 * african, "afro": 0.25 + 5 * african, "braids": 0.3 + 3 * african, "buzz": 1 + 1.2 * african}
    tilt |= {"quiff": 1 - 0.7 * african, "long": 1 - 0.6 * african, "side part": 1 - 0.7 * african, "wavy": 1 - 0.5 * african}
    tilt |= {"bald": 0.6 + 1.3 * age, "receding": 0.25 + 2.5 * age}
    cut = _choose(rng, CUTS, weights * [tilt.get(name, 1.0) for name in CUTS])
    return {
        "cut": cut,
        "fringe": float(rng.uniform(0.5, 1.0)) if rng.uniform() < 0.3 else 0.0,
        "part": float(rng.choice([-1, 1]) * rng.uniform(0.0, 1.0)),
        "curl": float(np.clip(rng.beta(1.2, 2.2) + 0.5 * african, 0.0, 1.0)),
        "receded": float(np.clip(rng.beta(1.2, 4.0) + (0.35 * age if man else 0.0), 0.0, 1.0)) * (1.0 if man else 0.4),
    }


def _dress(rng: np.random.Generator, man: bool, age: float) -> dict:
    weights = (0.3, 0.14, 0.2, 0.16, 0.1, 0.1) if man else (0.32, 0.24, 0.13, 0.12, 0.08, 0.11)
    return {
        "glasses": ("" if rng.uniform() > 0.15 + 0.2 * age else str(rng.choice(["round", "square", "wide", "half", "thin"]))),
        "garment": _choose(rng, GARMENTS, np.array(weights)),
        "cloth": _cloth_colour(rng),
        "cloth_pattern": _choose(rng, ("plain", "stripes", "checks", "heather"), np.array((0.62, 0.14, 0.1, 0.14))),
        "inner": mix((0.86, 0.87, 0.89), _cloth_colour(rng), float(rng.choice([0.0, 0.4, 1.0]))),
        "earrings": bool(rng.uniform() < (0.03 if man else 0.4)),
    }


def draw_traits(rng: np.random.Generator, looks: Looks) -> Traits:
    """Random traits that fit a shape's race, sex and age."""
    race, age, man = np.asarray(looks.race, float), float(looks.age), bool(rng.uniform() < looks.male)
    tone = _tone(rng, race)
    hair, brow, _ = _hair_colour(rng, race, tone, age, man)
    return Traits(
        male=float(looks.male),
        age=age,
        tone=tone,
        warmth=float(np.clip(rng.normal(0.25 * race[2], 0.5), -1.0, 1.0)),
        redness=float(rng.beta(2.0, 2.2)),
        freckles=float(rng.uniform(0.3, 1.0)) if rng.uniform() < 0.16 * race[0] + 0.05 else 0.0,
        moles=int(rng.poisson(1.4 + 2.0 * age)),
        blotch=float(rng.uniform(0.5, 1.3)),
        shine=float(rng.uniform(0.5, 1.5)),
        lines=float(np.clip(age * rng.uniform(0.7, 1.3) + rng.normal(0.0, 0.06), 0.0, 1.2)),
        hollow=float(np.clip(rng.beta(2.0, 3.0) + 0.2 * age, 0.0, 1.0)),
        iris=_iris(rng, race, tone),
        hair=hair,
        brow=brow,
        lash=float(rng.uniform(0.35, 0.75) if man else rng.uniform(0.5, 1.0)),
        scar=bool(rng.uniform() < 0.04),
        birthmark=bool(rng.uniform() < 0.025),
        **_brows(rng, man, age),
        **_makeup(rng, not man, tone),
        **_hair_style(rng, man, race, age),
        **_beard(rng, man, race),
        **_dress(rng, man, age),
    )
