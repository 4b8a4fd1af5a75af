"""Fine details of a face: brows, wrinkles, freckles, moles, scars; as opacities on the skin's chart."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from data.heads.brush import strokes
from data.heads.regions import front, locate
from data.heads.traits import Traits

Shape = tuple[int, int]


def _both_sides(place: Float[np.ndarray, "n k 2"]) -> Float[np.ndarray, "m k 2"]:
    return np.concatenate([place, place * (-1.0, 1.0)])


def _brow_line(traits: Traits, along: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth, height and half thickness along a brow, from the nose (0) to the temple (1)."""
    arch = np.sin(np.pi * np.clip(along, 0.0, 1.0) ** 1.35)
    middle = 7.475 + 0.022 * traits.brow_height + 0.02 * traits.brow_slant * (along - 0.4)
    middle = middle + 0.03 * arch * (0.6 + 0.5 * traits.brow_arch) - 0.02 * along**3
    thick = 0.03 * traits.brow_thickness * np.interp(along, [0.0, 0.15, 0.45, 1.0], [0.75, 1.0, 0.95, 0.25])
    gap = 0.105 + 0.035 * traits.brow_gap
    return gap + (0.6 - gap) * along, middle, thick


def brows(rng: np.random.Generator, traits: Traits, shape: Shape) -> UInt8[np.ndarray, "h w"]:
    """Both brows: single hairs, and a soft shadow for hairs too fine to be drawn."""
    count = int(90 + 190 * traits.brow_density * min(traits.brow_thickness, 1.2))
    along, across = rng.uniform(-0.03, 1.0, (2, count)), rng.uniform(-1.0, 1.0, (2, count))
    azimuth, height, thick = _brow_line(traits, along)
    lean = np.interp(along, [0.0, 0.12, 0.4, 0.75, 1.0], [1.2, 0.8, 0.35, 0.0, -0.5]) - 0.35 * across * (along > 0.15)
    lean = lean + rng.normal(0.0, 0.16, lean.shape)
    long = (
        rng.uniform(0.03, 0.065, lean.shape)
        * (0.75 + 0.3 * traits.brow_thickness)
        * np.interp(along, [0.0, 0.25, 1.0], [0.55, 1.0, 0.8])
    )
    root = np.stack([azimuth, height + thick * across], axis=-1)
    steps = np.linspace(0.0, 1.0, 4)[:, None]
    bend = steps * (long * 0.9)[..., None, None] * np.stack([np.cos(lean), np.sin(lean)], -1)[..., None, :]
    place = root[..., None, :] + bend - (0.0, 0.012) * steps**2
    place[1, ..., 0] *= -1.0
    strength = (
        rng.uniform(90.0, 255.0, count * 2)
        * (0.5 + 0.5 * traits.brow_density)
        * np.interp(along.ravel(), [0.0, 0.2], [0.5, 1.0])
    )
    drawn = strokes(np.zeros(shape, np.uint8), locate(place.reshape(-1, 4, 2)), strength)
    soft = cv2.GaussianBlur(drawn, (0, 0), 2.5)
    return cv2.addWeighted(soft, 0.6, drawn, 0.55, 0.0)


def _curve(points: list[tuple[float, float]], depth: float, count: int = 14) -> Float[np.ndarray, "count 2"]:
    """A smooth line on the face, as (azimuth, height), through points (x, y)."""
    points = np.asarray(points, float)
    at = np.linspace(0.0, len(points) - 1.0, count)
    line = np.stack([np.interp(at, np.arange(len(points)), column) for column in points.T], axis=1)
    line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    return front(line, depth)


def _age_lines(rng: np.random.Generator) -> list[tuple[np.ndarray, float, bool]]:
    """Wrinkles of forehead, frown, eye corners, under the eyes, beside nose and mouth: (line, strength, on both sides)."""
    out = []
    for height in np.sort(rng.uniform(7.62, 7.88, rng.integers(2, 5))):
        wave = rng.uniform(-0.012, 0.012, 7)
        x = np.linspace(-1, 1, 7) * rng.uniform(0.16, 0.45) + rng.uniform(-0.12, 0.12)
        line = [(a, height + rng.uniform(-0.01, 0.01) + b - 0.12 * a * a) for a, b in zip(x, wave, strict=True)]
        out.append((_curve(line, 1.4, 24), rng.uniform(0.2, 0.65), False))
    out.append((_curve([(0.055, 7.43), (0.06, 7.5), (0.07, 7.56)], 1.45), rng.uniform(0.2, 0.8), True))
    for lift in (0.075, 0.025, -0.03):
        out.append((_curve([(0.5, 7.27 + 0.3 * lift), (0.56, 7.27 + lift), (0.61, 7.27 + 1.6 * lift)], 1.18), 0.5, True))
    out.append((_curve([(0.17, 7.22), (0.24, 7.16), (0.33, 7.135), (0.42, 7.16)], 1.33), 0.75, True))
    out.append((_curve([(0.16, 7.17), (0.25, 7.08), (0.36, 7.05)], 1.35), 0.35, True))
    out.append((_curve([(0.16, 6.93), (0.22, 6.86), (0.29, 6.76), (0.34, 6.64)], 1.4), 1.0, True))
    out.append((_curve([(0.32, 6.58), (0.345, 6.5), (0.345, 6.4)], 1.32), 0.55, True))
    return out


