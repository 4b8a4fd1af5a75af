"""Faces are put back into their picture; several of them speak with a voice each."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import soundfile

from data.heads import body
from data.performers.clips import make_portrait
from tests.launch.programs import run_here
from tests.sampling.conftest import make_sound
from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import read_audio
from xactor_jax.media.image_io import read_image, write_image
from xactor_jax.media.video_io import read_frames
from xactor_jax.sampling import pipeline as streams
from xactor_jax.sampling.api import Pipeline

BOXES = {"right": (120, 40, 170, 90), "left": (20, 30, 66, 76)}
"""Two faces; the more prominent one is on the right."""


@pytest.fixture(scope="module")
def pipeline(tiny) -> Pipeline:
    return Pipeline.load(**tiny)


@pytest.fixture
def pair(tmp_path, rng) -> dict[str, str]:
    """A picture of odd height with two faces, and the detector that finds them."""
    write_image(tmp_path / "pair.png", rng.integers(0, 256, (121, 200, 3), dtype=np.uint8))
    rows = [f"pair.png,0,{','.join(map(str, box))}" for box in BOXES.values()]
    (tmp_path / "boxes.csv").write_text("\n".join(["file,frame,x0,y0,x1,y1", *rows]))
    return {"image": str(tmp_path / "pair.png"), "detector": f"csv:{tmp_path / 'boxes.csv'}"}


@pytest.fixture
def voices(tmp_path) -> dict[str, str]:
    """0.6 and 0.2 seconds."""
    lengths = {"left": 0.6, "right": 0.2}
    return {name: make_sound(tmp_path / f"{name}.wav", lengths[name], seed) for seed, name in enumerate(lengths)}


def noise(seconds: float, seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=round(16_000 * seconds)).astype(np.float32)


def test_each_face_is_what_it_would_be_alone(pipeline, pair, voices):
    """With its voice, then silence, and with the seed plus its index; the rest of the picture stays as it is."""
    video, still = pipeline(**pair, audio=voices, seed=5), read_image(pair["image"])[:120]
    made = video.array()
    assert len(video) == 15 and made.shape == (15, 120, 200, 3)
    for role, (name, index, number) in zip(video.inputs.roles, (("left", 1, 0), ("right", 0, 1)), strict=True):
        waveform = read_audio(voices[name])
        waveform = np.pad(waveform, (0, 9_600 - len(waveform)))
        single = pipeline(**pair, audio=(waveform, 16_000), seed=5 + number, face_index=index, paste_back=True)
        x0, y0, x1, y1 = BOXES[name]
        middle = np.s_[:, y0:y1, x0:x1]
        np.testing.assert_array_equal(made[middle], single.array()[middle])
        np.testing.assert_array_equal(role.portrait.for_video, single.inputs.roles[0].portrait.for_video)
        assert (made[middle][0] != made[middle][-1]).mean() > 0.3
    outside = np.ones((120, 200), bool)
    for x0, y0, x1, y1 in BOXES.values():
        outside[y0 - 20 : y1 + 20, x0 - 20 : x1 + 20] = False
    assert outside.mean() > 0.3 and (made[:, outside] == still[outside]).all()


def test_one_face_in_the_picture_is_the_same_face_as_by_itself(pipeline, pair, voices):
    """In the middle of its square, where nothing is faded: resized by the ratio of the squares."""
    options = dict(audio=voices["right"], face_index=0)
    square, picture = (pipeline(**pair, **options, paste_back=back).array() for back in (False, True))
    assert square.shape[1:] == (32, 32, 3) and len(square) == len(picture) == 5
    side = round(1.6 * 50)
    x, y = round(145 - side / 2), round(65 - 0.03 * side - side / 2)
    large = cv2.resize(square[3], (side, side), interpolation=cv2.INTER_LANCZOS4).astype(float)
    small = picture[3, y : y + side, x : x + side].astype(float)
    inner = np.s_[20:-20, 20:-20]
    assert np.corrcoef(large[inner].ravel(), small[inner].ravel())[0, 1] > 0.9


def test_the_program_writes_what_python_makes(pipeline, tiny, pair, voices, tmp_path):
    out = tmp_path / "v.mp4"
    faces = ",".join(f"{name}={path}" for name, path in voices.items())
    options = {**tiny, **pair, "faces": faces, "out": out, "seed": 5, "mark": "AI"}
    done = run_here("sample.py", *(f"--{name}={value}" for name, value in options.items()))
    assert done.returncode == 0, done.stderr
    frames = np.stack([pixels for _, pixels in read_frames(out)])
    expected = pipeline(**pair, audio=voices, seed=5, mark="AI").array()
    luma = [(video @ [0.299, 0.587, 0.114]).ravel() for video in (frames, expected)]
    assert frames.shape == expected.shape and np.corrcoef(*luma)[0, 1] > 0.9
    sound = noise(0.6, 0)
    sound[:3_200] += noise(0.2, 1)
    assert np.corrcoef(read_audio(out)[: len(sound)], sound)[0, 1] > 0.8
    said = json.loads(out.with_suffix(".json").read_text())
    assert said["synthetic"] and said["frames"] == 15 and said["arguments"]["faces"] == faces
    assert {name: said["inputs"][f"audio_{name}"]["path"] for name in voices} == voices


def test_a_list_of_jobs_and_reenactment_put_faces_back_too(tiny, pair, voices, tmp_path):
    (tmp_path / "jobs.jsonl").write_text(
        json.dumps({**pair, "audio": voices["right"], "out": str(tmp_path / "j.mp4"), "face_index": 1, "paste_back": True})
    )
    stages = [f"--{name}={path}" for name, path in tiny.items()]
    done = run_here("sample.py", *stages, f"--jobs={tmp_path / 'jobs.jsonl'}")
    assert done.returncode == 0, done.stderr
    np.savez(tmp_path / "m.npz", motion_latents=np.zeros((3, 8), np.float32), reference_motion=np.zeros(8, np.float32))
    options = {**pair, "motion_latents": tmp_path / "m.npz", "out": tmp_path / "r.mp4", "face_index": 1}
    stages = [option for option in stages if not option.startswith("--actor")]
    done = run_here("render.py", *stages, "--paste_back", *(f"--{name}={value}" for name, value in options.items()))
    assert done.returncode == 0, done.stderr
    for name, count in (("j", 5), ("r", 3)):
        frames = [pixels for _, pixels in read_frames(tmp_path / f"{name}.mp4")]
        assert len(frames) == count and frames[0].shape == (120, 200, 3)


WRONG = {
    "too few": ({"faces": "1={left},2={right},3={left}"}, "3 faces are named, but 2 found in .*pair.png"),
    "no such": ({"faces": "3={left}"}, "no face 3 in .*pair.png"),
    "no name": ({"faces": "top={left}"}, "no face 'top'"),
    "no list": ({"faces": "{left}"}, "write --faces as in left=a.wav,right=b.wav"),
    "no file": ({"faces": "left={left},right=none.wav"}, "no audio file at none.wav"),
    "damaged": ({"faces": "left={left},right={image}"}, "pair.png has no sound"),
    "both": ({"audio": "{left}"}, "--faces and --audio exclude each other"),
    "motion": ({"save_motion": "{folder}/m.npz"}, "--faces and --save_motion exclude each other"),
    "index": ({"face_index": "0"}, "--faces and --face_index exclude each other"),
    "crop": ({"crop": "none"}, "--crop none finds none"),
    "jobs": ({"jobs": "none.jsonl"}, "--jobs takes no other input.*--faces is not for lists"),
    "source": ({"faces": "left={left},right={folder}/v.mp4"}, "v.mp4 would be written over what is read"),
    "nothing": ({"faces": ""}, r"give --image, --audio \(or --faces\) and --out"),
    "small": ({"detector": "csv:{folder}/small.csv"}, "a face in .*pair.png is 20 pixels wide"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(tiny, pair, voices, tmp_path, name):
    (tmp_path / "small.csv").write_text("file,frame,x0,y0,x1,y1\npair.png,0,20,20,40,40\npair.png,0,120,40,170,90\n")
    changed, message = WRONG[name]
    places = {**voices, **pair, "folder": tmp_path}
    changed = {option: text.format(**places) for option, text in changed.items()}
    faces = f"left={voices['left']},right={voices['right']}"
    if name == "source":
        pathlib.Path(make_sound(tmp_path / "v.wav")).rename(tmp_path / "v.mp4")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    options = {**tiny, **pair, "faces": faces, "out": tmp_path / "v.mp4", **changed}
    done = run_here("sample.py", *(f"--{option}={value}" for option, value in options.items()))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert re.match(f"error: .*{message}", done.stderr)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_python_says_the_same(pipeline, pair, voices, tmp_path):
    loud = {name: (noise(0.2, 0), 16_000) for name in voices}
    for said, wrong in {
        "no face 'top'": lambda: pipeline(**pair, audio={"top": voices["left"]}),
        "crop none finds none": lambda: pipeline(**pair, audio=loud, crop="none"),
        "save_motion exclude": lambda: pipeline(**pair, audio=loud).save(tmp_path / "v.mp4", save_motion=tmp_path / "m.npz"),
        "no face is named": lambda: pipeline(**pair, audio={}),
    }.items():
        with pytest.raises(UserError, match=said):
            wrong()


def test_memory_does_not_grow_with_the_length(pipeline, pair, monkeypatch):
    """The first frame of a long video comes after one piece of each face."""
    video = pipeline(**pair, audio={"left": (noise(8.0, 0), 16_000), "right": (noise(1.0, 1), 16_000)})
    assert len(video) == 200
    pieces = []
    perform = streams.perform

    def counted(*arguments):
        performance = perform(*arguments)
        return performance._replace(frames=(pieces.append(len(p)) or p for p in performance.frames))

    monkeypatch.setattr(streams, "perform", counted)
    first = next(dataclasses.replace(video).frames)
    assert first.shape == (1, 120, 200, 3) and len(pieces) == 2 and sum(pieces) < 40


def test_the_mix_is_not_clipped(pipeline, pair, tmp_path):
    tone = 0.9 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 44_100).astype(np.float32)
    for name in ("left", "right"):
        soundfile.write(tmp_path / f"{name}.wav", tone, 44_100)
    video = pipeline(**pair, audio={name: tmp_path / f"{name}.wav" for name in ("left", "right")})
    video.save(tmp_path / "v.mp4")
    mixed = read_audio(tmp_path / "v.mp4")
    assert 0.9 < np.abs(mixed).max() <= 1.0
    spectrum = np.abs(np.fft.rfft(mixed[1000:5000] * np.hanning(4000)))
    third = slice(320, 340)  # of 440 Hz: 1320 Hz, which clipping would add
    assert spectrum[third].max() < 0.003 * spectrum.max()


@pytest.mark.slow  # quick: test_each_face_is_what_it_would_be_alone
def test_the_embedded_checkpoints_make_two_heads_speak_without_a_border(voices):
    """Faces are found without a detector's file. Where the squares fade, the picture hardly changes; mouths do."""
    heads = [make_portrait(body, 0, person, 256) for person in (1, 2)]
    still = np.concatenate([np.pad(head, ((40, 40), (40, 40), (0, 0)), mode="edge") for head in heads], axis=1)
    video = Pipeline.load()(still, voices, seed=1)
    change = np.abs(video.array().astype(float) - still).max(axis=(0, 3))
    assert len(video) == 15 and video.inputs.scene.size == (336, 672)
    weights = np.zeros(still.shape[:2])
    for patch in video.inputs.scene.patches:
        weights[patch.rows, patch.columns] += patch.weight[..., 0]
    assert change[weights == 0].max() == 0 and (weights == 0).mean() > 0.2
    fading = (weights > 0) & (weights < 0.3)
    assert np.median(change[fading]) < 4 < np.percentile(change[weights == 1], 90)
