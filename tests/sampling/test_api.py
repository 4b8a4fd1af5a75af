"""Sampling from Python gives what launch/sample.py gives."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import soundfile

import xactor_jax
from tests.launch.programs import run_here
from xactor_jax.errors import UserError
from xactor_jax.media.image_io import read_image
from xactor_jax.media.marks import draw_mark
from xactor_jax.media.video_io import read_frames
from xactor_jax.sampling.api import Pipeline, TalkingVideo


@pytest.fixture(scope="module")
def pipeline(tiny) -> Pipeline:
    return xactor_jax.Pipeline.load(**tiny, audio_guidance=2.0, actor_steps=1)


@pytest.fixture
def spoken(pipeline, image, sound) -> TalkingVideo:
    return pipeline(image, sound, emotion="happy@0.5:0-0.4,sad:0.4-", seed=7, crop="none", mark="AI")


def test_files_are_those_of_the_program(tiny, spoken, image, sound, tmp_path):
    """The same bytes, and the same JSON but for the times that it took."""
    spoken.save(tmp_path / "v.mp4", save_motion=tmp_path / "m.npz")
    made = {name: (tmp_path / name).read_bytes() for name in ("v.mp4", "v.json", "m.npz")}
    options = {**tiny, "image": image, "audio": sound, "out": tmp_path / "v.mp4", "save_motion": tmp_path / "m.npz", "seed": 7}
    options |= {"emotion": "happy@0.5:0-0.4,sad:0.4-", "crop": "none", "mark": "AI", "audio_guidance": 2.0, "actor_steps": 1}
    done = run_here("sample.py", *(f"--{name}={value}" for name, value in options.items()))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "v.mp4").read_bytes() == made["v.mp4"]
    of_program, of_python = (json.loads(text) for text in ((tmp_path / "v.json").read_text(), made["v.json"]))
    assert of_program.pop("timings").keys() - {"inputs"} == of_python.pop("timings").keys()
    assert of_program == of_python and of_program["arguments"]["rollout"]["audio_guidance"] == 2.0
    assert of_program["arguments"]["mark"] == "AI"
    assert len(np.load(tmp_path / "m.npz")["motion_latents"]) == 25


def test_frames_come_in_pieces_and_are_those_of_the_file(spoken, tmp_path):
    frames = spoken.frames
    first = next(frames)
    assert first.dtype == np.uint8 and 0 < len(first) < len(spoken) == 25
    whole = spoken.array()
    np.testing.assert_array_equal(np.concatenate([first, *frames]), whole)
    spoken.save(tmp_path / "v.mp4")
    read = np.stack([pixels for _, pixels in read_frames(tmp_path / "v.mp4")])
    luma = [(frames @ [0.299, 0.587, 0.114]).ravel() for frames in (read, whole)]  # H.264 halves the resolution of colour
    assert read.shape == whole.shape and np.corrcoef(*luma)[0, 1] > 0.9
    plain = dataclasses.replace(spoken, request=dataclasses.replace(spoken.request, mark=""))
    np.testing.assert_array_equal(draw_mark(plain.array(), "AI"), whole)


@pytest.mark.parametrize("kind", ["array", "pillow"])
def test_arrays_give_the_bytes_of_the_same_samples_in_files(pipeline, image, tmp_path, rng, kind):
    samples = rng.uniform(-0.5, 0.5, (22_050, 2)).astype(np.float32)
    soundfile.write(tmp_path / "s.wav", samples, 44_100, subtype="FLOAT")
    pictures = {"array": read_image(image), "pillow": PIL.Image.open(image)}
    made = []
    for picture, recording in ((image, tmp_path / "s.wav"), (pictures[kind], (samples, 44_100))):
        pipeline(picture, recording, crop="none").save(tmp_path / "v.mp4")
        made.append((tmp_path / "v.mp4").read_bytes())
    assert made[0] == made[1]
    said = json.loads((tmp_path / "v.json").read_text())
    assert said["inputs"]["audio"]["array"] == "float32 [22050, 2]" and said["arguments"]["image"] == ""


def test_what_is_wrong_is_one_sentence(pipeline, image, sound, spoken, tmp_path):
    silence, noise = np.zeros(100, np.float32), np.full(100, np.nan)
    for said, wrong in {
        "no emotion 'bored'": lambda: pipeline(image, sound, emotion="bored"),
        "does not know the emotion disgusted": lambda: pipeline(image, sound, emotion="disgusted"),
        "no crop 'face'": lambda: pipeline(image, sound, crop="face"),
        "no image at": lambda: pipeline(tmp_path / "none.png", sound),
        "float64 .* is not possible: give uint8": lambda: pipeline(np.zeros((8, 8, 3)), sound),
        r"the sampling rate=0 is not possible": lambda: pipeline(image, (silence, 0)),
        "int64 is not possible: give float": lambda: pipeline(image, (np.zeros(100, np.int64), 16_000)),
        r"shape \(100, 7\) is not possible": lambda: pipeline(image, (np.zeros((100, 7)), 16_000)),
        "NaN or infinity": lambda: pipeline(image, (noise, 16_000)),
        "does not end in .mp4": lambda: spoken.save(tmp_path / "v.avi"),
        "no setting 'speed' of sampling: use actor_steps": lambda: Pipeline.load(speed=1),
    }.items():
        with pytest.raises(UserError, match=said):
            wrong()


def test_silence_is_warned_about(pipeline, image):
    with pytest.warns(UserWarning, match="the recording is silent"):
        pipeline(image, (np.zeros(8_000, np.int16), 16_000), crop="none")


def test_importing_the_package_does_not_import_jax():
    code = (
        "import sys, xactor_jax; assert 'jax' not in sys.modules; from xactor_jax import Pipeline; assert 'jax' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Pipelines'"):
        xactor_jax.Pipelines  # noqa: B018
