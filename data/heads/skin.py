"""Colours of skin, lips and lids, painted on the head at rest.

Skin is modelled as pigments in front of a white ground (Beer and Lambert). The display-coded colour of a texel is

    c = c_tone exp(-(m a_m + b a_b + s a_s))                                                             (1)

with additional melanin m (freckles, moles, tan), blood b (cheeks, lips, ears) and shade s (folds, pores, places that light does
not reach). Hair, make-up and the inside of the mouth are painted over it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from data.heads import brush, marks
from data.heads.atlas import BOXES, SIZE
from data.heads.beard import LENGTHS, beard_colour, zone
from data.heads.regions import Regions, above_hairline, load_regions, smoothstep
from data.heads.traits import Colour, Traits, skin_colour

MELANIN = np.array([0.42, 0.72, 0.95], np.float32)
BLOOD = np.array([0.05, 0.50, 0.42], np.float32)
SHADE = np.array([0.85, 1.0, 1.05], np.float32)
"""Absorption of the pigments of equation 1 in red, green and blue."""


class Painted(NamedTuple):
    """Colours of the skin's texels."""

    texel: np.ndarray  # index in the flattened atlas
    colour: Float32[np.ndarray, "n 3"]  # display-coded, 0 to 1
    shine: Float32[np.ndarray, "n"]  # factor of the material's shine


class _Canvas:
    """The skin's box as a picture to draw on, which is then read at the skin's texels."""

    def __init__(self, texel: np.ndarray) -> None:
        row, column = np.divmod(texel, SIZE)
        box = BOXES["skin"]
        self.index = (row - box.top) * box.width + column - box.left
        self.shape = (box.height, box.width)

    def read(self, picture: np.ndarray) -> Float32[np.ndarray, "n"]:
        values = np.take(picture.ravel(), self.index)
        return values.astype(np.float32) / 255.0 if picture.dtype == np.uint8 else values

    def noise(self, rng: np.random.Generator, cells: int) -> Float32[np.ndarray, "n"]:
        """Smooth noise of unit variance with about `cells` maxima and minima along a side."""
        return self.read(brush.noise(rng, self.shape, (cells, cells)))


def over(colour: np.ndarray, paint: Colour | np.ndarray, opacity: np.ndarray) -> None:
    """Paints `paint` over `colour` [n, 3], in place."""
    at = np.flatnonzero(opacity > 1e-3)
    paint = np.asarray(paint, np.float32)
    colour[at] += ((paint[at] if paint.ndim == 2 else paint) - colour[at]) * opacity[at, None]


def _melanin(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas) -> Float32[np.ndarray, "n"]:
    spots = 0.028 * canvas.noise(rng, 12) + 0.016 * canvas.noise(rng, 45) + 0.014 * canvas.noise(rng, 130)
    tan = 0.06 * on.forehead - 0.08 * on.neck - 0.04 * on.under_eyes
    eyes = traits.hollow * (0.16 * on.under_eyes + 0.2 * on.lids + 0.08 * on.eye_hollow) * (0.6 + 0.6 * traits.tone)
    drawn = 0.85 * canvas.read(marks.freckles(rng, traits, canvas.shape)) + 1.6 * canvas.read(
        marks.moles(rng, traits, canvas.shape)
    )
    return traits.blotch * spots + tan + eyes + drawn * (1.0 - 0.5 * traits.tone)


def _blood(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas) -> Float32[np.ndarray, "n"]:
    flush = 0.22 * on.cheeks + 0.26 * on.nose + 0.25 * on.ears + 0.12 * on.chin - 0.08 * on.forehead
    flush = flush * (0.35 + traits.redness) * (1.0 + 0.12 * canvas.noise(rng, 30))
    spots = 0.03 * canvas.noise(rng, 18) + 0.028 * canvas.noise(rng, 70)
    eyes = 0.3 * on.lid_edge + 0.25 * traits.hollow * on.under_eyes
    return (flush + traits.blotch * spots + eyes + 0.18 * on.lids) * (1.0 - 0.5 * traits.tone)


def _shade(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas) -> Float32[np.ndarray, "n"]:
    pores = 0.018 * canvas.noise(rng, 300) + 0.012 * canvas.noise(rng, 600)
    folds = canvas.read(marks.lines(rng, traits, canvas.shape))
    dark = 1.3 * on.nostrils + 0.7 * on.lip_seam + 0.25 * traits.lash * on.lid_edge + 0.14 * on.eye_hollow
    return pores * (1.0 - 0.5 * on.lips) + folds + dark


def _lips(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas, colour: np.ndarray) -> None:
    """Natural colour of the lips, or lipstick, with fine vertical furrows."""
    tone = np.array(skin_colour(traits.tone, 0.0))
    own = tone * np.array([0.93, 0.70 + 0.08 * traits.tone, 0.70 + 0.1 * traits.tone])
    own = own * rng.uniform(0.92, 1.06) * (1.0, 1.0 - 0.18 * rng.uniform(), 1.0 - 0.12 * rng.uniform())
    furrows = canvas.read(brush.noise(rng, canvas.shape, (40, 420)))
    lower = smoothstep(6.62, 6.56, on.point[:, 1])[:, None] * np.array([0.06, 0.03, 0.03]) * (0.4 + traits.tone)
    paint, strength = (own, 0.35 + 0.3 * rng.uniform()) if traits.lip_stick is None else (np.array(traits.lip_stick), 0.86)
    over(colour, (paint + lower) * (1.0 + 0.05 * furrows - 0.35 * on.lip_seam)[:, None], strength * on.lips)


