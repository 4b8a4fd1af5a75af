"""A picture in which faces are redrawn, frame by frame. The rest of it stays as it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from xactor_jax.errors import UserError
from xactor_jax.media.composite import Patch, composite, patches_of
from xactor_jax.media.crop import CropSettings, SquareBox
from xactor_jax.media.video_io import check_picture_size

SMALLEST = 64.0
"""Least side of a face's square, pixels. In a smaller one there is no mouth to be seen."""

Frames = UInt8[np.ndarray, "t h w 3"]


class Scene(NamedTuple):
    """The picture, with sides that a video may have, and where its faces go."""

    still: UInt8[np.ndarray, "h w 3"]
    patches: tuple[Patch, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.still.shape[0], self.still.shape[1]

    def frames(self, drawn: Sequence[Iterable[Frames]]) -> Iterator[Frames]:
        """Frames of the picture, one at a time, from the streams of its faces. They must have one length."""
        for faces in zip(*map(itertools.chain.from_iterable, drawn), strict=True):
            yield composite(self.still, self.patches, faces)[None]


def scene_of(
    image: UInt8[np.ndarray, "h w 3"],
    name: str,
    side: int,
    squares: Sequence[SquareBox],
    beside: Sequence[SquareBox] = (),
) -> Scene:
    """The scene of a picture. If a side is odd, its last row or column is left out, because H.264 needs even sides.

    Args:
        name: of the picture, for messages.
        side: of the drawn faces, in pixels.
        squares: of the faces that are drawn.
        beside: squares of the other faces.

    Raises:
        UserError: a face is too small, or the picture too large.
    """
    height, width = image.shape[:2]
    still = image[: height // 2 * 2, : width // 2 * 2]
    check_picture_size(still.shape[0], still.shape[1], name)
    for square in squares:
        if square.size < SMALLEST:
            face, least = (side / CropSettings().enlarge for side in (square.size, SMALLEST))
            raise UserError(f"a face in {name} is {face:.0f} pixels wide: give a picture where it has {least:.0f} or more.")
    return Scene(still, patches_of(still.shape, side, squares, beside))
