"""The inputs that the demo makes: what launch/sample.py is given."""

from __future__ import annotations

import importlib
import wave

import pytest

from xactor_jax.errors import UserError
from xactor_jax.media.image_io import read_image
from xactor_jax.sampling.portrait import read_portrait


@pytest.fixture(scope="module")
def demo():
    """The program as a module."""
    return importlib.import_module("launch.demo")


def test_two_pictures_and_a_voice_of_the_asked_length(demo, tmp_path):
    """In the photograph the face is found and cut out; the portrait is a face already."""
    made = demo.write_inputs(tmp_path, 1.0, "sad")
    assert read_image(tmp_path / "portrait.png").shape == (256, 256, 3)
    assert read_image(tmp_path / "photograph.png").shape == (512, 512, 3)
    found, whole = (read_portrait(tmp_path / "photograph.png", (64, 64), crop) for crop in ("auto", "none"))
    assert abs(found.for_video.astype(int) - whole.for_video).mean() > 5
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert file.getnframes() == 16_000 == len(made.performance.audio)


@pytest.mark.parametrize(
    ("seconds", "emotion", "message"), [(0.5, "happy", "seconds=0.5 is not"), (2.0, "bored", "choose one of")]
)
def test_what_nobody_can_perform_is_one_sentence(demo, tmp_path, seconds, emotion, message):
    with pytest.raises(UserError, match=message):
        demo.write_inputs(tmp_path, seconds, emotion)
