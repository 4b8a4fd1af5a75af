"""A rendered head, drawn once and kept as a picture."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).parents[1] / "faces" / "data" / "golden.npz"


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """[192, 192, 3] RGB, of a head that looks aside."""
    with np.load(GOLDEN) as file:
        return cv2.imdecode(file["head_192"], cv2.IMREAD_COLOR)[..., ::-1]
