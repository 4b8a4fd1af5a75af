"""Reading and writing pictures."""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
import pi_heif
import PIL.Image
import PIL.ImageOps
from etils import epath
from jaxtyping import Shaped, UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.containers import require_file
from xactor_jax.unfinished import write_whole

pi_heif.register_heif_opener()

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "SUN", "TGA", "TIFF", "WEBP")
"""Formats that Pillow may read: pictures only, and none for which it would start another program."""

LONGEST_SIDE = 32_000
"""Largest side in pixels. OpenCV, which crops, supports at most 32,767."""


def read_image(path: epath.PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a picture file, rotated and mirrored as its EXIF orientation says. Transparent parts become white.

    Raises:
        UserError: the file is missing, is no picture, or is too large.
    """
    return decoded_image(require_file(path, "image").read_bytes(), str(path))


def decoded_image(data: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """The same for the bytes of a picture file; `name` is for messages.

    Raises:
        UserError: they are no picture, or it is too large.
    """
    try:
        return _pixels(data)
    except PIL.Image.DecompressionBombError:
        most = f"{2 * PIL.Image.MAX_IMAGE_PIXELS:,} pixels or {LONGEST_SIDE:,} a side"
        raise UserError(f"the image {name} has more than {most}: make it smaller.") from None
    except Exception as error:  # Pillow and the decoders below it can raise anything on a damaged file
        raise UserError(f"the image {name} cannot be read: it is damaged or of an unknown format.") from error


def _pixels(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large images and unusual tags
        return _upright_rgb(PIL.Image.open(io.BytesIO(data), formats=FORMATS))


def _upright_rgb(image: PIL.Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if max(image.size) > LONGEST_SIDE:
        raise PIL.Image.DecompressionBombError
    return np.array(_over_white(_of_eight_bits(PIL.ImageOps.exif_transpose(image))).convert("RGB"))


def image_pixels(image: PIL.Image.Image | Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a picture in memory: of Pillow, or an array uint8 [h, w],
    [h, w, 3] or [h, w, 4]. They are those of its file.

    Raises:
        UserError: it has another shape or type, or is too large.
    """
    try:
        if isinstance(image, np.ndarray) and image.dtype != np.uint8:
            raise TypeError(image.dtype)
        return _upright_rgb(PIL.Image.fromarray(image) if isinstance(image, np.ndarray) else image)
    except (TypeError, ValueError, PIL.Image.DecompressionBombError):
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else f"{image.mode} {image.size}"
        raise UserError(
            f"a portrait as an array {what} is not possible: give uint8 [height, width, 3], at most {LONGEST_SIDE:,} a side."
        ) from None


def _of_eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """16-bit grey pictures scaled to 8 bits, since Pillow would clip their values."""
    return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I") else image


def _over_white(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image on a white background where it has transparency."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = PIL.Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def write_image(path: epath.PathLike, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes RGB pixels in the format of the suffix (png, jpg, webp). If it fails, no partial file is left.

    Raises:
        UserError: the suffix is no such format, or the file cannot be written.
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
