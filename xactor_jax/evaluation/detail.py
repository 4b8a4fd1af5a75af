"""Sharpness, background noise and flicker of a video relative to the true one, which PSNR does not show.

With luminance x_t(p), its fine detail h = x − G x (G a Gaussian with standard deviation `SIGMA`), S the pixels that do not
change in the true video y, and M all other pixels:
    (1) detail     = Σ_t Σ_M h_x² / Σ_t Σ_M h_y²             1: as sharp as the truth; above: grain, below: blur
    (2) background = Σ_t Σ_S h_x² / (T Σ_S h_{y_0}²)          detail of still pixels, relative to the reference y_0
    (3) flicker    = std(x_{t+1} − x_t) / std(y_{t+1} − y_t)   1: changes as much from frame to frame as the truth
    (4) S = {p: |G y_t(p) − G y_0(p)| < `STILL` for all t}
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

SIGMA = 1.0
"""In pixels."""

STILL = 6.0
"""In grey levels of 255. After the Gaussian, the noise of cameras and of JPEG stays below this."""

FEWEST = 0.01
"""Smallest share of the image for S or M; a smaller region gives no score."""

Frame = UInt8[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]
Video = Iterable[Frame]
"""Frames that can be read more than once: an array [t, h, w, 3], or a video that is read from a file each time. Only a few
frames are in memory at a time."""


def detail_scores(video: Video, true: Video) -> dict[str, float]:
    """Scores of one clip without frame 0, the reference (equations 1 to 3). `nan` if there is nothing to compare.

    If one has fewer frames, those that both have are compared.
    """
    still = still_pixels(true)
    x, y = _table(video, still), _table(true, still)
    frames = min(len(x), len(y))
    first, x, y = y[0, 1], x[1:frames], y[1:frames]
    return {
        "detail": _over(x[:, 0].sum(), y[:, 0].sum()) if _is_enough(~still) else float("nan"),
        "background": _over(x[:, 1].sum(), len(x) * first) if _is_enough(still) else float("nan"),
        "flicker": _over(_std(x), _std(y)),
    }


def still_pixels(true: Video) -> Bool[np.ndarray, "h w"]:
    """S of equation 4."""
    soft = (fine_detail(luminance(frame))[1] for frame in true)
    first = next(soft)
    return functools.reduce(lambda still, now: still & (np.abs(now - first) < STILL), soft, np.ones(first.shape, bool))


def luminance(frame: Frame) -> Plane:
    """Luminance of a picture, grey levels of 0 to 255."""
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)


def fine_detail(x: Plane) -> tuple[Plane, Plane]:
    """The fine detail h and the blurred picture G x."""
    soft = cv2.GaussianBlur(x, (0, 0), SIGMA)
    return x - soft, soft


def _table(video: Video, still: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "t 4"]:
    """For every frame: Σ h² over M and over S, and mean and mean square of the change since the frame before (0 at first)."""
    return np.array(list(_rows(video, still)))


def _rows(video: Video, still: Bool[np.ndarray, "h w"]) -> Iterator[tuple[float, float, float, float]]:
    before = None
    for frame in video:
        x = luminance(frame)
        energy, change = np.square(fine_detail(x)[0]), x - (x if before is None else before)
        yield energy[~still].sum(), energy[still].sum(), change.mean(), np.square(change).mean()
        before = x


def _std(rows: Float[np.ndarray, "t 4"]) -> float:
    """Standard deviation of all changes; `nan` without any."""
    return float(np.sqrt(rows[:, 3].mean() - rows[:, 2].mean() ** 2)) if len(rows) else float("nan")


def _is_enough(where: Bool[np.ndarray, "h w"]) -> bool:
    return bool(where.mean() >= FEWEST)


def _over(a: float, b: float) -> float:
    return float(a / b) if b > 0 else float("nan")
