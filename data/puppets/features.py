"""Features of a puppet's face: closed outlines over time, each of one colour, in painting order.

Every feature is a curve in the head's plane. Controls displace it; then it is lifted onto the head's surface and posed
(`data.puppets.pose`). A feature that hides another (a lid over an iris) is painted later, so nothing needs clipping.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from data.puppets.identity import Colour, Identity, mix
from data.puppets.pose import Pose, column, surface

WHITE: Colour = (250.0, 248.0, 243.0)
BLACK: Colour = (18.0, 14.0, 14.0)
MOUTH_DARK: Colour = (62.0, 16.0, 20.0)
TONGUE: Colour = (198.0, 92.0, 96.0)
LIP_BULGE = 0.06  # distance of the lips in front of the face's surface, half crops
U = np.linspace(-1.0, 1.0, 19)
CIRCLE = np.linspace(0.0, 2.0 * np.pi, 20, endpoint=False)

Controls = Float[np.ndarray, "t 14"]


class Layer(NamedTuple):
    """A filled outline over T frames. Points are in half crops."""

    points: Float[np.ndarray, "t k 2"]
    colour: Colour


def lift(identity: Identity, pose: Pose, x: np.ndarray, y: np.ndarray, bulge: np.ndarray | float = 0.0) -> np.ndarray:
    """Moves points of the head's plane onto its surface (plus `bulge`) and poses them: [T, K, 2]."""
    z = surface(x, y, identity.width * 1.05, 1.05 * max(identity.top, identity.bottom))
    return pose.rotate(x, y, z + bulge)


