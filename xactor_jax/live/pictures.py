"""Pictures of a live session as messages: a header with number and time, then the compressed picture (docs/live.md)."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
from jaxtyping import UInt8

from xactor_jax.media.video_io import SYNTHETIC
from xactor_jax.timing import SAMPLES_PER_FRAME

CODECS = {"jpeg": 1, "webp": 2, "png": 3}
"""Codec → its number in the header. PNG is lossless."""

HEADER = struct.Struct("<4sBBHIQI")
"""Magic, codec, flags, length of the header, number of the picture, time in samples, length of the picture."""

MAGIC = b"XAF1"

FLAGS = 1
"""Bit 0: the picture is synthetic. All are."""

DESCRIPTION = 0x010E
"""The EXIF tag ImageDescription, in which WebP has its comment."""


class Picture(NamedTuple):
    """A message, taken apart."""

    codec: str
    synthetic: bool
    number: int
    samples: int
    data: bytes


def encoded(pixels: UInt8[np.ndarray, "h w 3"], codec: str, quality: int) -> bytes:
    """The bytes of a picture file whose metadata says that it is synthetic. `quality` from 1 to 100, without effect on PNG."""
    buffer, image = io.BytesIO(), PIL.Image.fromarray(pixels)
    if codec == "jpeg":
        image.save(buffer, "JPEG", quality=quality, comment=SYNTHETIC)
    elif codec == "webp":
        exif = PIL.Image.Exif()
        exif[DESCRIPTION] = SYNTHETIC
        image.save(buffer, "WEBP", quality=quality, method=0, exif=exif)
    else:
        info = PIL.PngImagePlugin.PngInfo()
        info.add_text("Comment", SYNTHETIC)
        image.save(buffer, "PNG", compress_level=1, pnginfo=info)
    return buffer.getvalue()


def message(pixels: UInt8[np.ndarray, "h w 3"], number: int, codec: str, quality: int) -> bytes:
    """The message of a picture."""
    data = encoded(pixels, codec, quality)
    return HEADER.pack(MAGIC, CODECS[codec], FLAGS, HEADER.size, number, number * SAMPLES_PER_FRAME, len(data)) + data


def number_of(message: bytes) -> int:
    """The number of a message's picture."""
    return HEADER.unpack_from(message)[4]


def parsed(message: bytes) -> Picture:
    """A message, taken apart. Raises ValueError for bytes that are none."""
    if len(message) < HEADER.size:
        raise ValueError("the message is shorter than its header")
    magic, codec, flags, start, number, samples, length = HEADER.unpack_from(message)
    names = {value: name for name, value in CODECS.items()}
    if magic != MAGIC or codec not in names or len(message) != start + length:
        raise ValueError("the message is no picture")
    return Picture(names[codec], bool(flags & 1), number, samples, message[start:])