def lines(rng: np.random.Generator, traits: Traits, shape: Shape) -> np.ndarray:
    """Darkness of wrinkles and of the bright ridges beside them (negative); about -0.15 to 0.6."""
    canvas = np.zeros(shape, np.uint8)
    for line, strength, both in _age_lines(rng):
        places = _both_sides(line[None]) if both else line[None]
        level = 255.0 * strength * rng.uniform(0.6, 1.0) * np.clip(traits.lines, 0.06, 1.0)
        strokes(canvas, locate(places), np.full(len(places), level), 1)
    fine = cv2.GaussianBlur(canvas, (0, 0), 1.1).astype(np.float32)
    broad = cv2.GaussianBlur(canvas, (0, 0), 5.0).astype(np.float32)
    ridge = np.roll(broad, 7, axis=0)
    return (0.75 * fine + 1.1 * broad - 0.7 * ridge) / 255.0 * np.float32(min(1.0, 0.35 + traits.lines))


def freckles(rng: np.random.Generator, traits: Traits, shape: Shape) -> UInt8[np.ndarray, "h w"]:
    """Small spots on nose and cheeks; fewer elsewhere."""
    canvas = np.zeros(shape, np.uint8)
    if not traits.freckles:
        return canvas
    count = int(260 * traits.freckles)
    place = np.stack([rng.normal(0.0, 0.42, count), rng.normal(7.0, 0.17, count)], axis=-1)
    wide = np.stack([rng.uniform(-1.0, 1.0, count // 3), rng.uniform(6.4, 7.8, count // 3)], axis=-1)
    for x, y in locate(np.concatenate([place, wide])):
        radius = rng.uniform(0.5, 1.7)
        cv2.circle(canvas, (round(16 * x), round(16 * y)), round(16 * radius), float(rng.uniform(40, 150)), -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(canvas, (0, 0), 0.8)


def moles(rng: np.random.Generator, traits: Traits, shape: Shape) -> UInt8[np.ndarray, "h w"]:
    """A few dark dots at random places, rarely a birthmark."""
    canvas = np.zeros(shape, np.uint8)
    for x, y in locate(np.stack([rng.uniform(-1.1, 1.1, traits.moles), rng.uniform(6.25, 7.8, traits.moles)], axis=-1)):
        radius = round(16 * rng.uniform(0.8, 2.2))
        cv2.circle(canvas, (round(16 * x), round(16 * y)), radius, float(rng.uniform(90, 255)), -1, cv2.LINE_AA, 4)
    if traits.birthmark:
        x, y = locate(np.array([[rng.uniform(-1.0, 1.0), rng.uniform(6.4, 7.8)]]))[0]
        size = rng.uniform(8, 26, 2)
        cv2.ellipse(canvas, ((float(x), float(y)), (float(size[0]), float(size[1])), float(rng.uniform(0, 180))), 60.0, -1)
    return cv2.GaussianBlur(canvas, (0, 0), 0.9)


def scar(rng: np.random.Generator, traits: Traits, shape: Shape) -> UInt8[np.ndarray, "h w"]:
    """A thin pale line at a random place of brow, cheek or chin."""
    canvas = np.zeros(shape, np.uint8)
    if not traits.scar:
        return canvas
    start, turn = np.array([rng.uniform(-0.8, 0.8), rng.uniform(6.3, 7.7)]), rng.uniform(0, np.pi)
    steps = np.linspace(0.0, rng.uniform(0.1, 0.3), 8)[:, None]
    line = start + steps * (np.cos(turn), np.sin(turn)) + 0.02 * np.sin(15.0 * steps) * (1.0, 0.0)
    return cv2.GaussianBlur(strokes(canvas, locate(line)[None], np.array([230.0])), (0, 0), 0.9)
