"""Sharpness, background noise and flicker of a video relative to the true one, which PSNR does not show.

With luminance x_t(p), its fine detail h = x − G x (G a Gaussian with standard deviation `SIGMA`), S the pixels that do not
change in the true video y, and M all other pixels:
    (1) detail     = Σ_t Σ_M h_x² / Σ_t Σ_M h_y²             1: as sharp as the truth; above: grain, below: blur
    (2) background = Σ_t Σ_S h_x² / (T Σ_S h_{y_0}²)          detail of still pixels, relative to the reference y_0
    (3) flicker    = std(x_{t+1} − x_t) / std(y_{t+1} − y_t)   1: changes as much from frame to frame as the truth
    (4) S = {p: |G y_t(p) − G y_0(p)| < `STILL` for all t}
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

SIGMA = 1.0
"""In pixels."""

STILL = 6.0
"""In grey levels of 255. After the Gaussian, the noise of cameras and of JPEG stays below this."""

FEWEST = 0.01
"""Smallest share of the image for S or M; a smaller region gives no score."""

Video = UInt8[np.ndarray, "t h w 3"]


def detail_scores(video: Video, true: Video) -> dict[str, float]:
    """Scores of one clip without frame 0, the reference (equations 1 to 3). `nan` if there is nothing to compare."""
    x, y = _luminance(video), _luminance(true)
    (fine_x, _), (fine_y, soft_y) = _split(x), _split(y)
    still = np.abs(soft_y - soft_y[:1]).max(axis=0) < STILL
    return {
        "detail": _ratio(fine_x[1:], fine_y[1:], ~still),
        "background": _ratio(fine_x[1:], np.broadcast_to(fine_y[:1], fine_y[1:].shape), still),
        "flicker": _over(np.diff(x, axis=0).std(), np.diff(y, axis=0).std()),
    }


def _luminance(video: Video) -> Float[np.ndarray, "t h w"]:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]).astype(np.float64)


def _split(x: Float[np.ndarray, "t h w"]) -> tuple[np.ndarray, np.ndarray]:
    """The fine detail h and the blurred video G x."""
    soft = np.stack([cv2.GaussianBlur(frame, (0, 0), SIGMA) for frame in x])
    return x - soft, soft


def _ratio(fine: Float[np.ndarray, "t h w"], true: Float[np.ndarray, "t h w"], where: Bool[np.ndarray, "h w"]) -> float:
    if where.mean() < FEWEST:
        return float("nan")
    return _over(np.square(fine[:, where]).sum(), np.square(true[:, where]).sum())


def _over(a: float, b: float) -> float:
    return float(a / b) if b > 0 else float("nan")