def _makeup(traits: Traits, on: Regions, colour: np.ndarray) -> None:
    if traits.eye_shadow is not None:
        over(colour, traits.eye_shadow, 0.5 * on.lids * smoothstep(7.27, 7.31, on.point[:, 1]))
    if traits.blush:
        over(colour, np.array(skin_colour(traits.tone, -1.0)) * (0.98, 0.68, 0.68), 0.5 * traits.blush * on.cheeks)
    line = np.exp(-((on.upper_lid / (0.018 + 0.014 * traits.liner)) ** 2))
    over(colour, (0.05, 0.035, 0.03), np.clip(0.7 * traits.lash + 0.4 * traits.liner, 0, 0.95) * line)


def _stubble(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas, colour: np.ndarray) -> None:
    """The shadow of a shaved beard: bluish, made of fine dots, denser on upper lip and chin."""
    if not traits.stubble:
        return
    place = on.beard * (0.72 + 0.28 * np.maximum(on.moustache, on.goatee))
    dots = np.clip(0.5 + 0.35 * canvas.noise(rng, 420) + 0.2 * canvas.noise(rng, 60), 0.0, 1.0)
    shadow = colour * (0.66, 0.70, 0.76)
    over(colour, shadow, 0.75 * traits.stubble * place)
    over(colour, np.array(traits.brow) * 0.8, 0.6 * traits.stubble * place * dots)


def _beard(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas, colour: np.ndarray) -> None:
    """Skin below a beard: near the beard's colour, with soft borders."""
    if traits.beard in LENGTHS:
        rough = np.clip(0.85 + 0.25 * canvas.noise(rng, 260) + 0.1 * canvas.noise(rng, 60), 0.0, 1.0)
        thick = {"short": 0.72, "full": 0.9}.get(traits.beard, 0.8)
        over(
            colour,
            np.array(beard_colour(traits)) * 1.1,
            thick * rough * zone(traits.beard, on.point) * on.outer * (1 - on.lips),
        )


def _scar(rng: np.random.Generator, traits: Traits, canvas: _Canvas, colour: np.ndarray) -> None:
    pale = np.array(skin_colour(0.8 * traits.tone, -1.0)) * 1.06
    over(colour, pale, 0.55 * canvas.read(marks.scar(rng, traits, canvas.shape)))


def _brows(rng: np.random.Generator, traits: Traits, canvas: _Canvas, colour: np.ndarray) -> None:
    hairs = canvas.read(marks.brows(rng, traits, canvas.shape))
    over(colour, traits.brow, hairs * np.float32(0.9))


def _scalp(
    rng: np.random.Generator, on: Regions, canvas: _Canvas, colour: np.ndarray, hair: Colour, density: float, edge: np.ndarray
) -> None:
    """Scalp below the hair: inside the hairline the skin takes the hair's colour, with a soft edge."""
    rough = 0.045 * canvas.noise(rng, 200) + 0.05 * canvas.noise(rng, 40)
    inside = smoothstep(-0.06, 0.2, above_hairline(on.point, edge) + rough) * on.outer * (1.0 - on.ears)
    grain = np.clip(0.8 + 0.25 * canvas.noise(rng, 350), 0.0, 1.2)
    over(colour, np.array(hair) * 0.85, np.clip(density * inside * grain, 0.0, 1.0))


def _mouth(on: Regions, colour: np.ndarray) -> None:
    depth = smoothstep(0.75, 1.5, on.point[:, 2])[:, None]
    over(colour, np.array([0.16, 0.03, 0.035]) + np.array([0.42, 0.17, 0.16]) * depth**2, on.mouth)


def _oil(rng: np.random.Generator, traits: Traits, on: Regions, canvas: _Canvas) -> Float32[np.ndarray, "n"]:
    """Shine: strongest on nose, forehead and lips, and uneven."""
    lips = 1.4 if traits.lip_stick else 0.9
    oil = 1.0 + 0.5 * on.nose + 0.3 * on.forehead + lips * on.lips - 0.6 * on.mouth + 0.1 * canvas.noise(rng, 250)
    return traits.shine * np.clip(oil, 0.0, 4.0)


def paint_skin(
    rng: np.random.Generator, traits: Traits, edge: Float32[np.ndarray, "h 2"], roots: Colour, density: float
) -> Painted:
    """The skin of a person whose hair begins at `edge` (azimuth, height); `roots` is the hair's colour, `density` 0 to 1."""
    on = load_regions()
    canvas = _Canvas(on.texel)
    filters = [
        part(rng, traits, on, canvas)[:, None] * absorb
        for part, absorb in ((_melanin, MELANIN), (_blood, BLOOD), (_shade, SHADE))
    ]
    colour = np.exp(-sum(filters)) * np.array(skin_colour(traits.tone, traits.warmth), np.float32)
    _lips(rng, traits, on, canvas, colour)
    _stubble(rng, traits, on, canvas, colour)
    _scar(rng, traits, canvas, colour)
    _beard(rng, traits, on, canvas, colour)
    _makeup(traits, on, colour)
    _brows(rng, traits, canvas, colour)
    _scalp(rng, on, canvas, colour, roots, density, edge)
    _mouth(on, colour)
    return Painted(on.texel, np.clip(colour, 0.0, 1.0), _oil(rng, traits, on, canvas))
