"""Pictures of hair: strands of several widths, gaps, roots and tips, in the boxes of the atlas.

For every place of a picture, the strand it lies on (a number that is constant along the strand, in decimetres across) and its
position along the strand are known. Noise over (strand · high frequency, position · low frequency) is stretched along the hair,
whatever its direction.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32

from data.heads.atlas import Box
from data.heads.cuts import Cut
from data.heads.mane import Mane, hanging
from data.heads.regions import smoothstep
from data.heads.traits import Colour, Traits

_OCTAVES = ((7.0, 0.7, 0.3), (22.0, 1.4, 0.35), (60.0, 2.5, 0.35))
"""Frequencies across and along (maxima per decimetre), and shares, of clumps, locks and hairs."""


def courses(mane: Mane, cut: Cut, traits: Traits) -> tuple[Float[np.ndarray, "r c"], Float[np.ndarray, "r c"]]:
    """The strand of each place of the mane, and the position along it, in decimetres; both depend on the way hair is combed."""
    x, y, z = np.moveaxis(mane.base.astype(np.float64), -1, 0)
    if cut.comb == "side":
        part = 0.32 * traits.part
        side = np.sign(x - part) + (x == part)
        return z * 1.05 + 0.25 * (8.2 - y) + 9.0 * side, np.abs(x - part) + 8.4 - y
    if cut.comb == "back":
        return np.arctan2(x, y - 6.9) * 0.85 + 20.0, z
    return np.broadcast_to(mane.turn * 0.75 + 30.0, x.shape) + 0.25 * mane.down, np.broadcast_to(mane.down * 1.3, x.shape)


def _large(grid: np.ndarray, box: Box) -> Float32[np.ndarray, "h w"]:
    """Interpolates values on the points of the grid to a picture of the box."""
    rows, columns = grid.shape
    across, down = np.meshgrid(np.linspace(0, columns - 1, box.width), np.linspace(0, rows - 1, box.height))
    return cv2.remap(grid.astype(np.float32), across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)


def strand_noise(
    rng: np.random.Generator, strand: np.ndarray, along: np.ndarray, coarse: float = 1.0
) -> Float32[np.ndarray, "h w"]:
    """Noise of about unit variance, stretched along strands."""
    out = np.zeros(strand.shape, np.float32)
    for frequency, stretch, share in _OCTAVES:
        table = rng.standard_normal((64, 1024)).astype(np.float32)
        x, y = (strand * frequency / coarse) % 1020.0, (along * stretch) % 60.0
        out += (
            1.7
            * share
            * cv2.remap(table, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
        )
    return out


def _curls(rng: np.random.Generator, shape: tuple[int, int], coarse: float) -> Float32[np.ndarray, "h w"]:
    """Noise of curls: ridges of noise without a direction."""
    cells = [(int(shape[0] / (size * coarse)), int(shape[1] / (size * coarse))) for size in (20, 9, 4)]
    grids = [rng.standard_normal((max(2, a), max(2, b))).astype(np.float32) for a, b in cells]
    noise = [cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) for grid in grids]
    ridge = 1.0 - 2.2 * np.abs(noise[1])
    return 0.3 * noise[0] + 0.45 * ridge + 0.6 * noise[2]


def _braids(strand: np.ndarray, along: np.ndarray, noise: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Braids close to the skin: rows with dark partings, each of three crossing strands."""
    across = (strand * 7.0) % 1.0 - 0.5
    plait = np.cos(2 * np.pi * (along * 9.0 + 1.2 * np.abs(across)))
    return (1.0 - 9.0 * across**2 * (across**2 > 0.1) - 3.0 * across**2 + 0.7 * plait + 0.3 * noise - 0.8).astype(np.float32)


def _edge(mane: Mane, cut: Cut, box: Box, rows: int) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Approximate distances of a picture's places to the end of the hair (hairline or tips) and from the roots, decimetres."""
    hang, skull = hanging(mane, cut), np.broadcast_to(mane.down * 1.25, mane.base.shape[:2])
    below = np.linspace(0.0, 1.0, rows - len(skull) + 1)[1:, None] * hang * cut.length
    root = np.concatenate([skull, 1.25 + below]) if rows > len(skull) else skull
    return _large(1.25 + hang * cut.length - root, box), _large(root, box)


def paint_mane(
    rng: np.random.Generator, mane: Mane, cut: Cut, traits: Traits, box: Box, rows: int, cover: float
) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Colour, opacity and shine of a layer with `rows` rows of points; `cover` is its opacity."""
    strand, along = courses(mane, cut, traits)
    if rows > len(strand):
        extra = rows - len(strand)
        strand = np.concatenate([strand, np.repeat(strand[-1:], extra, 0)])
        along = np.concatenate([along, along[-1:] + np.linspace(0, cut.length, extra + 1)[1:, None]])
    noise = strand_noise(rng, _large(strand, box), _large(along, box), cut.coarse)
    noise = _curls(rng, noise.shape, cut.coarse) if cut.comb == "round" else noise
    noise = _braids(_large(strand, box), _large(along, box), noise) if cut.braided else noise
    to_end, root = _edge(mane, cut, box, rows)
    hide = smoothstep(-0.45, 0.45, noise + 3.6 * (cover - 0.5)) if cover < 0.9 else np.ones_like(noise)
    alpha = hide * smoothstep(0.0, 1.0, to_end / (cut.edge * (1.0 + 2.0 * (root > 1.3))) + 0.42 * noise + 0.05)
    return colours(traits.hair, noise, root), alpha, shine(traits.hair, noise)


def colours(hair: Colour, noise: np.ndarray, root: np.ndarray) -> Float32[np.ndarray, "h w 3"]:
    """The hair's colour: darker between strands and at the roots, warmer and lighter towards the tips."""
    light = np.clip(0.88 + 0.15 * noise, 0.4, 1.5) * (0.78 + 0.22 * smoothstep(0.0, 0.9, root))
    warm = np.array([1.0, 0.985, 0.96], np.float32) ** np.clip(noise, -1.5, 1.5)[..., None]
    return np.asarray(hair, np.float32) * light[..., None] * warm


def shine(hair: Colour, noise: np.ndarray) -> Float32[np.ndarray, "h w"]:
    """Factor of the material's shine: lower for dark hair, which would look grey, and uneven between strands."""
    return ((0.45 + 0.7 * min(1.0, 2.0 * max(hair))) * np.clip(1.0 + 0.4 * noise, 0.0, 2.0)).astype(np.float32)
