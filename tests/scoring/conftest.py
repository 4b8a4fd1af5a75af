"""A rendered head, its landmarks, and videos whose landmarks are known."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
import pytest

from xactor_jax.scoring.video import Video, of_frames

GOLDEN = pathlib.Path(__file__).parents[1] / "faces" / "data" / "golden.npz"

Show = Callable[..., Video]
"""(module, landmarks, frames, waveform) → a video with these landmarks, for a module that asks for them."""


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """[192, 192, 3] RGB, of a head that looks aside."""
    with np.load(GOLDEN) as file:
        return cv2.imdecode(file["head_192"], cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture(scope="session")
def face() -> np.ndarray:
    """[468, 3] its landmarks."""
    with np.load(GOLDEN) as file:
        return file["facemesh_head"].astype(np.float32)


@pytest.fixture
def show(monkeypatch) -> Show:
    known = {}

    def video(
        module: ModuleType, points: np.ndarray, frames: np.ndarray | None = None, sound: np.ndarray | None = None
    ) -> Video:
        monkeypatch.setattr(module, "landmarks_of", known.__getitem__)
        frames = np.zeros((len(points), 64, 64, 3), np.uint8) if frames is None else frames
        made = of_frames("shown", frames, sound)
        known[made] = points.astype(np.float32)
        return made

    return video
