"""launch/render.py: as a program with the embedded checkpoints on the video of a puppet, otherwise here with tiny ones."""

from __future__ import annotations

import json
import os
import pathlib
import re
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.gcs import gcs_bucket  # noqa: F401
from tests.media.builders import write_media
from tests.sampling.conftest import make_image, make_sound
from tests.tiny import LATENT_DIM, tiny  # noqa: F401
from xactor_jax.media.audio_io import has_audio, read_audio
from xactor_jax.media.image_io import write_image
from xactor_jax.media.marks import SYNTHETIC
from xactor_jax.media.video_io import read_frames

FRAMES = 13


@pytest.fixture
def out(tmp_path) -> pathlib.Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def inputs(tmp_path) -> dict[str, str]:
    """A picture, half a second of a video with sound, the same of motion."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (FRAMES, 6, 8, 3), dtype=np.uint8)
    frames = np.stack([cv2.resize(frame, (64, 48)) for frame in small])
    sound = 0.1 * np.random.default_rng(1).normal(size=24_000).astype(np.float32)
    motion = rng.normal(size=(FRAMES, LATENT_DIM)).astype(np.float32)
    np.savez(folder / "m.npz", motion_latents=motion, reference_motion=motion[0], frame_rate=25)
    return {
        "image": make_image(folder / "p.png"),
        "driving": str(write_media(folder / "d.mp4", frames, audio=sound)),
        "motion_latents": str(folder / "m.npz"),
    }


def options(**values) -> list[str]:
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in values.items() if value is not None]


def stages(tiny) -> dict[str, str]:
    return {stage: tiny[stage] for stage in ("motion", "video")}


@pytest.fixture
def program(repository, tiny, monkeypatch, capfd):
    """Runs the program here with the tiny checkpoints; returns (exit status, stdout, stderr)."""

    def run(name: str = "render.py", **arguments) -> tuple[int, str, str]:
        checkpoints = stages(tiny) if name == "render.py" else tiny
        monkeypatch.setattr(sys, "argv", [name, *options(**{**checkpoints, "crop": "none", **arguments})])
        status = 0
        try:
            runpy.run_path(str(repository / "launch" / name), run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        return status, *capfd.readouterr()

    return run


def pictures(path) -> np.ndarray:
    return np.stack([frame for _, frame in read_frames(path)])


def puppet_video(folder: pathlib.Path) -> tuple[str, str, np.ndarray]:
    """A portrait of one puppet; a video of another at 50 frames a second on a wide picture, with its sound; the sound."""
    from data.performers.clips import make_portrait
    from data.performers.performance import make_performance
    from data.puppets import body

    write_image(folder / "p.png", make_portrait(body, 250_802_944, 7, 128))
    performance = make_performance(250_802_944, 3, 0, 25)
    pictures = body.make_figure(250_802_944, 3, 0, performance.acting).render(performance.acting, 128)
    frames = np.full((50, 160, 240, 3), 128, np.uint8)
    frames[:, 16:144, 60:188] = np.repeat(pictures, 2, axis=0)
    sound = performance.audio.astype(np.float32) / 32768
    write_media(folder / "d.mp4", frames, fps=50, audio=sound, audio_rate=16_000, layout="mono")
    return str(folder / "p.png"), str(folder / "d.mp4"), sound


@pytest.mark.slow  # quick: those below, with tiny checkpoints in this process
def test_a_portrait_moves_like_a_person_in_a_video(repository, tmp_path, out):
    image, driving, sound = puppet_video(tmp_path)

    def made(name: str, **more) -> bytes:
        files = dict(image=image, driving=driving, out=out / name, save_motion=out / "m.npz")
        command = [sys.executable, "launch/render.py", *options(**files, crop="none", seed=3, **more)]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(out / name)
        return (out / name).read_bytes()

    assert made("a.mp4", driving_crop="auto") == made("b.mp4", driving_crop="auto")
    frames = pictures(out / "a.mp4")
    assert frames.shape == (25, 128, 128, 3) and frames.std() > 20
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.1
    assert np.corrcoef(read_audio(out / "a.mp4")[: len(sound)], sound)[0, 1] > 0.8
    said = json.loads((out / "a.json").read_text())
    assert said["synthetic"] and said["seed"] == 3 and said["frames"] == 25 and said["driving_start"] == 0
    assert said["checkpoints"].keys() == {"motion", "video"} and said["inputs"].keys() == {"image", "driving"}
    assert np.load(out / "m.npz")["motion_latents"].shape[0] == 25


@pytest.mark.slow  # quick: test_relative_motion_begins_as_the_portrait_is
def test_saved_motion_gives_the_video_again_that_it_came_from(program, inputs, out, tmp_path):
    sound = make_sound(tmp_path / "a.wav", 0.5)
    sampled = dict(image=inputs["image"], audio=sound, out=out / "a.mp4", save_motion=out / "m.npz", seed=4)
    assert program("sample.py", **sampled)[0] == 0
    again = dict(image=inputs["image"], audio=sound, motion_latents=out / "m.npz", out=out / "b.mp4", seed=4)
    status, _, errors = program(**again, save_motion=out / "n.npz")
    assert status == 0, errors
    assert (out / "a.mp4").read_bytes() == (out / "b.mp4").read_bytes()
    first, second = np.load(out / "m.npz"), np.load(out / "n.npz")
    assert all(np.array_equal(first[name], second[name]) for name in first.files)


def test_relative_motion_begins_as_the_portrait_is(program, inputs, out):
    shared = dict(image=inputs["image"], motion_latents=inputs["motion_latents"], out=out / "a.mp4", save_motion=out / "m.npz")
    status, _, errors = program(**shared, relative=True)
    assert status == 0, errors
    made, given = np.load(out / "m.npz"), np.load(inputs["motion_latents"])
    np.testing.assert_allclose(made["motion_latents"][0], made["reference_motion"], atol=1e-6)
    assert np.abs(made["motion_latents"] - given["motion_latents"]).max() > 0.01
    assert json.loads((out / "a.json").read_text())["arguments"]["relative"] is True


def test_the_motion_of_a_video_is_relative_unless_said_otherwise(program, inputs, out):
    video = dict(image=inputs["image"], driving=inputs["driving"], save_motion=out / "m.npz")
    for name, flag, expected in (("a", {}, True), ("b", {"no-relative": True}, False)):
        status, _, errors = program(**video, out=out / f"{name}.mp4", **flag)
        assert status == 0, errors
        assert json.loads((out / f"{name}.json").read_text())["arguments"]["relative"] is expected
        made = np.load(out / "m.npz")
        assert np.allclose(made["motion_latents"][0], made["reference_motion"], atol=1e-5) is expected


def test_sound_is_that_of_the_video_or_the_one_named_or_none(program, inputs, out, tmp_path):
    image, driving, motion = inputs["image"], inputs["driving"], inputs["motion_latents"]
    assert program(image=image, driving=driving, out=out / "a.mp4")[0] == 0
    decoded = read_audio(out / "a.mp4")
    assert has_audio(out / "a.mp4") and np.corrcoef(decoded[:8000], read_audio(driving)[:8000])[0, 1] > 0.8
    assert program(image=image, motion_latents=motion, out=out / "b.mp4")[0] == 0
    assert not has_audio(out / "b.mp4") and len(pictures(out / "b.mp4")) == FRAMES
    longer = make_sound(tmp_path / "long.wav", 2.0)
    status, _, errors = program(image=image, motion_latents=motion, audio=longer, out=out / "c.mp4")
    assert status == 0 and "warning: " in errors and "lasts 50 frames, the motion 13" in errors
    assert len(pictures(out / "c.mp4")) == FRAMES and len(read_audio(out / "c.mp4")) == pytest.approx(640 * FRAMES, abs=1100)


def test_the_detector_finds_the_face_of_portrait_and_video(program, inputs, out, tmp_path):
    rows = [f"d.mp4,{frame},10,10,40,40" for frame in range(FRAMES)] + ["p.png,0,4,4,30,30"]
    (tmp_path / "boxes.csv").write_text("\n".join(["file,frame,x0,y0,x1,y1", *rows]))
    arguments = dict(image=inputs["image"], driving=inputs["driving"], crop="auto", out=out / "a.mp4")
    assert program(**arguments, detector="opencv")[0] == 2
    status, _, errors = program(**arguments, detector=f"csv:{tmp_path / 'boxes.csv'}")
    assert status == 0, errors
    assert json.loads((out / "a.json").read_text())["arguments"]["detector"] == f"csv:{tmp_path / 'boxes.csv'}"


def test_options_reach_the_renderer_and_the_json(program, inputs, out):
    import av

    arguments = dict(image=inputs["image"], motion_latents=inputs["motion_latents"], steps=1, guidance_scale=2.0)
    assert program(**arguments, out=out / "a.mp4")[0] == 0
    said = json.loads((out / "a.json").read_text())["arguments"]
    assert (said["render"]["steps"], said["render"]["guidance_scale"], said["render"]["offline"]) == (1, 2.0, False)
    assert "rollout" not in said and said["motion_latents"] == inputs["motion_latents"]
    with av.open(str(out / "a.mp4")) as container:
        assert container.metadata["comment"] == SYNTHETIC and container.streams.video[0].average_rate == 25


def written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def saved(path: pathlib.Path, shape: tuple[int, ...]) -> pathlib.Path:
    np.savez(path, motion_latents=np.zeros(shape, np.float32))
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda folder: {"motion_latents": saved(folder / "x.npz", (3, 9))}, "have 9 numbers, not 8"),
        (lambda folder: {"motion_latents": written(folder / "x.npz", b"x")}, "x.npz holds no motion latents"),
        (lambda folder: {"motion_latents": folder / "none.npz"}, "no file of motion latents at .*none.npz"),
        (lambda folder: {"motion_latents": None}, "give either --motion_latents, saved motion, or --driving"),
        (lambda folder: {"driving": folder / "d.mp4"}, "give either --motion_latents, saved motion, or --driving"),
        (lambda folder: {"motion_latents": None, "driving": folder / "none.mp4"}, "none.mp4"),
        (lambda folder: {"motion_latents": None, "driving": written(folder / "x.mp4", b"x")}, "x.mp4 cannot be read"),
        (
            lambda folder: {"motion_latents": None, "driving": folder / "d.mp4", "driving_crop": "auto", "detector": "opencv"},
            "no face was found in .*d.mp4",
        ),
        (lambda folder: {"driving_crop": "auto"}, "--driving_crop means nothing to --motion_latents"),
        (lambda folder: {"crop": "auto", "detector": "opencv"}, "no face was found in .*p.png"),
        (lambda folder: {"crop": "face"}, "no crop 'face'"),
        (lambda folder: {"detector": "haar"}, "there is no face detector 'haar': use blazeface, opencv"),
        (lambda folder: {"image": folder / "none.png"}, "none.png"),
        (lambda folder: {"audio": folder / "none.wav"}, "none.wav"),
        (lambda folder: {"steps": -1}, "--steps=-1 is not possible: use a whole number from 0"),
        (lambda folder: {"guidance_scale": "nan"}, "--guidance_scale=nan is not possible: use a number from -100.0"),
        (lambda folder: {"out": folder / "none" / "v.mp4"}, "none does not exist"),
        (lambda folder: {"video": folder / "none"}, "no checkpoint in .*none"),
        (lambda folder: {"video_checkpoint": folder}, "--video_checkpoint has another name now: write --video"),
        (lambda folder: {"motion": "old.npz"}, "--motion names a checkpoint: give saved motion by --motion_latents old.npz"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(program, inputs, out, changed, message):
    folder = pathlib.Path(inputs["image"]).parent
    arguments = {"image": inputs["image"], "motion_latents": inputs["motion_latents"], "out": out / "v.mp4", **changed(folder)}
    before = sorted(folder.iterdir())
    status, output, errors = program(**arguments)
    lines = errors.strip().splitlines()
    assert status == 2 and not output
    assert len(lines) == 1 and lines[0].startswith("error: ") and re.search(message, lines[0])
    assert not list(out.iterdir()) and sorted(folder.iterdir()) == before


def test_everything_may_be_in_a_bucket(program, gcs_bucket, inputs, out):
    from etils import epath

    remote = epath.Path(gcs_bucket) / "render"
    for name, path in inputs.items():
        (remote / f"{name}{pathlib.Path(path).suffix}").write_bytes(pathlib.Path(path).read_bytes())
    places = dict(
        image=remote / "image.png", driving=remote / "driving.mp4", out=remote / "v.mp4", save_motion=remote / "n.npz"
    )
    status, _, errors = program(**places)
    assert status == 0, errors
    (out / "v.mp4").write_bytes((remote / "v.mp4").read_bytes())
    assert len(pictures(out / "v.mp4")) == FRAMES and has_audio(out / "v.mp4")
    assert program(image=remote / "image.png", motion_latents=remote / "n.npz", out=remote / "w.mp4")[0] == 0
    assert json.loads((remote / "w.json").read_text())["inputs"]["motion_latents"]["path"] == f"{remote}/n.npz"
