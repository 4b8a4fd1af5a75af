"""Ribbons of hair: single locks as strips over the layers, and ponytails and buns as tubes.

A lock is a line of points from root to tip and a direction across. Its picture shows strands that become thinner towards the
tip and the sides; it is one of several pictures side by side in one box.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from data.heads.atlas import STRANDS, Box
from data.heads.cuts import Cut
from data.heads.mane import Mane
from data.heads.meridians import COLUMNS
from data.heads.pieces import Picture, Piece, grid_triangles, sheet
from data.heads.regions import smoothstep
from data.heads.strands import colours, shine, strand_noise
from data.heads.traits import Traits

VARIANTS = 4
"""Number of pictures of locks, side by side; the last one is dense, for ponytails and buns."""

POINTS = 6
"""Number of points along a lock."""


def _variant(index: int) -> Box:
    width = STRANDS.width // VARIANTS
    return Box(STRANDS.left + index * width, STRANDS.top, width - 2, STRANDS.height)


def locks(
    rng: np.random.Generator,
    lines: Float[np.ndarray, "n k 3"],
    across: Float[np.ndarray, "n k 3"],
    vertex: np.ndarray,
) -> Piece:
    """Strips along lines of points. `across` points from the middle to an edge; in front, that is to the person's left."""
    n, k, _ = lines.shape
    points = np.stack([lines - across, lines, lines + across], axis=2) + np.zeros((n, k, 3, 1))
    bend = np.cross(across, np.gradient(lines, axis=1))
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-9)
    points[:, :, 1] -= 0.25 * bend * np.linalg.norm(across, axis=-1, keepdims=True)  # bent, so that its middle has a highlight
    cells = grid_triangles(k, 3)
    triangles = (cells[None] + (np.arange(n) * 3 * k)[:, None, None]).reshape(-1, 3)
    down, side = np.meshgrid(np.linspace(0, 1, k), np.linspace(0, 1, 3), indexing="ij")
    place = np.stack([side.ravel(), down.ravel()], axis=1)
    uv = np.concatenate([_variant(int(v)).uv(place) for v in rng.integers(VARIANTS - 1, size=n)])
    return Piece(
        points=points.reshape(-1, 3).astype(np.float32),
        vertex_of=np.repeat(vertex, 3 * k).astype(np.int32),
        group=np.arange(n * k * 3, dtype=np.int32),
        triangles=triangles.astype(np.int32),
        uv=uv,
        material="hair_strips",
    )


def paint_locks(rng: np.random.Generator, traits: Traits) -> Picture:
    """The atlas picture of locks."""
    across, down = np.meshgrid(np.linspace(0, VARIANTS, STRANDS.width, False), np.linspace(0, 1, STRANDS.height))
    noise = strand_noise(rng, 0.5 * across + 0.02 * np.sin(5 * down + across), 0.8 * down)
    edge = 1.0 - np.abs(2.0 * (across % 1.0) - 1.0)
    thin = smoothstep(0.0, 0.5, edge + 0.25 * noise - 0.35 * down**2) * smoothstep(1.0, 0.55, down + 0.2 * noise)
    thin = np.where(across >= VARIANTS - 1, 1.0, thin * smoothstep(0.0, 0.3, down + 0.08 * noise))
    return Picture(STRANDS, colours(traits.hair, noise, 0.3 + 0.7 * down), thin.astype(np.float32), shine(traits.hair, noise))