def band(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The closed outline between two curves [..., k] of the same direction: along the first, back along the second."""
    return np.concatenate(np.broadcast_arrays(upper, lower[..., ::-1]), axis=-1)


def _both_ways(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, x[..., ::-1]], axis=-1)


def eye_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Both eyes: white, iris, pupil, highlight, then the lids over them and the lash line."""
    return [layer for parts in zip(*(_eye(identity, controls, pose, side) for side in (-1, 1)), strict=True) for layer in parts]


def _eye_curves(identity: Identity, lids: np.ndarray, side: int) -> tuple[np.ndarray, ...]:
    """x, upper edge of the wide-open eye, lower edge, and edge of the upper lid for `lids` [T, 1] (1 open, 0 closed)."""
    x = side * identity.eye_x + identity.eye_width * U
    middle = identity.eye_y - identity.eye_slant * side * U
    upper = middle - identity.eye_height * (1.0 - np.abs(U) ** 2.2)
    lower = middle + 0.7 * identity.eye_height * (1.0 - U**2)
    return x, upper, lower, lower + (upper - lower) * (0.04 + 0.96 * lids)


def _eye(identity: Identity, controls: Controls, pose: Pose, side: int) -> list[Layer]:
    x, upper, lower, edge = _eye_curves(identity, column(controls, "lids"), side)
    skin, lid = identity.skin, mix(identity.skin, (90.0, 40.0, 35.0), 0.2)

    def outline(top: np.ndarray, bottom: np.ndarray, colour: Colour) -> Layer:
        return Layer(lift(identity, pose, _both_ways(x), band(top, bottom)), colour)

    return [
        outline(upper, lower, WHITE),
        *_iris(identity, controls, pose, side),
        outline(upper - 0.045, edge, lid),
        outline(lower, lower + 0.06, skin),
        outline(edge - 0.034, edge + 0.006, BLACK),
        outline(lower - 0.006, lower + 0.008, mix(skin, (60.0, 20.0, 20.0), 0.5)),
    ]


def _iris(identity: Identity, controls: Controls, pose: Pose, side: int) -> list[Layer]:
    centre_x = side * identity.eye_x + 0.48 * identity.eye_width * column(controls, "gaze_x")
    centre_y = identity.eye_y - 0.01 + 0.36 * identity.eye_height * column(controls, "gaze_y")

    def disc(radius: float, dx: float, dy: float, colour: Colour) -> Layer:
        x, y = centre_x + dx + radius * np.cos(CIRCLE), centre_y + dy + radius * np.sin(CIRCLE)
        return Layer(lift(identity, pose, x, y), colour)

    r = identity.iris
    dark = mix(identity.eye, BLACK, 0.55)
    return [
        disc(r, 0, 0, dark),
        disc(0.8 * r, 0, 0, identity.eye),
        disc(0.45 * r, 0, 0, BLACK),
        disc(0.2 * r, 0.3 * r, -0.35 * r, WHITE),
    ]


def brow_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Both brows: raised together, and tilted (inner ends down for -1, up for +1)."""
    rise = 0.135 * column(controls, "brow_raise")
    tilt = column(controls, "brow_tilt")
    layers = []
    for side in (-1, 1):
        inner = -side * U  # 1 at the end near the nose
        x = side * (identity.eye_x + 0.01) + identity.brow_width * U
        middle = identity.brow_y - rise - 0.125 * tilt * inner - 0.035 * (1.0 - U**2) + 0.01 * U**2
        half = 0.5 * identity.brow_thickness * (0.55 + 0.45 * inner) ** 0.5 * (1.0 - 0.6 * U**6)
        layers.append(Layer(lift(identity, pose, _both_ways(x), band(middle - half, middle + half), 0.03), identity.brow))
    return layers


class MouthCurves(NamedTuple):
    """Curves of the mouth over u, each [T, k]: x, and y of the lips' outer and inner edges, top to bottom; `bulge` [T, 1]."""

    x: np.ndarray
    top: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    bottom: np.ndarray
    bulge: np.ndarray


def mouth_curves(identity: Identity, controls: Controls) -> MouthCurves:
    """Curves of the lips: jaw opens them, lip_width widens, lip_round narrows and thickens, smile lifts the corners."""
    jaw, width, rounding, smile = (column(controls, n) for n in ("jaw", "lip_width", "lip_round", "smile"))
    half = identity.mouth_width * (1.0 + 0.45 * width - 0.36 * rounding + 0.06 * smile)
    corners = 0.23 * smile * (0.3 - U**2)
    middle = identity.mouth_y + corners
    opening = (0.31 * jaw + 0.02 * rounding) * (1.0 - np.abs(U) ** 2.4) ** 0.75
    upper, lower = middle - 0.28 * opening, middle + 0.72 * opening
    cupid = (1.0 - np.abs(U) ** 3.0) * (1.0 - 0.22 * np.exp(-((U / 0.16) ** 2)))
    top = upper - identity.upper_lip * (1.0 + 0.7 * rounding - 0.15 * width) * cupid
    bottom = lower + identity.lower_lip * (1.0 + 0.6 * rounding - 0.15 * width) * (1.0 - np.abs(U) ** 2.6) ** 0.8
    return MouthCurves(half * U, top, upper, lower, bottom, LIP_BULGE + 0.07 * rounding)


def mouth_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Lips, dark inside, teeth and tongue. Closed lips have a dark line between them."""
    m = mouth_curves(identity, controls)

    def between(upper: np.ndarray, lower: np.ndarray, colour: Colour, cut: int = 0) -> Layer:
        """The outline between two curves, without `cut` points at either corner."""
        part = slice(cut, U.size - cut)
        return Layer(lift(identity, pose, _both_ways(m.x[:, part]), band(upper[:, part], lower[:, part]), m.bulge), colour)

    gap = m.lower - m.upper
    line = 0.008 * (1.0 - U**4)
    shine = m.bottom - 0.6 * (m.bottom - m.lower)
    return [
        between(m.top, m.lower, mix(identity.lips, (60.0, 10.0, 20.0), 0.22)),
        between(m.upper, m.bottom, identity.lips),
        between(shine, shine + 0.014, mix(identity.lips, (255.0, 235.0, 235.0), 0.3), 7),
        between(m.upper, m.lower, MOUTH_DARK),
        between(m.lower - np.minimum(0.45 * gap, 0.1) * (1.0 - U**2), m.lower, TONGUE, 2),
        between(m.upper, m.upper + np.minimum(0.4 * gap, 0.08), WHITE, 1),
        between(m.upper - line, m.upper + line, MOUTH_DARK),
        between(m.lower - line, m.lower + 0.5 * line, MOUTH_DARK),
    ]


def cheek_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Red cheeks, and folds beside the mouth. Both follow the smile."""
    smile, width = column(controls, "smile"), column(controls, "lip_width")
    fold = mix(identity.skin, (90.0, 40.0, 35.0), 0.22)
    layers = []
    for side in (-1, 1):
        for ring in range(1, 6):
            scale = 1.25 - 0.2 * ring
            x = side * 0.56 * identity.width + 0.15 * scale * np.cos(CIRCLE)
            y = 0.18 - 0.05 * smile + 0.12 * scale * np.sin(CIRCLE)
            colour = mix(identity.skin, (222.0, 96.0, 86.0), 0.18 * identity.blush * ring)
            layers.append(Layer(lift(identity, pose, x, y), colour))
        v = 0.5 * (U + 1.0)
        x = side * (
            identity.nose_width + 0.02 + (identity.mouth_width * (0.6 + 0.2 * width) + 0.02) * v**0.8 + 0.03 * smile * v
        )
        y = identity.nose_length - 0.04 + 0.24 * v - 0.05 * smile * v
        half = 0.011 * np.sin(np.pi * v) * (1.0 + 0.6 * np.clip(smile, 0, 1))
        layers.append(Layer(lift(identity, pose, np.concatenate([x - half, (x + half)[:, ::-1]], 1), _both_ways(y)), fold))
    return layers


def nose_layers(identity: Identity, pose: Pose) -> list[Layer]:
    """The nose: ridge in shadow on the side away from the light, wings and tip. It is lifted in front of the face."""
    w, tip = identity.nose_width, identity.nose_length
    side = -1.0 if identity.light > 0 else 1.0
    shade, bright = mix(identity.skin, (80.0, 30.0, 25.0), 0.24), mix(identity.skin, (255.0, 250.0, 240.0), 0.28)
    v = 0.5 * (U + 1.0)
    ridge_x, ridge_y = side * (0.045 + 0.5 * w * v**2), identity.eye_y - 0.02 + (tip - identity.eye_y) * v
    inner_x, bulge = side * 0.01 + 0.0 * v, 0.02 + 0.16 * _both_ways(v)
    still = np.zeros_like(pose.yaw)
    wings = lift(identity, pose, still + w * np.cos(CIRCLE), tip + 0.055 * np.sin(CIRCLE), 0.1)
    front = lift(identity, pose, still + 0.8 * w * np.cos(CIRCLE), tip - 0.022 + 0.05 * np.sin(CIRCLE), 0.15)
    glint = lift(identity, pose, still - side * 0.12 * w + 0.3 * w * np.cos(CIRCLE), tip - 0.035 + 0.022 * np.sin(CIRCLE), 0.17)
    ridge = lift(identity, pose, still + np.concatenate([inner_x, ridge_x[::-1]]), _both_ways(ridge_y), bulge)
    nostrils = [
        Layer(
            lift(identity, pose, still + s * 0.45 * w + 0.024 * np.cos(CIRCLE), tip + 0.03 + 0.014 * np.sin(CIRCLE), 0.12),
            mix(identity.skin, (50.0, 15.0, 15.0), 0.7),
        )
        for s in (-1, 1)
    ]
    return [Layer(ridge, shade), Layer(wings, shade), Layer(front, identity.skin), Layer(glint, bright), *nostrils]


def beard_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Hair around the mouth, painted before the mouth: none, a moustache, or a beard that moves with the jaw."""
    if identity.beard in ("none", "stubble"):
        return []
    m = mouth_curves(identity, controls)
    moustache = band(m.top - 0.075 * (1.0 - 0.5 * U**2), m.top + 0.02)
    layers = [Layer(lift(identity, pose, 1.12 * _both_ways(m.x), moustache, m.bulge), identity.brow)]
    if identity.beard == "full":
        goatee = band(m.bottom + 0.03, m.bottom + 0.03 + 0.19 * np.sqrt(1.0 - 0.99 * U**2))
        layers.append(Layer(lift(identity, pose, 0.8 * _both_ways(m.x), goatee, m.bulge), identity.brow))
    return layers


def glasses_layers(identity: Identity, pose: Pose) -> list[Layer]:
    """Two rims and a bridge."""
    if not identity.glasses:
        return []
    still, dark = np.zeros_like(pose.yaw), (38.0, 34.0, 40.0)
    rx, ry = identity.eye_width + 0.055, identity.eye_height + 0.075
    layers = []
    for side in (-1, 1):
        ring = np.linspace(0.0, 2.0 * np.pi, 25)
        scale = np.concatenate([np.ones(25), np.full(25, 0.88)])
        angle = _both_ways(ring)
        x = still + side * identity.eye_x + rx * scale * np.cos(angle)
        layers.append(Layer(lift(identity, pose, x, identity.eye_y + 0.01 + ry * scale * np.sin(angle), 0.06), dark))
    gap = identity.eye_x - rx
    x, y = np.array([-gap, gap, gap, -gap]), identity.eye_y + np.array([-0.03, -0.03, -0.005, -0.005])
    return [*layers, Layer(lift(identity, pose, still + x, y, 0.08), dark)]
