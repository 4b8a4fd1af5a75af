"""Converts a decoded frame to RGB for a standard display: upright, with the colours of BT.709 or BT.601 as the file specifies.

Video of high dynamic range (HLG, PQ; ITU-R BT.2100) is tone-mapped. E' in 0..1 is the signal. L is the light relative to
graphics white, which is 203 nits (BT.2408), on a screen with a peak of 1,000 nits:

    PQ   L = 10,000 / 203 · (max(E'^(1/m2) - c1, 0) / (c2 - c3 E'^(1/m2)))^(1/m1)                        (1)
    HLG  L = 1,000 / 203 · Y^0.2 S,  S = E'² / 3 up to 1/2, above it (exp((E' - c) / a) + b) / 12          (2)

where Y is the luminance of S. BT.2020 primaries are converted to those of BT.709. Light above the knee k is compressed below 1:

    f(x) = k + (1 - k) t (1 + t / T²) / (1 + t),  t = (x - k) / (1 - k),  T = t of the brightest         (3)

(Reinhard 2002, equation 4, from the knee on.) The largest of R, G and B is compressed and the others are scaled with it, so
that hues stay the same. The output signal is that of BT.1886, L^(1/2.4).
"""

from __future__ import annotations

import functools

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace
from jaxtyping import Float, Float32, Int, UInt8, UInt16

PQ, HLG = 16, 18
"""FFmpeg's numbers of the two transfer functions."""

UNTAGGED = 2
"""FFmpeg's number of an unspecified colour space."""

HD_HEIGHT, HD_WIDTH = 720, 1280
"""Pictures without a specified colour space are taken for BT.709 from this height or width on (as mpv does)."""

WIDE_PRIMARIES = 9
"""FFmpeg's number of the BT.2020 primaries."""

BT709_OF_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Converts linear light from BT.2020 to BT.709 primaries (ITU-R BT.2087)."""

LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
"""Weights of R, G and B in the luminance of BT.2020."""

WHITE, PEAK, KNEE = 203.0, 1000.0, 0.6

LEVELS = 1 << 12
"""Number of signal levels in the lookup tables."""


def rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a frame in their stored orientation, not yet upright."""
    if frame.color_trc in (PQ, HLG):
        wide = frame.reformat(format="rgb48le", src_colorspace=Colorspace.BT2020).to_ndarray()
        return tone_mapped(wide >> 4, frame.color_trc, frame.color_primaries == WIDE_PRIMARIES)
    high = frame.height >= HD_HEIGHT or frame.width >= HD_WIDTH
    space = Colorspace.ITU709 if frame.colorspace == UNTAGGED and high else None
    return frame.reformat(format="rgb24", src_colorspace=space).to_ndarray()


def display_matrix(frame: av.VideoFrame) -> Int[np.ndarray, "2 2"] | None:
    """Screen directions, right and down (rows), of the picture's x and y axes (columns); None: orientation as stored."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return None
    return np.frombuffer(bytes(data), np.int32)[[0, 3, 1, 4]].reshape(2, 2)


def upright(pixels: UInt8[np.ndarray, "h w c"], matrix: Int[np.ndarray, "2 2"] | None) -> UInt8[np.ndarray, "h2 w2 c"]:
    """Pixels rotated by multiples of 90° and mirrored, as close to the matrix as possible."""
    if matrix is None or not matrix.any():
        return pixels
    size = np.abs(matrix.astype(np.int64))
    if size[0, 1] + size[1, 0] > size[0, 0] + size[1, 1]:
        pixels, right, down = pixels.transpose(1, 0, 2), matrix[0, 1], matrix[1, 0]
    else:
        right, down = matrix[0, 0], matrix[1, 1]
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def light_of_pq(signal: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Linear light L of a PQ signal (equation 1)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return 10_000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def scene_of_hlg(signal: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Scene light S of an HLG signal (equation 2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


@functools.cache
def _table(kind: int) -> Float32[np.ndarray, "levels"]:
    signal = np.arange(LEVELS) / (LEVELS - 1)
    return (light_of_pq(signal) if kind == PQ else scene_of_hlg(signal)).astype(np.float32)


@functools.cache
def _codes() -> UInt8[np.ndarray, "levels"]:
    return np.rint(255 * (np.arange(LEVELS) / (LEVELS - 1)) ** (1 / 2.4)).astype(np.uint8)


def compressed(x: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Compresses light above the knee (equation 3). Light above the peak of the screen becomes white."""
    t, brightest = (x - KNEE) / (1 - KNEE), (PEAK / WHITE - KNEE) / (1 - KNEE)
    above = KNEE + (1 - KNEE) * t * (1 + t / brightest**2) / (1 + np.maximum(t, 0))
    return np.where(x > KNEE, np.minimum(above, 1), x)


def tone_mapped(signal: UInt16[np.ndarray, "h w 3"], kind: int, wide: bool) -> UInt8[np.ndarray, "h w 3"]:
    """Tone-maps R'G'B' in `LEVELS` steps, of kind HLG or PQ; see the module docstring."""
    light = _table(kind)[signal]
    if kind == HLG:
        luminance = cv2.transform(light, LUMINANCE).reshape(light.shape[:2])
        light *= (PEAK / WHITE * np.maximum(luminance, 1e-6) ** np.float32(0.2))[..., None]
    light = np.maximum(cv2.transform(light, BT709_OF_BT2020) if wide else light, 0)
    largest = light.max(axis=2)
    light *= (compressed(largest) / np.maximum(largest, 1e-6))[..., None]
    return _codes()[np.minimum(light * (LEVELS - 1) + 0.5, LEVELS - 1).astype(np.int16)]
