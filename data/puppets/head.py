"""Parts of a puppet around its face: hair, ears, neck, shoulders and the outline of the head."""

from __future__ import annotations

import numpy as np

from data.puppets.features import Controls, Layer, lift
from data.puppets.identity import Identity, luminance, mix
from data.puppets.pose import Pose, column

ROUND = np.linspace(0.0, 2.0 * np.pi, 56, endpoint=False)
ARC = np.linspace(np.pi, 2.0 * np.pi, 29)  # angles over the crown, left to right
CHIN_DROP = 0.13  # how far a fully opened jaw moves the chin, half crops


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def outline(identity: Identity, angle: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """x, y of the head's outline at angles from the right ear, clockwise; narrower at the jaw."""
    y = np.sin(angle) * np.where(np.sin(angle) < 0, identity.top, identity.bottom)
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** np.where(np.sin(angle) < 0, 0.92, 0.78)
    narrowing = 1.0 - (1.0 - identity.jaw_width) * np.clip(y / identity.bottom, 0.0, 1.0) ** 1.6
    return scale * identity.width * across * narrowing, scale * y


def _jaw(identity: Identity, controls: Controls) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [k] and y [T, k] of the head's outline with the chin dropped, and its z [k] for parallax."""
    x, y = outline(identity, ROUND)
    low = _smoothstep((y / identity.bottom - 0.25) / 0.6)
    return x, y + CHIN_DROP * low * column(controls, "jaw"), 0.1 + 0.3 * low


def head_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Ears, then the skin of the head. Its lower part follows the jaw."""
    x, y, z = _jaw(identity, controls)
    return [*_ear_layers(identity, pose), Layer(pose.slide(x, y, z), identity.skin)]


def jaw_hair_layers(identity: Identity, controls: Controls, pose: Pose) -> list[Layer]:
    """Stubble or a beard along the jaw from ear to ear, painted after the cheeks. It curves below the corners of the mouth."""
    if identity.beard not in ("stubble", "full"):
        return []
    below = np.abs(ROUND - 0.5 * np.pi) < 0.44 * np.pi
    x, y, z = (track[..., below] for track in _jaw(identity, controls))
    edge_x = 0.84 * x[::-1]
    edge_y = np.minimum(0.22 + 0.36 * np.cos(0.5 * np.pi * edge_x / identity.width) ** 2, 0.9 * y[:, ::-1])
    points = np.concatenate([pose.slide(x, y, z), pose.slide(edge_x, edge_y, z[::-1] + 0.1)], axis=1)
    return [Layer(points, mix(identity.skin, identity.brow, 0.9 if identity.beard == "full" else 0.28))]


def _ear_layers(identity: Identity, pose: Pose) -> list[Layer]:
    layers = []
    for side in (-1, 1) if identity.hair_style not in ("long", "curly") else ():
        for scale, shade in ((1.0, 0.1), (0.6, 0.32)):
            x = side * (identity.width + 0.02) + 0.6 * scale * identity.ear * np.cos(ROUND)
            y = 0.0 + scale * 1.15 * identity.ear * np.sin(ROUND)
            points = pose.slide(x + 0.0 * pose.yaw, y, -0.22)
            layers.append(Layer(points, mix(identity.skin, (110.0, 40.0, 35.0), shade)))
    return layers


def body_layers(identity: Identity, pose: Pose) -> list[Layer]:
    """Neck in the head's shadow, shoulders and collar. The body follows half of the head's shift."""
    dx, dy = 0.5 * pose.shift_x, 0.5 * pose.shift_y
    neck_x = np.array([-0.34, 0.34, 0.36, -0.36]) * identity.width / 0.6
    v = np.linspace(-1.3, 1.3, 21)
    top = 0.86 + 0.28 * np.abs(v) ** 1.7 - 0.1 * np.exp(-((v / 0.35) ** 2))
    collar_x = np.linspace(-0.3, 0.3, 9)
    collar_y = 0.95 - 0.5 * collar_x**2 * 2.0

    def still(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack(np.broadcast_arrays(x + dx, y + dy), axis=-1)

    return [
        Layer(still(neck_x, np.array([0.45, 0.45, 1.3, 1.3])), mix(identity.skin, (60.0, 25.0, 20.0), 0.3)),
        Layer(still(np.concatenate([v, [1.5, -1.5]]), np.concatenate([top, [1.4, 1.4]])), identity.clothes),
        Layer(
            still(np.concatenate([collar_x, [0.0]]), np.concatenate([collar_y - 0.06, [1.12]])),
            mix(identity.skin, (60.0, 25.0, 20.0), 0.22),
        ),
    ]


def _blobs(angle: np.ndarray, bumps: int, depth: float) -> np.ndarray:
    return 1.0 + depth * np.abs(np.sin(0.5 * bumps * angle))


def back_hair_layers(identity: Identity, pose: Pose) -> list[Layer]:
    """Hair behind the head: long, curly or a bun."""
    dark = mix(identity.hair, (0.0, 0.0, 0.0), 0.28)
    still = np.zeros_like(pose.yaw)
    if identity.hair_style == "long":
        x, y = outline(identity, ROUND)
        low = _smoothstep((y + 0.1) / 0.7)
        x = x * 1.14 * (1.0 - low) + np.sign(np.cos(ROUND)) * np.abs(np.cos(ROUND)) ** 0.35 * identity.width * 1.2 * low
        return [Layer(pose.slide(still + x, np.where(y > 0, y * 1.2, y * 1.1), -0.2), dark)]
    if identity.hair_style == "curly":
        x, y = outline(identity, ROUND, 1.18)
        bumps = _blobs(ROUND, 15, 0.09)
        return [Layer(pose.slide(still + x * bumps, np.minimum(y, 0.32) * bumps, -0.1), dark)]
    if identity.hair_style == "bun":
        x, y = 0.26 * np.cos(ROUND), -identity.top - 0.06 + 0.2 * np.sin(ROUND)
        return [Layer(pose.slide(still + x, y, -0.1), dark)]
    return []


def _hairline(identity: Identity) -> tuple[np.ndarray, np.ndarray]:
    """x, y of the lower edge of the front hair, from the right temple to the left."""
    u = np.linspace(1.0, -1.0, 25)
    x = 0.985 * identity.width * np.sin(0.5 * np.pi * u)
    temple = {"receding": -0.5, "short": -0.22, "fringe": -0.2, "side": -0.22, "long": 0.02, "curly": -0.15, "bun": -0.3}
    middle = identity.hairline
    shape = np.abs(u) ** 4
    if identity.hair_style == "receding":
        middle = middle - 0.08 - 0.16 * np.exp(-(((np.abs(u) - 0.55) / 0.2) ** 2))
    if identity.hair_style == "fringe":
        middle = middle + 0.06 + 0.028 * np.sin(11.0 * np.pi * u)
    if identity.hair_style in ("side", "long"):
        parting = 0.5 * np.sign(identity.part)
        middle = middle - 0.07 + 0.2 * np.minimum(np.abs(u - parting), 1.0)
    if identity.hair_style == "curly":
        middle = middle + 0.035 * np.abs(np.sin(6.0 * np.pi * u))
    edge = middle + (temple[identity.hair_style] - middle) * shape
    return x, np.maximum(edge, -0.93 * identity.top * np.sqrt(1.0 - (x / identity.width) ** 2))


def front_hair_layers(identity: Identity, pose: Pose) -> list[Layer]:
    """Hair from the crown down to the hairline."""
    if identity.hair_style == "bald":
        return []
    still = np.zeros_like(pose.yaw)
    volume = {"receding": 1.015, "short": 1.05, "fringe": 1.06, "side": 1.07, "long": 1.08, "curly": 1.12, "bun": 1.04}
    x, y = outline(identity, ARC, volume[identity.hair_style])
    if identity.hair_style == "curly":
        x, y = x * _blobs(ARC, 17, 0.05), y * _blobs(ARC, 17, 0.05)
    edge_x, edge_y = _hairline(identity)
    crown = pose.slide(still + x, y, 0.02)
    cap = np.concatenate([crown, lift(identity, pose, still + edge_x, edge_y, 0.03)], axis=1)
    return [Layer(cap, identity.hair), *_gloss(identity, pose)]


def _gloss(identity: Identity, pose: Pose) -> list[Layer]:
    """A highlight over the crown, on the side of the light."""
    goal = (255.0, 250.0, 235.0) if luminance(identity.hair) < 190 else (120.0, 100.0, 70.0)
    still = np.zeros_like(pose.yaw)
    angle = 1.5 * np.pi + 0.35 * identity.light + np.linspace(-0.75, 0.75, 15)
    width = 0.045 * np.cos(np.linspace(-0.5 * np.pi, 0.5 * np.pi, 15))
    outer, inner = outline(identity, angle, 0.93 + width), outline(identity, angle[::-1], 0.93 - width)
    x, y = np.concatenate([outer[0], inner[0]]), np.concatenate([outer[1], inner[1]])
    return [Layer(pose.slide(still + x, y, 0.08), mix(identity.hair, goal, 0.16))]
