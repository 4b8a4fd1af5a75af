from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.portraits import read_portrait
from xactor_jax.errors import UserError
from xactor_jax.media.faces import FaceBox
from xactor_jax.media.image_io import write_image
from xactor_jax.sampling.portrait import choose_face

FACES = [FaceBox(10, 10, 50, 50), FaceBox(60, 60, 80, 80)]


class Finds:
    """A detector that finds the same faces in every picture."""

    def __init__(self, faces):
        self.faces = faces

    def detect(self, image):
        return self.faces


def test_the_face_is_chosen_by_its_index():
    assert choose_face(FACES[:1], None, "x") == FACES[0]
    assert choose_face(FACES, 1, "x") == FACES[1]


@pytest.mark.parametrize(
    ("faces", "index", "message"),
    [
        ([], None, "no face was found in x.*--crop none"),
        (FACES, None, "2 faces were found in x.*--face_index 0 … 1"),
        (FACES, 2, "--face_index 2 is out of range: 2 found"),
        (FACES, -1, "--face_index -1 is out of range"),
    ],
)
def test_no_face_and_several_are_refused(faces, index, message):
    with pytest.raises(UserError, match=message):
        choose_face(faces, index, "x")


def test_the_crop_shows_the_face_that_was_chosen(tmp_path):
    pixels = np.zeros((100, 100, 3), np.uint8)
    cv2.rectangle(pixels, (60, 60), (80, 80), (0, 200, 0), -1)
    write_image(tmp_path / "p.png", pixels)
    portrait = read_portrait(tmp_path / "p.png", (16, 32), face_index=1, detector=Finds(FACES))
    assert portrait.for_motion.shape == (16, 16, 3) and portrait.for_video.shape == (32, 32, 3)
    assert portrait.for_video[16, 16, 1] == 200
    assert portrait.for_video[..., 1].mean() > 30


def test_without_cropping_it_is_the_middle_square(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 255
    write_image(tmp_path / "p.png", pixels)
    portrait = read_portrait(tmp_path / "p.png", (20, 10), crop="none", detector=Finds([]))
    assert (portrait.for_motion == 255).all() and (portrait.for_video == 255).all()


def test_the_released_crop_is_tight_for_motion_and_wide_for_appearance(tmp_path):
    pixels = np.full((100, 100, 3), 90, np.uint8)
    cv2.rectangle(pixels, (60, 60), (79, 79), (0, 200, 0), -1)
    write_image(tmp_path / "p.png", pixels)
    portrait = read_portrait(tmp_path / "p.png", (22, 40), "released", 1, Finds(FACES))
    green = lambda image: (image[..., 1] == 200).sum()
    assert green(portrait.for_motion) == green(portrait.for_video) == 400
    assert (portrait.for_video[10:30, 10:30, 1] == 200).all()
