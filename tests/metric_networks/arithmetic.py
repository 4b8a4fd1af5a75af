"""Layers of networks in float64 NumPy, for one picture [h, w, c], with weights under their names and layouts in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Weights = Mapping[str, np.ndarray]


def windows(x: np.ndarray, side: int, stride: int = 1, pad: int = 0, fill: float = 0.0) -> np.ndarray:
    """Squares of pixels under a kernel: [h2, w2, c, side, side]."""
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))[::stride, ::stride]


def conv(w: Weights, name: str, x: np.ndarray, stride: int = 1, pad: int = 0) -> np.ndarray:
    """A convolution without bias."""
    kernel = w[f"{name}.weight"].astype(np.float64)
    return np.einsum("hwcij,dcij->hwd", windows(x, kernel.shape[-1], stride, pad), kernel)


def norm(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Batch normalisation by running moments."""
    mean, variance, scale, bias = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + bias


def norm_weights(rng: np.random.Generator, name: str, width: int) -> dict[str, np.ndarray]:
    """Random moments, scales and offsets of a batch normalisation."""
    draws = {"weight": (0.5, 1.5), "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3), "running_var": (0.5, 1.5)}
    weights = {f"{name}.{part}": rng.uniform(*bounds, width).astype(np.float32) for part, bounds in draws.items()}
    return weights | {f"{name}.num_batches_tracked": np.array(7)}


def conv_weights(rng: np.random.Generator, name: str, before: int, width: int, side: int) -> dict[str, np.ndarray]:
    """A random kernel that keeps the size of signals."""
    kernel = rng.normal(size=(width, before, side, side)) * np.sqrt(2 / (before * side**2))
    return {f"{name}.weight": kernel.astype(np.float32)}
