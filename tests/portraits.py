"""Portraits for tests: a picture, cropped as programs crop it."""

from __future__ import annotations

from etils import epath

from xactor_jax.media.faces import FaceDetector
from xactor_jax.media.image_io import read_image
from xactor_jax.sampling.portrait import Portrait, choose_face, cut, look


def read_portrait(
    path: epath.PathLike,
    sides: tuple[int, int],
    crop: str = "auto",
    face_index: int | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """Reads a portrait and crops it to `sides` pixels (motion stage, video stage)."""
    image, name = read_image(path), str(path)
    seen = look(image, name, crop, lambda faces: [choose_face(faces, face_index, name)], detector)
    return cut(image, seen.places[0], sides, crop)
