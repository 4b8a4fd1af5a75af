"""Portraits for tests: a picture, cropped as programs crop it."""

from __future__ import annotations

from etils import epath

from xactor_jax.media.faces import FaceDetector
from xactor_jax.media.image_io import read_image
from xactor_jax.sampling.portrait import Portrait, cropped


def read_portrait(
    path: epath.PathLike,
    sides: tuple[int, int],
    crop: str = "auto",
    face_index: int | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """Reads a portrait and crops it to `sides` pixels (motion stage, video stage)."""
    return cropped(read_image(path), str(path), sides, crop, face_index, detector)
