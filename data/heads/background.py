"""Background behind a person: rooms, walls, lights, gardens, studios; drawn once per clip and blurred as out of focus.

The canvas is `SPAN` times as wide as the picture, so that it also covers wider framings and a swaying camera.
"""

from __future__ import annotations

import colorsys
import dataclasses

import cv2
import numpy as np
from jaxtyping import Float32

SPAN = 2.4
"""Side of the canvas, as a multiple of the picture's side."""

KINDS = ("studio", "wall", "room", "bokeh", "outdoors", "window")
_SHARES = (0.14, 0.16, 0.32, 0.12, 0.14, 0.12)

Canvas = Float32[np.ndarray, "n n 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Background:
    """Kind, seed of the drawing, standard deviation of the blur (fraction of the picture's side), brightness relative to the
    person's, and standard deviation of the camera's sway (fraction of the picture's side; 0 on a tripod)."""

    kind: str
    seed: int
    blur: float
    gain: float
    sway: float


def make_background(rng: np.random.Generator) -> Background:
    """A random background, most often a room; about every third camera is held by hand."""
    kind = str(rng.choice(KINDS, p=_SHARES))
    blur = float(np.exp(rng.uniform(np.log(0.003), np.log(0.05))))
    return Background(
        kind=kind,
        seed=int(rng.integers(2**31)),
        blur=max(blur, {"bokeh": 0.02, "outdoors": 0.008}.get(kind, 0.0)),
        gain=float(np.exp(rng.normal(-0.1, 0.35))),
        sway=float(rng.uniform(0.002, 0.012)) if rng.uniform() < 0.35 else 0.0,
    )


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)), np.float32)


def _muted(rng: np.random.Generator, low: float = 0.2, high: float = 0.85) -> np.ndarray:
    """A colour of walls and furniture: mostly warm or bluish greys, rarely bright."""
    hue, most = ((rng.normal(0.09, 0.03), 0.5), (rng.normal(0.58, 0.05), 0.45), (rng.uniform(), 0.6))[
        rng.choice(3, p=(0.6, 0.22, 0.18))
    ]
    return _hsv(hue, most * rng.beta(1.2, 2.5), rng.uniform(low, high))


def _gradient(n: int, corners: np.ndarray) -> Canvas:
    """Interpolation between the colours of the four corners [2, 2, 3]."""
    return cv2.resize(np.asarray(corners, np.float32), (n, n), interpolation=cv2.INTER_LINEAR)


def _clouds(rng: np.random.Generator, n: int, cells: tuple[int, ...], strength: float, falloff: float = 0.7) -> np.ndarray:
    """Smooth noise [n, n, 1] of several scales with zero mean."""
    out = np.zeros((n, n), np.float32)
    for i, c in enumerate(cells):
        out += falloff**i * cv2.resize(rng.standard_normal((c, c), np.float32), (n, n), interpolation=cv2.INTER_CUBIC)
    return strength * out[..., None]


def _box(canvas: Canvas, rect: tuple[float, float, float, float], colour: np.ndarray) -> None:
    """Fills the rectangle (x0, y0, x1, y1), in fractions of the canvas."""
    n = canvas.shape[0]
    (x0, y0, x1, y1) = (round(v * 64 * n) for v in rect)
    points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.int32)
    cv2.fillConvexPoly(canvas, points, colour.tolist(), cv2.LINE_AA, 6)


def _studio(rng: np.random.Generator, n: int) -> Canvas:
    colour = _hsv(rng.uniform(), rng.beta(1.0, 5.0), rng.uniform(0.05, 0.95))
    axis = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    x, y = axis[None] - rng.uniform(-0.4, 0.4), axis[:, None] - rng.uniform(-0.5, 0.3)
    glow = np.exp(-(x * x + y * y) / rng.uniform(0.2, 1.2))[..., None]
    return colour * (rng.uniform(0.3, 1.0) + rng.uniform(0.1, 0.7) * glow)


