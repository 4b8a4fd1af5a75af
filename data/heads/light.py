"""Light of a scene, and how surfaces reflect it.

For a normal n, a direction l to a lamp, v to the viewer and h half way between them, with wrap w (per colour):

    diffuse    max(0, n·l + w) / (1 + w)^2                       energy-preserving wrap (Green 2004)      (1)
    highlight  F(h·v) (g + 8) / 8 exp(g (n·h - 1)) max(0, n·l)   Blinn's lobe as a Gaussian on the sphere (2)
    Fresnel    F(c) = F_0 + (F_90 - F_0) (1 - c)^5               Schlick 1994                             (3)

Surrounding light is given by six colours, along ± the axes: light from direction d is Σ_i d_i² colour_(i, sign d_i) (the
ambient cube of Mitchell, McTaggart and Green 2006). Colours are linear; 1 is a white surface that faces the key light.
"""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
from jaxtyping import Float32

Colours = Float32[np.ndarray, "n 3"]
Vectors = Float32[np.ndarray, "n 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lamp:
    """A distant light source: unit vector towards it, linear colour times strength, half its angular size in radians."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    size: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Light:
    """A key light, which casts shadows; other lamps; and colours of the surroundings to the right, left, above, below, in front
    (the viewer's side) and behind."""

    key: Lamp
    others: tuple[Lamp, ...]
    surroundings: tuple[tuple[float, float, float], ...]

    @property
    def lamps(self) -> tuple[Lamp, ...]:
        return (self.key, *self.others)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1 along the last axis."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return vectors / np.maximum(length, np.float32(1e-12))


def surround(light: Light, directions: Vectors) -> Colours:
    """Light of the surroundings from `directions`, averaged over about a hemisphere."""
    squares = directions * directions
    ahead = directions > 0
    weights = np.empty((len(directions), 6), np.float32)
    weights[:, ::2] = squares * ahead
    weights[:, 1::2] = squares - weights[:, ::2]
    return weights @ np.asarray(light.surroundings, np.float32)


def wrapped(facing: Float32[np.ndarray, "n"], wrap: Float32[np.ndarray, "n 3"]) -> Colours:
    """Diffuse reflection (equation 1) as a function of n·l."""
    return np.maximum(facing[:, None] + wrap, 0.0) / np.square(1.0 + wrap)


def lobe(cosine: Float32[np.ndarray, "n"], gloss: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    """Highlight (equation 2) without F and n·l. For large lamps, lower `gloss` first (`softened`)."""
    return (gloss + 8.0) * np.float32(0.125) * np.exp(gloss * (cosine - 1.0))


def softened(gloss: Float32[np.ndarray, "n"], size: float) -> Float32[np.ndarray, "n"]:
    """Exponent of the highlight of a lamp of half-angle `size`: the widths of both add up like variances."""
    return gloss / (1.0 + gloss * np.float32(0.5 * size * size))


def fresnel(
    cosine: Float32[np.ndarray, "n"], reflectance: Float32[np.ndarray, "n"], gloss: Float32[np.ndarray, "n"]
) -> Float32[np.ndarray, "n"]:
    """Fresnel reflectance (equation 3). Rough surfaces reflect less at grazing angles: F_90 = (1 - roughness) / 2,
    roughness² = 2 / (g + 2)."""
    most = np.maximum(0.5 - 0.5 * np.sqrt(2.0 / (gloss + 2.0)), reflectance)
    away = np.clip(1.0 - cosine, 0.0, 1.0)
    squared = away * away
    return reflectance + (most - reflectance) * squared * squared * away


_FACE_NORMALS = unit(np.array([(0, 0, 1), (-0.7, 0, 0.7), (0.7, 0, 0.7), (0, 0.5, 0.85), (0, -0.4, 0.9)], np.float32))
"""Normals of a face, for which its brightness is computed."""


def on_face(light: Light) -> Float32[np.ndarray, "3"]:
    """Linear colour of a white face, averaged over its normals."""
    got = 0.8 * surround(light, _FACE_NORMALS)
    for lamp in light.lamps:
        facing = np.maximum(_FACE_NORMALS @ np.asarray(lamp.direction, np.float32), 0.0)
        got = got + facing[:, None] * np.asarray(lamp.colour, np.float32)
    return got.mean(0)


def luminance(colour: np.ndarray) -> float:
    """Luminance (Rec. 709) of a linear colour."""
    return float(colour @ np.array([0.2126, 0.7152, 0.0722]))


def exposed(light: Light, brightness: float, balance: float) -> Light:
    """The light after exposure and white balance: a white face gets `brightness`; the share `balance` of tint is removed."""
    face = on_face(light)
    gains = brightness / luminance(face) * (luminance(face) / face) ** balance
    scale = lambda colour: tuple((gains * colour).tolist())
    lamps = [dataclasses.replace(lamp, colour=scale(lamp.colour)) for lamp in light.lamps]
    return Light(key=lamps[0], others=tuple(lamps[1:]), surroundings=tuple(map(scale, light.surroundings)))


def _direction(azimuth: float, height: float) -> tuple[float, float, float]:
    """Direction from azimuth (0 at the camera, positive to the right) and height above the horizon, in degrees."""
    a, h = np.radians([azimuth, height])
    return float(np.sin(a) * np.cos(h)), float(np.sin(h)), float(np.cos(a) * np.cos(h))


def _tint(rng: np.random.Generator, hue: float, saturation: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb((hue + rng.normal(0.0, 0.02)) % 1.0, saturation, 1.0))


def _white(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A white from warm (lamps) to cold (sky), of luminance about 1."""
    warmth = float(np.clip(rng.normal(0.0, spread), -1.0, 1.0))
    colour = np.array([1.0 + 0.22 * warmth, 1.0, 1.0 - 0.32 * warmth])
    return colour / (colour @ (0.2126, 0.7152, 0.0722))


def _lamp(direction: tuple[float, float, float], colour: np.ndarray, size: float) -> Lamp:
    return Lamp(direction=direction, colour=tuple(colour.tolist()), size=float(size))


def _key(rng: np.random.Generator) -> Lamp:
    side = rng.choice((-1.0, 1.0))
    azimuth = side * float(np.clip(abs(rng.normal(32.0, 25.0)), 0.0, 95.0))
    return _lamp(_direction(azimuth, rng.uniform(5.0, 60.0)), _white(rng, 0.45), rng.uniform(0.05, 0.55))


def _fill(rng: np.random.Generator, key: Lamp) -> Lamp:
    side = -np.sign(key.direction[0]) or 1.0
    return _lamp(
        _direction(side * rng.uniform(20.0, 80.0), rng.uniform(-15.0, 35.0)), rng.uniform(0.02, 0.3) * _white(rng, 0.5), 0.6
    )


def _rim(rng: np.random.Generator) -> Lamp:
    side = rng.choice((-1.0, 1.0))
    strength = rng.uniform(0.2, 1.6) if rng.uniform() < 0.45 else 0.0
    colour = _white(rng, 0.5) if rng.uniform() < 0.8 else _tint(rng, rng.uniform(), rng.uniform(0.2, 0.6))
    return _lamp(_direction(side * rng.uniform(115.0, 165.0), rng.uniform(0.0, 50.0)), strength * colour, 0.3)


def _surroundings(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    level = rng.uniform(0.1, 0.4)
    white = _white(rng, 0.4)
    gain = np.array([rng.uniform(0.5, 1.4), rng.uniform(0.5, 1.4), rng.uniform(0.9, 1.7), rng.uniform(0.3, 0.8), 1.0, 0.7])
    sides = level * gain[:, None] * white * np.stack([_tint(rng, rng.uniform(), rng.uniform(0.0, 0.18)) for _ in gain])
    return tuple(map(tuple, sides.tolist()))


def make_light(rng: np.random.Generator) -> Light:
    """Random light of a room, a studio or a street. Key light and surroundings together vary little in brightness."""
    key = _key(rng)
    return Light(key=key, others=(_fill(rng, key), _rim(rng)), surroundings=_surroundings(rng))
