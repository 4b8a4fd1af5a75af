"""Small video files for tests of scoring."""

from __future__ import annotations

import pathlib

import numpy as np

from tests.media.builders import numbered_frames, write_media


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound at 16 kHz. float32 [n]."""
    return (0.1 * np.random.default_rng(seed).normal(size=round(16_000 * seconds))).astype(np.float32)


def write_clip(path: pathlib.Path, count: int = 12, side: int = 32, sound: bool = False, shift: int = 0) -> pathlib.Path:
    """A video whose frame number k is as bright as number k + shift (`builders.read_number`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = {"audio": noise(count / 25), "audio_rate": 16_000, "layout": "mono"} if sound else {}
    return write_media(path, numbered_frames(count + shift, side, side)[shift:], **audio)