def _wall(rng: np.random.Generator, n: int) -> Canvas:
    wall = _gradient(n, _muted(rng, 0.25, 0.9) * rng.uniform(0.6, 1.1, (2, 2, 1)))
    kind = rng.integers(4)
    if kind == 0:
        wall = wall * (1.0 + _clouds(rng, n, (8, 20, 60, 150), 0.05))
    elif kind == 1:
        _bricks(rng, wall)
    elif kind == 2:
        _stripes(rng, wall)
    return wall + _clouds(rng, n, (6, 90), 0.012)


def _bricks(rng: np.random.Generator, canvas: Canvas) -> None:
    base, high = canvas.mean((0, 1)), rng.uniform(0.02, 0.045)
    wide, joint = high * rng.uniform(2.0, 3.5), 0.1 * high
    for row in range(int(1 / high) + 1):
        for column in range(-1, int(1 / wide) + 1):
            x, y = (column + 0.5 * (row % 2)) * wide, row * high
            _box(canvas, (x + joint, y + joint, x + wide - joint, y + high - joint), base * rng.normal(0.8, 0.1))


def _stripes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Boards, panels or wallpaper."""
    base, wide, lying = canvas.mean((0, 1)), rng.uniform(0.015, 0.12), rng.uniform() < 0.3
    spread, gap = rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.12)
    for i in range(int(1 / wide) + 1):
        a, b = i * wide, (i + 1 - gap) * wide
        rect = (0.0, a, 1.0, b) if lying else (a, 0.0, b, 1.0)
        _box(canvas, rect, base * (1.0 + spread * rng.normal() + 0.15 * (gap == 0) * (i % 2)))


def _room(rng: np.random.Generator, n: int) -> Canvas:
    canvas = _gradient(n, _muted(rng, 0.35, 0.9) * rng.uniform(0.65, 1.1, (2, 2, 1)))
    if rng.uniform() < 0.6:
        corner = rng.uniform(0.1, 0.9)
        side = (0.0, 0.0, corner, 1.0) if rng.uniform() < 0.5 else (corner, 0.0, 1.0, 1.0)
        _box(canvas, side, canvas.mean((0, 1)) * rng.uniform(0.6, 0.9))
    things = (_shelf, _picture, _picture, _door, _lamp, _curtain, _sofa, _plant, _bright_window)
    for thing in rng.permutation(len(things))[: rng.integers(2, 6)]:
        things[thing](rng, canvas)
    return canvas + _clouds(rng, n, (5, 40), 0.01)


def _place(rng: np.random.Generator, wide: tuple[float, float], high: tuple[float, float], top: tuple[float, float]) -> tuple:
    w, h = rng.uniform(*wide), rng.uniform(*high)
    x, y = rng.uniform(-0.1, 1.1 - w), rng.uniform(*top)
    return x, y, x + w, y + h


def _shelf(rng: np.random.Generator, canvas: Canvas) -> None:
    x0, y0, x1, y1 = _place(rng, (0.25, 0.6), (0.4, 0.9), (0.0, 0.35))
    wood = _hsv(rng.normal(0.07, 0.02), rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.8))
    _box(canvas, (x0, y0, x1, y1), wood * 0.45)
    rows = rng.integers(3, 7)
    step = (y1 - y0) / rows
    for row in range(rows):
        bottom = y0 + (row + 1) * step
        x = x0 + 0.01
        while x < x1 - 0.02:
            w = rng.uniform(0.008, 0.035)
            if rng.uniform() < 0.8:
                book = _hsv(rng.uniform(), rng.uniform(0.05, 0.6), rng.uniform(0.1, 0.85))
                _box(canvas, (x, bottom - step * rng.uniform(0.5, 0.88), min(x + w, x1), bottom), book)
            x += w
        _box(canvas, (x0, bottom - 0.008, x1, bottom + 0.008), wood)
    for x in (x0, x1):
        _box(canvas, (x - 0.008, y0, x + 0.008, y1), wood)


def _picture(rng: np.random.Generator, canvas: Canvas) -> None:
    x0, y0, x1, y1 = _place(rng, (0.1, 0.3), (0.1, 0.3), (0.05, 0.5))
    edge = rng.uniform(0.004, 0.015)
    _box(canvas, (x0 - edge, y0 - edge, x1 + edge, y1 + edge), _muted(rng, 0.05, 0.95))
    _box(canvas, (x0, y0, x1, y1), _hsv(rng.uniform(), rng.uniform(0, 0.6), rng.uniform(0.3, 0.95)))
    for _ in range(rng.integers(2, 7)):
        a, b = np.sort(rng.uniform(x0, x1, 2)), np.sort(rng.uniform(y0, y1, 2))
        _box(canvas, (a[0], b[0], a[1], b[1]), _hsv(rng.uniform(), rng.uniform(0, 0.7), rng.uniform(0.1, 0.95)))


def _door(rng: np.random.Generator, canvas: Canvas) -> None:
    x0, y0, x1, y1 = _place(rng, (0.2, 0.32), (0.8, 1.0), (0.05, 0.25))
    leaf = _muted(rng, 0.2, 0.95)
    _box(canvas, (x0 - 0.015, y0 - 0.015, x1 + 0.015, y1), leaf * 0.75)
    _box(canvas, (x0, y0, x1, y1), leaf)
    inset = 0.2 * (x1 - x0)
    for a, b in ((0.06, 0.4), (0.47, 0.95)):
        _box(canvas, (x0 + inset, y0 + a * (y1 - y0), x1 - inset, y0 + b * (y1 - y0)), leaf * rng.uniform(0.8, 1.1))


def _lamp(rng: np.random.Generator, canvas: Canvas) -> None:
    n = canvas.shape[0]
    x, y, r = rng.uniform(0.05, 0.95), rng.uniform(0.15, 0.6), rng.uniform(0.03, 0.08)
    axis = np.arange(n, dtype=np.float32) / n
    glow = np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (9.0 * r * r))[..., None]
    canvas += 0.35 * glow * _hsv(0.1, 0.35, 1.0)
    _box(canvas, (x - 0.15 * r, y, x + 0.15 * r, y + 0.5), np.full(3, 0.15, np.float32))
    shade = np.array([[x - 0.6 * r, y - r], [x + 0.6 * r, y - r], [x + r, y + r], [x - r, y + r]])
    colour = _hsv(rng.normal(0.11, 0.02), 0.25, 1.0) * 1.15
    cv2.fillConvexPoly(canvas, np.round(shade * n * 64).astype(np.int32), colour.tolist(), cv2.LINE_AA, 6)


def _folds(canvas: Canvas, rect: tuple[float, float, float, float], colour: np.ndarray, width: float, depth: float) -> None:
    x0, y0, x1, y1 = rect
    for x in np.arange(x0, x1, width / 4):
        shade = 1.0 + depth * np.sin(2.0 * np.pi * x / width + 1.5 * np.sin(9.0 * x / width))
        _box(canvas, (x, y0, min(x + width / 4, x1), y1), colour * shade)


def _curtain(rng: np.random.Generator, canvas: Canvas) -> None:
    x0, _, x1, _ = _place(rng, (0.15, 0.4), (1.0, 1.0), (0.0, 0.01))
    _folds(canvas, (x0, 0.0, x1, 1.0), _muted(rng, 0.2, 0.9), rng.uniform(0.02, 0.06), rng.uniform(0.05, 0.25))


def _sofa(rng: np.random.Generator, canvas: Canvas) -> None:
    colour, top = _muted(rng, 0.1, 0.7), rng.uniform(0.6, 0.75)
    x0, _, x1, _ = _place(rng, (0.5, 1.0), (0.3, 0.3), (0.6, 0.7))
    _box(canvas, (x0, top, x1, 1.0), colour)
    for x in np.arange(x0, x1, rng.uniform(0.15, 0.3)):
        _box(canvas, (x - 0.004, top + 0.02, x + 0.004, 1.0), colour * 0.6)


def _plant(rng: np.random.Generator, canvas: Canvas) -> None:
    n, x, y = canvas.shape[0], rng.uniform(0.05, 0.95), rng.uniform(0.35, 0.75)
    _box(canvas, (x - 0.05, y, x + 0.05, y + 0.12), _muted(rng, 0.2, 0.8))
    for _ in range(rng.integers(15, 45)):
        angle, length = rng.normal(-np.pi / 2, 0.8), rng.uniform(0.08, 0.28)
        middle = np.array([x + 0.5 * length * np.cos(angle), y + 0.5 * length * np.sin(angle)])
        axes = np.array([0.5 * length, length * rng.uniform(0.05, 0.16)])
        leaf = _hsv(rng.normal(0.29, 0.03), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.55))
        _ellipse(canvas, middle * n, axes * n, np.degrees(angle), leaf)


def _ellipse(canvas: Canvas, middle: np.ndarray, axes: np.ndarray, angle: float, colour: np.ndarray) -> None:
    box = (tuple(map(float, middle)), tuple(float(max(2 * a, 1.0)) for a in axes), float(angle))
    cv2.ellipse(canvas, box, colour.tolist(), -1, cv2.LINE_AA)


def _bright_window(rng: np.random.Generator, canvas: Canvas) -> None:
    x0, y0, x1, y1 = _place(rng, (0.2, 0.5), (0.3, 0.6), (0.0, 0.3))
    frame = _muted(rng, 0.3, 0.95)
    _box(canvas, (x0 - 0.02, y0 - 0.02, x1 + 0.02, y1 + 0.02), frame)
    sky = _hsv(rng.normal(0.57, 0.03), rng.uniform(0.0, 0.35), 1.0) * rng.uniform(0.9, 1.3)
    _box(canvas, (x0, y0, x1, y1), sky)
    _box(canvas, (x0, y0 + 0.65 * (y1 - y0), x1, y1), _hsv(rng.normal(0.28, 0.05), 0.3, rng.uniform(0.3, 0.8)))
    bars = rng.integers(1, 4)
    for i in range(1, bars + 1):
        x = x0 + i * (x1 - x0) / (bars + 1)
        _box(canvas, (x - 0.006, y0, x + 0.006, y1), frame)
    y = rng.uniform(y0 + 0.3 * (y1 - y0), y0 + 0.6 * (y1 - y0))
    _box(canvas, (x0, y - 0.006, x1, y + 0.006), frame)


def _window(rng: np.random.Generator, n: int) -> Canvas:
    """A bright window that fills much of the picture, with curtains."""
    canvas = _room(rng, n) * np.float32(rng.uniform(0.5, 0.9))
    _bright_window(rng, canvas)
    _curtain(rng, canvas)
    return canvas


def _bokeh(rng: np.random.Generator, n: int) -> Canvas:
    """Lamps at night or sun through leaves, far out of focus."""
    dark = _hsv(rng.uniform(), rng.uniform(0.1, 0.6), rng.uniform(0.03, 0.35))
    canvas = _gradient(n, dark * rng.uniform(0.4, 1.5, (2, 2, 1)))
    hue, spread, radius = rng.uniform(), rng.choice((0.03, 0.08, 0.5)), rng.uniform(0.01, 0.045)
    for _ in range(rng.integers(25, 140)):
        layer = canvas.copy()
        size = np.full(2, radius * n * rng.uniform(0.6, 1.3))
        colour = _hsv(hue + spread * rng.normal(), rng.uniform(0.1, 0.7), 1.0) * rng.uniform(0.2, 1.2)
        _ellipse(layer, rng.uniform(0, n, 2), size, 0.0, colour)
        canvas = cv2.addWeighted(canvas, 0.45, layer, 0.55, 0.0)
    return canvas


def _outdoors(rng: np.random.Generator, n: int) -> Canvas:
    """Sky, ground, and foliage or the houses of a street."""
    horizon = rng.uniform(0.35, 0.75)
    sky = _hsv(rng.normal(0.58, 0.03), rng.uniform(0.02, 0.5), rng.uniform(0.75, 1.0))
    ground = _hsv(rng.choice((0.08, 0.25, 0.1)), rng.uniform(0.05, 0.4), rng.uniform(0.25, 0.6))
    canvas = _gradient(n, np.stack([sky, sky * 0.9 + 0.1])[:, None].repeat(2, 1)) + 0.5 * np.maximum(
        _clouds(rng, n, (3, 7, 15), 0.15), 0
    )
    _box(canvas, (0.0, horizon, 1.0, 1.0), ground)
    (_street if rng.uniform() < 0.4 else _foliage)(rng, canvas, horizon)
    return canvas


def _street(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x = -0.05
    while x < 1.0:
        w, top, wall = rng.uniform(0.12, 0.35), horizon - rng.uniform(0.1, 0.7), _muted(rng, 0.2, 0.85)
        _box(canvas, (x, top, x + w, horizon + rng.uniform(0.0, 0.15)), wall)
        for wx in np.arange(x + 0.02, x + w - 0.03, 0.05):
            for wy in np.arange(top + 0.03, horizon - 0.03, 0.07):
                _box(canvas, (wx, wy, wx + 0.026, wy + 0.042), wall * rng.choice((0.35, 0.5, 1.4)))
        x += w


def _foliage(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    """Leaves in clumps: dark and distant ones first, bright and large ones last."""
    n, hue, low = canvas.shape[0], rng.normal(0.24, 0.035), rng.uniform(0.0, min(0.5, horizon))
    bottom, saturation = min(horizon + 0.15, 1.0), rng.uniform(0.3, 0.65)
    clumps = np.stack([rng.uniform(-0.05, 1.05, 40), low + rng.uniform(size=40) * (bottom - low)], axis=1)
    count = rng.integers(700, 1400)
    for i in range(count):
        middle = clumps[rng.integers(len(clumps))] + rng.normal(0.0, 0.06, 2)
        bright = rng.uniform(0.04, 0.25) + 0.45 * (i / count) * rng.uniform()
        leaf = _hsv(hue + 0.02 * rng.normal(), saturation * rng.uniform(0.6, 1.2), bright)
        _ellipse(canvas, middle * n, rng.uniform(0.004, 0.02, 2) * n, rng.uniform(0, 180), leaf)


_DRAW = {"studio": _studio, "wall": _wall, "room": _room, "bokeh": _bokeh, "outdoors": _outdoors, "window": _window}


def draw(background: Background, size: int) -> Canvas:
    """The canvas for a picture of `size` pixels, display-coded, not below 0; bright objects exceed 1."""
    rng = np.random.default_rng(background.seed)
    n = round(SPAN * size)
    canvas = np.ascontiguousarray(_DRAW[background.kind](rng, n), np.float32)
    canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.3, background.blur * size), borderType=cv2.BORDER_REFLECT)
    return np.maximum(canvas, 0.0)


def sway(background: Background, frame: int) -> tuple[float, float]:
    """Shift (right, down) of the background at a frame, in fractions of the picture's side: slow waves with random phases."""
    rng = np.random.default_rng(background.seed)
    seconds = frame / 25.0
    phase, speed = rng.uniform(0.0, 2.0 * np.pi, (2, 3)), rng.uniform(0.3, 1.0, (2, 3)) * (1.0, 2.3, 6.0)
    waves = np.sin(phase + speed * seconds) * (1.0, 0.5, 0.15)
    return tuple((background.sway * waves.sum(1)).tolist())
