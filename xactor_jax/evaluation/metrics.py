"""Scores of motion and of pictures, in NumPy.

(1)  R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², of each column, ȳ the mean of the values scored.
(2)  ρ(ℓ) = corr(a[t + ℓ], b[t]): correlation of two curves with `a` taken ℓ frames later; at ℓ > 0 `a` comes after `b`.
(3)  Std-R and VC-R of `xactor_jax.actor.liveliness`.
(4)  PSNR = 10 log₁₀(255² / MSE), in dB.
(5)  SSIM, Wang et al. 2004, eq. 13, with their Gaussian window (standard deviation 1.5 pixels).
(6)  J = mean_{t ∈ joins} ‖Δ²m_t‖ / mean_{t ∉ joins} ‖Δ²m_t‖,  Δ²m_t = m_{t+1} − 2 m_t + m_{t−1}: jerk at the joins of chunks of
     C frames, where t mod C is 0 or C − 1, over the jerk inside chunks. 1 means that joins cannot be noticed.
(7)  d(x, y) = √ mean_{t,d} (x − y)²; diversity = mean of d over pairs of rollouts of one clip / mean of d over pairs of true
     motions of different clips: 0 if all rollouts are the same, 1 if they differ as much as unrelated clips.
(8)  L1 = mean |x − y| / 255.
(9)  E = mean_s (mean |∂₁(x − y)| + mean |∂₂(x − y)|) / 255 over 3 scales s, each half as large as the one before:
     error of the differences between neighbouring pixels, a measure of sharpness that needs no pretrained network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.actor.liveliness import std_ratio, velocity_ratio

Score = Callable[[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]], float]
"""Score of an image against the true one."""
MAX_PIXEL = 255.0
SSIM_SIGMA = 1.5  # pixels
SSIM_RADIUS = 5  # pixels: 3.5 standard deviations, rounded
SSIM_C1, SSIM_C2 = (0.01 * MAX_PIXEL) ** 2, (0.03 * MAX_PIXEL) ** 2


def r_squared(truth: Float[np.ndarray, "n k"], predicted: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k"]:
    """R² of each column (equation 1); `nan` for a column that does not vary."""
    error = np.square(truth - predicted).sum(axis=0)
    total = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), np.nan)


def correlation(a: Float[np.ndarray, "t"], b: Float[np.ndarray, "t"]) -> float:
    """Pearson correlation; 0 if one of the curves does not vary, because it then carries no information."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 1e-12 else 0.0


def lag_correlations(a: Float[np.ndarray, "t"], b: Float[np.ndarray, "t"], max_lag: int = 10) -> Float[np.ndarray, "lags"]:
    """Correlations at lags −max_lag … max_lag frames (equation 2), over the frames that both curves have.

    Raises:
        ValueError: the curves differ in length or have fewer than two frames in common at the largest lag.
    """
    if len(a) != len(b) or len(a) < max_lag + 2:
        raise ValueError(f"curves of {len(a)} and {len(b)} frames cannot be compared at lags up to {max_lag}")
    n = len(a)
    shifts = range(-max_lag, max_lag + 1)
    return np.array([correlation(a[max(k, 0) : n + min(k, 0)], b[max(-k, 0) : n + min(-k, 0)]) for k in shifts])


def best_lag(correlations: Float[np.ndarray, "lags"]) -> int:
    """Lag in frames with the highest correlation; positive if the first curve is later than the second."""
    return int(np.argmax(correlations)) - len(correlations) // 2


def correlation_within(correlations: Float[np.ndarray, "lags"], lag: int = 1) -> float:
    """Highest correlation at lags −lag … lag frames."""
    centre = len(correlations) // 2
    return float(correlations[centre - lag : centre + lag + 1].max())


def boundary_jerk(motion: Float[np.ndarray, "n t d"], chunk: int, start: int = 0) -> float:
    """Jerk ratio J of motion that starts at frame `start` of its rollout (equation 6).

    `nan` if the motion has no joins, or no frames inside chunks that move.
    """
    jerk = np.linalg.norm(np.diff(motion.astype(np.float64), n=2, axis=1), axis=-1)
    place = (start + 1 + np.arange(jerk.shape[1])) % chunk
    joins = (place == 0) | (place == chunk - 1)
    if joins.all() or not joins.any() or not jerk[:, ~joins].any():
        return float("nan")
    return float(jerk[:, joins].mean() / jerk[:, ~joins].mean())


def pairwise_distance(motions: Float[np.ndarray, "s t d"]) -> float:
    """Mean distance d over all pairs (equation 7); `nan` for fewer than two motions."""
    pairs = itertools.combinations(motions.astype(np.float64), 2)
    distances = [float(np.sqrt(np.square(x - y).mean())) for x, y in pairs]
    return float(np.mean(distances)) if distances else float("nan")


def diversity(rollouts: Float[np.ndarray, "s n t d"], true: Float[np.ndarray, "n t d"]) -> float:
    """Diversity of S rollouts of each of n clips, from the same speech and reference (equation 7)."""
    return float(np.mean([pairwise_distance(rollouts[:, i]) for i in range(len(true))])) / pairwise_distance(true)


def liveliness(true: Float[np.ndarray, "n t d"], generated: Float[np.ndarray, "n t d"], chunk: int) -> dict[str, float]:
    """Scores of motion that need no probe (equations 3 and 6)."""
    return {
        "std_ratio": float(std_ratio(generated, true)),
        "velocity_ratio": float(velocity_ratio(generated, true)),
        "boundary_jerk": boundary_jerk(generated, chunk),
    }


def psnr(image: UInt8[np.ndarray, "*shape"], truth: UInt8[np.ndarray, "*shape"]) -> float:
    """PSNR in dB, from one squared error over all pixels and frames (equation 4); infinite if nothing differs."""
    error = np.mean(np.square(image.astype(np.float64) - truth.astype(np.float64)))
    return float(10 * np.log10(MAX_PIXEL**2 / error)) if error > 0 else float("inf")


def l1(image: UInt8[np.ndarray, "*shape"], truth: UInt8[np.ndarray, "*shape"]) -> float:
    """Mean absolute error as a fraction of the largest pixel value (equation 8)."""
    return float(cv2.absdiff(np.ravel(image), np.ravel(truth)).mean() / MAX_PIXEL)


def edge_error(image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"], scales: int = 3) -> float:
    """Error of edges over several scales (equation 9)."""
    error, total = image.astype(np.float64) - truth.astype(np.float64), 0.0
    for _ in range(scales):
        total += np.abs(np.diff(error, axis=0)).mean() + np.abs(np.diff(error, axis=1)).mean()
        error = cv2.resize(error, (error.shape[1] // 2, error.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return float(total / scales / MAX_PIXEL)


def ssim(image: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]) -> float:
    """SSIM, averaged over channels and over pixels whose whole window is inside the image (equation 5)."""
    x, y = image.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (var_x + var_y + SSIM_C2)
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return float((luminance * structure)[inside, inside].mean())


def over_frames(score: Score, video: UInt8[np.ndarray, "t h w 3"], truth: UInt8[np.ndarray, "t h w 3"]) -> float:
    """Mean of an image score over the frames of a video."""
    return float(np.mean([score(a, b) for a, b in zip(video, truth, strict=True)]))


def _blur(x: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    side = 2 * SSIM_RADIUS + 1
    return cv2.GaussianBlur(x, (side, side), SSIM_SIGMA)
