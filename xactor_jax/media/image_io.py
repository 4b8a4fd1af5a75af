"""Reading and writing pictures."""

from __future__ import annotations

import cv2
import numpy as np
from etils import epath
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.containers import require_file
from xactor_jax.unfinished import write_whole


def read_image(path: epath.PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a picture file, turned upright as its EXIF orientation says. Transparency is laid over white.

    Raises:
        UserError: the file is missing or is no picture.
    """
    path = require_file(path, "image")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise UserError(f"the image {path} cannot be read: it is damaged or of an unknown format.")
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if raw is not None and raw.ndim == 3 and raw.shape[2] == 4 and raw.shape[:2] == pixels.shape[:2]:
        return _over_white(pixels, raw[..., 3])
    return pixels


def _over_white(pixels: UInt8[np.ndarray, "h w 3"], opacity: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    share = opacity.astype(np.float32)[..., None] / np.iinfo(opacity.dtype).max
    return np.rint(pixels * share + 255.0 * (1.0 - share)).astype(np.uint8)


def write_image(path: epath.PathLike, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes RGB pixels in the format that the suffix names (png, jpg, webp), whole or not at all.

    Raises:
        UserError: the suffix names no format, or the place cannot be written to.
    """
    path = epath.Path(path)
    try:
        data = cv2.imencode(path.suffix, np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()
    except cv2.error as error:
        raise UserError(f"{path} does not end in .png, .jpg or .webp: name a format to write.") from error
    try:
        write_whole(path, data)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): check that its folder exists and is writable.") from error