def _roots(
    rng: np.random.Generator, mane: Mane, roof: np.ndarray, turn: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Points on the outer surface `roof`, directions out of it, and mesh vertices, at (turn, down)."""
    column = np.clip(np.round((turn + np.pi) / (2 * np.pi) * (COLUMNS - 1)).astype(int), 0, COLUMNS - 1)
    row = np.argmin(np.abs(mane.down - down[None]), axis=0)
    share = ((turn + np.pi) / (2 * np.pi) * (COLUMNS - 1) - column)[:, None]
    beside = np.clip(column + np.sign(share[:, 0]).astype(int), 0, COLUMNS - 1)
    points = roof[row, column] * (1 - np.abs(share)) + roof[row, beside] * np.abs(share)
    return points, mane.out[row, column], mane.vertex[row, column]


def fringe(rng: np.random.Generator, mane: Mane, roof: np.ndarray, traits: Traits) -> Piece:
    """Locks over the forehead; they lean to the side of the parting."""
    count = 22
    turn = np.linspace(-0.85, 0.85, count) + rng.uniform(-0.04, 0.04, count)
    root, out, vertex = _roots(rng, mane, roof, turn, rng.uniform(0.6, 0.78, count))
    end, skin_out, _ = _roots(rng, mane, mane.skin, turn, np.ones(count))
    reach = traits.fringe * rng.uniform(0.4, 0.6, count) * (1.0 - 0.25 * np.abs(turn))
    sweep = 0.35 * traits.part * traits.fringe
    t = np.linspace(0.0, 1.0, POINTS)[None, :, None]
    edge = end + 0.075 * skin_out
    tip = edge + np.stack([sweep * np.ones(count) - 0.12 * np.sin(turn), -reach, 0.10 * np.ones(count)], axis=-1)
    lines = (
        (1 - t) ** 2 * (root + 0.015 * out)[:, None] + 2 * t * (1 - t) * (edge + 0.05 * skin_out)[:, None] + t**2 * tip[:, None]
    )
    wide = np.stack([np.cos(0.8 * turn), 0.1 * rng.standard_normal(count), -np.sin(0.8 * turn)], axis=-1)
    across = wide[:, None] * rng.uniform(0.05, 0.085, count)[:, None, None] * (1.0 - 0.35 * t)
    return locks(rng, lines, across, vertex)


def tufts(rng: np.random.Generator, mane: Mane, roof: np.ndarray, cut: Cut) -> Piece:
    """Short locks that stick out of the surface and make its outline uneven."""
    count = 46
    turn, down = rng.uniform(-np.pi, np.pi, count), rng.uniform(0.05, 0.8, count) ** 0.7
    root, out, vertex = _roots(rng, mane, roof, turn, down)
    along = _roots(rng, mane, roof, turn, np.minimum(down + 0.16, 1.0))[0] - root
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-3)
    if cut.comb == "back":
        along = -along * (1, 0.2, 1)
    t = np.linspace(0.0, 1.0, POINTS)[None, :, None]
    long = (rng.uniform(0.16, 0.34, count) * min(1.0, 0.4 + 4.0 * cut.top))[:, None, None]
    lift = (rng.uniform(-0.05, 0.5, count) * (0.3 + cut.bumps))[:, None, None]
    lines = (root - 0.025 * out)[:, None] + long * (along[:, None] * t + out[:, None] * lift * np.sin(0.9 * np.pi * t) * 0.6)
    wide = np.cross(out, along)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-3)
    across = wide[:, None] * rng.uniform(0.03, 0.06, count)[:, None, None] * (1.0 - 0.5 * t)
    return locks(rng, lines, across, vertex)


def loose(rng: np.random.Generator, mane: Mane, roof: np.ndarray, length: float, wave: float) -> Piece:
    """Locks that hang from the temples in front of the ears."""
    count = 8
    side = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    root, out, vertex = _roots(rng, mane, roof, side * rng.uniform(0.8, 1.15, count), rng.uniform(0.75, 0.95, count))
    t = np.linspace(0.0, 1.0, POINTS)[None, :, None]
    long = (length * rng.uniform(0.5, 1.0, count))[:, None, None]
    out = out * (1.0, 0.0, 1.0)
    sway = wave * np.sin(6.0 * t * long + rng.uniform(0, 6, count)[:, None, None]) + 0.07 * np.sin(np.pi * t)
    lines = (root + 0.03 * out)[:, None] + long * t * np.array([0.0, -1.0, 0.05]) + sway * out[:, None]
    wide = np.stack([0.3 * side, 0 * side, -0.9 * np.ones(count)], axis=-1)
    across = wide[:, None] * rng.uniform(0.02, 0.045, count)[:, None, None] * (1.0 - 0.4 * t)
    return locks(rng, lines, across * side[:, None, None], vertex)


def tube(line: Float[np.ndarray, "k 3"], radius: Float[np.ndarray, "k"], vertex: int) -> Piece:
    """A closed tube of hair along a line; its ends are points where the radius is 0."""
    turn = np.linspace(0.0, 2 * np.pi, 13)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    first = np.cross(along, (0.0, 0.3, 1.0))
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    ring = np.cos(turn)[None, :, None] * first[:, None] - np.sin(turn)[None, :, None] * second[:, None]
    points = line[:, None] + radius[:, None, None] * ring
    return sheet(points, np.full(points.shape[:2], vertex), _variant(VARIANTS - 1), "hair_strips", ring=True)


def bun(rng: np.random.Generator, mane: Mane) -> Piece:
    """A bun at the crown or at the back of the head."""
    row, size = int(rng.integers(1, 8)), rng.uniform(0.2, 0.34)
    centre = mane.skin[row, 0] + mane.out[row, 0] * (0.6 * size)
    t = np.linspace(-1.0, 1.0, 9)
    line = centre + (t * size * 0.85)[:, None] * mane.out[row, 0]
    return tube(line, size * np.sqrt(np.maximum(1.0 - t**2, 0.0)), int(mane.vertex[row, 0]))


def tail(rng: np.random.Generator, mane: Mane) -> Piece:
    """A ponytail from the back of the head, sometimes over one shoulder."""
    row, long = int(rng.integers(3, 9)), rng.uniform(1.0, 2.0)
    t = np.linspace(0.0, 1.0, 10)[:, None]
    root, out = mane.skin[row, 0], mane.out[row, 0]
    side = rng.choice([-1.0, 0.0, 0.0, 1.0]) * rng.uniform(0.5, 0.8)
    rise = out * (0.35 * np.sin(np.pi * np.minimum(1.3 * t, 1.0)))
    line = root + rise + t**1.3 * np.array([side, -long, 0.15 + 0.6 * abs(side)])
    radius = 0.15 * np.sin(np.pi * np.clip(t[:, 0] * 0.92 + 0.12, 0, 1)) ** 0.6
    radius[-1] = 0.01
    return tube(line, radius, int(mane.vertex[row, 0]))
