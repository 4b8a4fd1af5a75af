"""Weights and inputs that are functions of a name, and what the released networks make of them.

Outputs lie in a folder `golden` beside the one that XACTOR_REAL_DATA names; tests that need them skip where it is absent.
"""

from __future__ import annotations

import json
import pathlib
import zlib

import numpy as np
import pytest


def value(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One tensor of a state dict; not for fixed tables."""
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, dtype=np.float32)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(n)
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    small = {"running_mean": 0.1 * n, "bias": 0.05 * n}
    if leaf in small:
        return small[leaf]
    return 1 + 0.1 * n if leaf == "weight" and len(shape) == 1 else n / np.float32(np.sqrt(np.prod(shape[1:])))


def values(keys: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A whole state dict, without fixed tables."""
    return {key: value(key, shape) for key, shape in keys.items() if key.rsplit(".", 1)[-1] != "pe"}


def inputs(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(f"input:{name}".encode()))
    if name == "face":
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return rng.standard_normal(shape, dtype=np.float32)


def read_keys(file: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """State-dict key → shape, of a `.keys.json`."""
    return {key: tuple(shape) for key, shape in json.loads(file.read_text()).items()}


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(np.asarray(found, np.float64) - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="session")
def golden(real_data: pathlib.Path) -> pathlib.Path:
    """The folder of outputs."""
    folder = real_data.absolute().parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder
