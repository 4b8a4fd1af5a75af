"""Shape of hair: rows of points from the crown to the hairline, and for long hair on to the tips."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32

from data.heads.cuts import Cut
from data.heads.meridians import COLUMNS, SKULL, STEPS, load_places, skin_at, turns
from data.heads.regions import above_hairline, smoothstep

SKULL_ROWS, HANGING_ROWS = 13, 8


@dataclass(frozen=True)
class Mane:
    """A person's scalp between crown and hairline, as a grid of SKULL_ROWS × COLUMNS points."""

    skin: Float32[np.ndarray, "r c 3"]
    out: Float32[np.ndarray, "r c 3"]  # unit vectors away from the skull
    base: Float32[np.ndarray, "r c 3"]  # the same points on the base mesh
    down: Float32[np.ndarray, "r 1"]  # 0 at the crown to 1 at the hairline
    turn: Float32[np.ndarray, "c"]  # azimuth about the crown
    vertex: Int32[np.ndarray, "r c"]  # mesh vertices that the points follow


def _edge_steps(edge: Float[np.ndarray, "h 2"]) -> Float[np.ndarray, "c"]:
    """Step along each meridian at which the hair ends."""
    base = load_places(SKULL).base
    inside = above_hairline(base.reshape(-1, 3), edge).reshape(COLUMNS, STEPS) > -0.04
    last = np.where(inside.all(1), STEPS - 1, np.argmin(inside, axis=1)).astype(float)
    last = 0.5 * (last + last[::-1])
    return np.convolve(np.r_[last[-2], last, last[1]], [0.2, 0.6, 0.2], "valid")


def grow(vertices: Float[np.ndarray, "v 3"], edge: Float[np.ndarray, "h 2"]) -> Mane:
    """The scalp of a person whose hair ends at `edge` (azimuth, height)."""
    down = np.linspace(0.0, 1.0, SKULL_ROWS)[:, None] ** 0.9
    skin = skin_at(SKULL, vertices, down * _edge_steps(edge))
    out = skin.out * np.where(skin.out[..., 1:2] < 0, (1.0, 0.35, 1.0), 1.0)
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    return Mane(skin.points, out, skin.base, down, turns(), skin.vertex)


def hanging(mane: Mane, cut: Cut) -> Float[np.ndarray, "c"]:
    """Fraction of the style's length that hangs down at each column."""
    return smoothstep(cut.front_angle - 0.1, cut.front_angle + 0.25, np.abs(mane.turn)) * (cut.length > 0)


def _roughness(rng: np.random.Generator, rows: int, columns: int) -> Float32[np.ndarray, "r c"]:
    small = [rng.standard_normal(shape).astype(np.float32) for shape in ((5, 12), (9, 25))]
    rough = sum(cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC) for noise in small)
    rough[:, -1] = rough[:, 0]
    rough[0] = rough[0].mean()
    return rough


def thickness(rng: np.random.Generator, mane: Mane, cut: Cut) -> Float[np.ndarray, "r c"]:
    """Distance of the lower layer from the skin: largest on top, smallest at the hairline unless hair hangs down from it."""
    turn, height = np.abs(mane.turn)[None], mane.base[..., 1]
    low = cut.side + (cut.back - cut.side) * smoothstep(1.6, 2.5, turn)
    thick = low + (cut.top - low) * smoothstep(7.5, 8.1, height)
    thick = thick + cut.front * smoothstep(1.0, 0.35, turn) * smoothstep(0.35, 0.85, mane.down)
    thick = thick * (1.0 + 0.16 * cut.bumps * _roughness(rng, *thick.shape))
    taper = smoothstep(1.03, 0.78 if cut.comb == "round" else 0.7, mane.down) ** 0.55
    return np.maximum(thick * (taper + (1.0 - taper) * hanging(mane, cut)), 0.006)


def _hang(rng: np.random.Generator, mane: Mane, roof: np.ndarray, cut: Cut) -> Float[np.ndarray, "h c 3"]:
    """Rows of hair that hang from the last row of `roof`: downwards, in waves, with the tips bent inwards."""
    turn, share = mane.turn, hanging(mane, cut)
    down = np.linspace(0.0, 1.0, HANGING_ROWS + 1)[1:, None]
    drop = down * share * cut.length
    swell = 0.06 * np.sin(np.pi * np.clip(drop, 0, 1)) - cut.inward * smoothstep(0.5, 1.0, down) * share
    phase = rng.uniform(0, 6.28) + 2.0 * turn + 0.8 * np.sin(3.0 * turn)
    swell = swell + cut.wave * np.sin(5.5 * drop + phase) * smoothstep(0.0, 0.3, drop)
    outward = np.stack([np.sin(turn), 0.0 * turn, 0.6 * np.cos(turn)], axis=-1)
    rows = roof[-1] + swell[..., None] * outward
    rows[..., 1] -= drop
    return rows


def layers(rng: np.random.Generator, mane: Mane, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Points of the lower and of the outer layer, [rows, columns, 3], including hanging rows where hair is long."""
    thick, seed, grids = thickness(rng, mane, cut), int(rng.integers(2**31)), []
    for spread in (1.0, cut.spread):
        roof = mane.skin + mane.out * (thick * spread)[..., None]
        hang = [_hang(np.random.default_rng(seed), mane, roof, cut)] if cut.length else []
        grids.append(np.concatenate([roof, *hang]))
    return grids[0], grids[1]
