"""The inputs that the demo makes: what launch/sample.py is given."""

from __future__ import annotations

import importlib
import wave

import pytest

from tests.portraits import read_portrait
from xactor_jax.errors import UserError
from xactor_jax.media.image_io import read_image


@pytest.fixture(scope="module")
def demo():
    """The program as a module."""
    return importlib.import_module("launch.demo")


@pytest.fixture(scope="module")
def made(demo, tmp_path_factory):
    """(folder, what was made in it)"""
    folder = tmp_path_factory.mktemp("inputs")
    return folder, demo.write_inputs(folder, 1.0, "sad")


def test_two_pictures_and_a_voice_of_the_asked_length(made):
    folder, inputs = made
    assert read_image(folder / "portrait.png").shape == (256, 256, 3)
    assert read_image(folder / "photograph.png").shape == (512, 512, 3)
    with wave.open(str(folder / "speech.wav")) as file:
        assert file.getnframes() == 16_000 == len(inputs.performance.audio)


@pytest.mark.slow  # quick: faces are found and cut out in tests/sampling/test_portrait.py
def test_in_the_photograph_the_face_is_found_and_the_portrait_is_a_face_already(made):
    found, whole = (read_portrait(made[0] / "photograph.png", (64, 64), crop) for crop in ("auto", "none"))
    assert abs(found.for_video.astype(int) - whole.for_video).mean() > 5


@pytest.mark.parametrize(
    ("seconds", "emotion", "message"), [(0.5, "happy", "seconds=0.5 is not"), (2.0, "bored", "choose one of")]
)
def test_what_cannot_be_performed_is_one_sentence(demo, tmp_path, seconds, emotion, message):
    with pytest.raises(UserError, match=message):
        demo.write_inputs(tmp_path, seconds, emotion)
