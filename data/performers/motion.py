"""Smooth random motion."""

from __future__ import annotations

import numpy as np


def _reach(std: float) -> int:
    """Number of steps after which a Gaussian counts as zero."""
    return max(1, int(np.ceil(3.0 * std)))


def smooth(values: np.ndarray, std: float) -> np.ndarray:
    """Values [t] or [t, k] filtered over time by a Gaussian with `std` in steps. The first and last value are repeated."""
    sigma, reach = max(std, 1e-3), _reach(std)
    from scipy.ndimage import gaussian_filter1d  # here: every program imports this file, and SciPy takes long to import

    return gaussian_filter1d(values, sigma, axis=0, output=np.float64, mode="nearest", radius=reach)


def wander(rng: np.random.Generator, steps: int, std: float) -> np.ndarray:
    """Gaussian noise [steps] of zero mean and unit variance: white noise filtered by a Gaussian with `std` in steps."""
    reach = _reach(std)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(std, 1e-3)) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.convolve(rng.normal(size=steps + kernel.size - 1), kernel, mode="valid")
