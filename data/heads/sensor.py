"""Simulates a camera: lens blur, vignette, exposure, noise, tone curve, JPEG.

Linear colours x, scaled by exposure and white balance, become display values by

    y(x) = sRGB[(1 - k) s(x) + k f(x)],   s(x) = 1 - exp(-1.6 x),   f(x) = x (2.51 x + .03) / (x (2.43 x + .59) + .14)

f is the film-like curve of Narkowicz's fit to ACES (2016), s a soft shoulder without a toe, k the contrast of the camera. Noise
has the variance a x + b (photon and read noise) and is smoothed slightly, as by demosaicing and video codecs.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_CODES = 4096
"""Number of entries of the tone curve's table, over the square roots of 0 … `_BRIGHTEST`."""

_BRIGHTEST = 16.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensor:
    """Properties of the camera of one clip."""

    exposure: float  # factor relative to a well exposed face
    white: tuple[float, float, float]  # gains of red, green and blue
    saturation: float
    contrast: float  # 0 soft to 1 film-like
    blur: float  # std, fraction of the picture's side
    vignette: float  # share of light that is lost in the corners, 0 to 1
    noise: float  # std at a white surface, linear
    grain: float  # std of the noise's smoothing, pixels
    quality: int | None  # of a JPEG compression of the picture; None: no compression


@functools.lru_cache(maxsize=8)
def tone_curve(contrast: float) -> UInt8[np.ndarray, "codes"]:
    """y of the module docstring as 8-bit values, for equally spaced square roots of x."""
    x = np.square(np.linspace(0.0, np.sqrt(_BRIGHTEST), _CODES))
    film = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    y = np.clip((1.0 - contrast) * (1.0 - np.exp(-1.6 * x)) + contrast * film, 0.0, 1.0)
    display = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * display).astype(np.uint8)


def _vignette(side: int, strength: float) -> Float32[np.ndarray, "side side 1"]:
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    square = axis * axis
    return 1.0 - np.float32(2.0 * strength) * (square[:, None] + square[None])[..., None]


def _colours(sensor: Sensor) -> Float32[np.ndarray, "3 3"]:
    """Exposure, white balance and saturation as one matrix; rows are inputs."""
    grey = np.tile(np.array([[0.2126], [0.7152], [0.0722]]), (1, 3))
    mixing = sensor.saturation * np.eye(3) + (1.0 - sensor.saturation) * grey
    return (sensor.exposure * np.array(sensor.white)[:, None] * mixing).astype(np.float32)


def _noise(image: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(image.shape, np.float32)
    if sensor.grain > 0.2:
        noise = cv2.GaussianBlur(noise, (0, 0), sensor.grain)
    strength = np.sqrt(image + np.float32(0.02))
    return image + noise * strength * np.float32(sensor.noise * (1.0 + 2.5 * sensor.grain))


def _through_jpeg(picture: UInt8[np.ndarray, "side side 3"], quality: int) -> UInt8[np.ndarray, "side side 3"]:
    code = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]


def develop(
    image: Float32[np.ndarray, "side side 3"], sensor: Sensor, rng: np.random.Generator
) -> UInt8[np.ndarray, "side side 3"]:
    """The camera's picture of linear light; `rng` draws the noise."""
    side = image.shape[0]
    if sensor.blur * side > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur * side, borderType=cv2.BORDER_REPLICATE)
    light = cv2.transform(image, _colours(sensor).T) * _vignette(side, sensor.vignette)
    if sensor.noise > 0:
        light = _noise(np.maximum(light, 0.0), sensor, rng)
    codes = np.sqrt(np.clip(light, 0.0, _BRIGHTEST)) * np.float32((_CODES - 1) / np.sqrt(_BRIGHTEST)) + np.float32(0.5)
    picture = np.take(tone_curve(sensor.contrast), codes.astype(np.int32))
    return picture if sensor.quality is None else _through_jpeg(picture, sensor.quality)


def make_sensor(rng: np.random.Generator) -> Sensor:
    """A random camera: a phone, a webcam or a good camera."""
    warmth, green = rng.normal(0.0, 0.05), rng.normal(0.0, 0.015)
    return Sensor(
        exposure=float(np.exp(rng.normal(0.0, 0.16))),
        white=(float(1.0 + warmth), float(1.0 + green), float(1.0 - warmth)),
        saturation=float(rng.uniform(0.85, 1.15)),
        contrast=float(rng.uniform(0.5, 1.0)),
        blur=float(rng.choice((0.0, rng.uniform(0.001, 0.004), rng.uniform(0.004, 0.008)), p=(0.35, 0.5, 0.15))),
        vignette=float(rng.uniform(0.0, 0.3)),
        noise=float(rng.choice((0.0, rng.uniform(0.001, 0.005), rng.uniform(0.005, 0.013)), p=(0.25, 0.6, 0.15))),
        grain=float(rng.uniform(0.3, 0.9)),
        quality=int(rng.integers(45, 96)) if rng.uniform() < 0.35 else None,
    )
