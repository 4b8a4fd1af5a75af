"""Smooth random movement."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d


def _reach(deviation: float) -> int:
    """Steps beyond which a Gaussian counts as zero."""
    return max(1, int(np.ceil(3.0 * deviation)))


def smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Values [t] or [t, k] blurred over time by a Gaussian of `deviation` steps; ends are held."""
    sigma, reach = max(deviation, 1e-3), _reach(deviation)
    return gaussian_filter1d(values, sigma, axis=0, output=np.float64, mode="nearest", radius=reach)


def wander(rng: np.random.Generator, steps: int, deviation: float) -> np.ndarray:
    """Gaussian noise [steps] of zero mean and unit variance, white noise blurred by a Gaussian of `deviation` steps."""
    reach = _reach(deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 1e-3)) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.convolve(rng.normal(size=steps + kernel.size - 1), kernel, mode="valid")
