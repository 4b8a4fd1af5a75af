"""Augmentation of the driving frame, so that identity cannot pass through the motion latent.

The encoder sees a driving frame with changed colours, size and proportions. The decoder must rebuild the unchanged frame.
What the latent carries about skin, size or facial proportions is then of no use, so the encoder learns to leave it out
(X-NeMo, arXiv 2507.23143: colour jitter, ±30 % scale, piecewise-affine warp).
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.settings import SHARE, check_fields, real, setting, whole


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrivingAugmentation:
    """How strongly the driving frame is changed. Every change is drawn uniformly within its bounds."""

    probability: float = setting(0.9, SHARE, "probability of changing a frame")
    brightness: float = setting(0.15, SHARE, "largest change of brightness (±), as a fraction of the full range")
    contrast: float = setting(0.25, SHARE, "largest relative change of contrast (±)")
    channel_gain: float = setting(0.4, SHARE, "largest relative change of each colour channel (±)")
    grayscale: float = setting(0.2, SHARE, "probability of removing colour")
    scale: float = setting(0.3, real(0.0, 1.0, below=True), "largest relative change of size about the centre (±)")
    warp: float = setting(
        0.01,
        real(0.0, 0.5),
        "largest displacement of the warp's control points (±), fraction of the side; for comparison: brows move by 0.06",
    )
    warp_points: int = setting(4, whole(2, 100), "control points of the warp per side")

    def __post_init__(self) -> None:
        check_fields(self, "data.augmentation")


def augment_driving(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, settings: DrivingAugmentation
) -> UInt8[np.ndarray, "h w 3"]:
    """The augmented driving frame, as the encoder sees it in training."""
    if rng.random() >= settings.probability:
        return image
    warped = cv2.remap(image, *_warp_maps(image.shape[0], rng, settings), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _jitter_colour(warped, rng, settings)


def _warp_maps(
    size: int, rng: np.random.Generator, settings: DrivingAugmentation
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Source position of each pixel: scaled about the centre, then moved by a warp that is linear between control points."""
    n = settings.warp_points
    factor = 1.0 / (1.0 + rng.uniform(-settings.scale, settings.scale))
    offsets = rng.uniform(-settings.warp, settings.warp, (2, n, n)).astype(np.float32) * size
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * factor + (size - 1) / 2
    x, y = np.broadcast_to(axis, (size, size)), np.broadcast_to(axis[:, None], (size, size))
    dx, dy = (cv2.resize(offset, (size, size), interpolation=cv2.INTER_LINEAR) for offset in offsets)
    return x + dx, y + dy


def _jitter_colour(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, settings: DrivingAugmentation
) -> UInt8[np.ndarray, "h w 3"]:
    x = image.astype(np.float32)
    if rng.random() < settings.grayscale:
        x = np.repeat(x.mean(-1, keepdims=True), 3, axis=-1)
    contrast = 1.0 + rng.uniform(-settings.contrast, settings.contrast)
    gain = contrast * (1.0 + rng.uniform(-settings.channel_gain, settings.channel_gain, 3).astype(np.float32))
    shift = 255.0 * rng.uniform(-settings.brightness, settings.brightness)
    return np.clip((x - 127.5) * gain + 127.5 + shift, 0, 255).astype(np.uint8)
