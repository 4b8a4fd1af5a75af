"""Smooth random motion."""

from __future__ import annotations

import numpy as np


def _kernel(std: float) -> np.ndarray:
    reach = max(1, int(np.ceil(3.0 * std)))
    return np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(std, 1e-3)) ** 2)


def smooth(values: np.ndarray, std: float) -> np.ndarray:
    """Values [t] or [t, k] filtered over time by a Gaussian with `std` in steps. The first and last value are repeated."""
    kernel = _kernel(std)
    kernel /= kernel.sum()
    reach = kernel.size // 2
    columns = np.pad(values.reshape(len(values), -1), ((reach, reach), (0, 0)), mode="edge").T
    return np.stack([np.convolve(column, kernel, mode="valid") for column in columns], axis=1).reshape(values.shape)


def wander(rng: np.random.Generator, steps: int, std: float) -> np.ndarray:
    """Gaussian noise [steps] of zero mean and unit variance: white noise filtered by a Gaussian with `std` in steps."""
    kernel = _kernel(std)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.convolve(rng.normal(size=steps + kernel.size - 1), kernel, mode="valid")
