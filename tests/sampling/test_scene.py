"""Pictures in which faces are redrawn."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.media.crop import SquareBox
from xactor_jax.sampling.scene import scene_of

LEFT, RIGHT = SquareBox(10, 10, 80, 80), SquareBox(110, 20, 180, 90)


def test_frames_of_streams_are_joined_one_by_one(rng):
    """Streams may come in different pieces. A piece is read when it is needed, and a joined frame is not changed later."""
    still, read = rng.integers(0, 256, (101, 193, 3), dtype=np.uint8), []
    colours = np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None] * np.ones((16, 16, 3), np.uint8)

    def pieces(*sizes):
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            read.append(size)
            yield colours[end - size : end]

    scene = scene_of(still, "p.png", 16, [LEFT, RIGHT])
    frames = scene.frames([pieces(2, 3), pieces(4, 1)])
    first = next(frames)
    assert read == [2, 4] and scene.size == (100, 192) and first.shape == (1, 100, 192, 3)
    kept = first.copy()
    made = np.concatenate([first, *frames])
    np.testing.assert_array_equal(first, kept)
    assert len(made) == 5 and (made[:, 45, 45] == colours[:, 0, 0]).all() and (made[:, 55, 145] == colours[:, 0, 0]).all()
    np.testing.assert_array_equal(made[:, :, 80:110], np.broadcast_to(still[:100, 80:110], (5, 100, 30, 3)))
    with pytest.raises(ValueError):
        list(scene.frames([pieces(2), pieces(1)]))


def test_what_cannot_be_a_scene_is_said():
    picture = np.zeros((200, 300, 3), np.uint8)
    with pytest.raises(UserError, match=r"a face in p\.png is 25 pixels wide: give a picture where it has 40 or more"):
        scene_of(picture, "p.png", 16, [LEFT, SquareBox(0, 0, 40, 40)])
    wide = np.broadcast_to(np.uint8(0), (4320, 7680, 3))
    with pytest.raises(UserError, match=r"p\.png is too large for H.264 \(7680 x 4320 pixels\): make it 4096 x 2304"):
        scene_of(wide, "p.png", 16, [LEFT])
    scene_of(np.broadcast_to(np.uint8(0), (2160, 3840, 3)), "p.png", 16, [LEFT])
