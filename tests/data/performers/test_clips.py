"""Clips depend only on their numbers, and the data set keeps people apart."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from data import records
from data.frames import decode_frames
from data.performers.build import build, split_persons
from data.performers.clips import make_clip, make_demonstration, make_portrait
from data.performers.controls import LIMITS
from data.performers.emotion import ACTED_EMOTIONS
from data.performers.performance import make_performance
from data.puppets import body
from tests.launch.programs import run_here
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS


def test_same_numbers_same_bytes():
    a, b = (make_clip(body, 3, 4, 5, 8, 48) for _ in range(2))
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name))
        else:
            assert value == getattr(b, name)


@pytest.mark.parametrize("numbers", [(4, 4, 5), (3, 5, 5), (3, 4, 6)])
def test_another_seed_person_or_clip_is_another_clip(numbers):
    a, b = make_clip(body, 3, 4, 5, 30, 32), make_clip(body, *numbers, 30, 32)
    assert list(a.frames) != list(b.frames)
    assert np.any(a.audio != b.audio)
    assert np.any(a.controls != b.controls)


def test_clip_fits_together():
    clip = make_clip(body, 0, 1, 2, 13, 64)
    clip.validate()
    assert decode_frames(clip.frames, [0]).shape == (1, 64, 64, 3)
    assert clip.controls.shape == (13, 14)
    assert set(clip.emotion) <= set(range(len(ACTED_EMOTIONS)))
    assert clip.emotion_intensity.dtype == np.float32
    np.testing.assert_array_equal(clip.emotion_intensity, make_performance(0, 1, 2, 13).mood.intensity)
    assert 0 <= clip.component_boxes.min() <= clip.component_boxes.max() <= 1


def test_controls_move_within_limits_and_apart():
    controls = np.concatenate([make_performance(0, person, 0, 250).controls for person in range(16)])
    for name, column in zip(CONTROLS, controls.T, strict=True):
        low, high = LIMITS[name]
        assert column.min() >= low - 1e-6, name
        assert column.max() <= high + 1e-6, name
        assert column.std() > 0.1 * (high - low), name
    correlation = np.corrcoef(controls.T) - np.eye(len(CONTROLS))
    assert np.abs(correlation).max() < 0.65
    spoken = [CONTROLS.index(name) for name in ("lip_width", "lip_round")]
    correlation[np.ix_(spoken, spoken)] = 0
    assert np.abs(correlation).max() < 0.5


def test_emotion_shows_in_the_controls():
    def means(emotion: str) -> dict[str, float]:
        rows = [make_performance(0, p, 0, 150, emotion=ACTED_EMOTIONS.index(emotion)).controls for p in range(4)]
        return dict(zip(CONTROLS, np.concatenate(rows).mean(0), strict=True))

    mean = {emotion: means(emotion) for emotion in ACTED_EMOTIONS}
    assert max(ACTED_EMOTIONS, key=lambda e: mean[e]["smile"]) == "happy"
    assert max(ACTED_EMOTIONS, key=lambda e: mean[e]["brow_raise"]) == "surprised"
    assert max(ACTED_EMOTIONS, key=lambda e: mean[e]["brow_tilt"]) == "sad"
    assert min(ACTED_EMOTIONS, key=lambda e: mean[e]["brow_tilt"]) == "angry"
    assert max(ACTED_EMOTIONS, key=lambda e: mean[e]["lids"]) == "surprised"
    assert mean["angry"]["jaw"] > mean["sad"]["jaw"] + 0.05


def test_demonstration_is_the_person_of_the_portrait():
    demonstration = make_demonstration(body, 0, 7, 1, 20, 64, emotion=1)
    np.testing.assert_array_equal(demonstration.portrait, make_portrait(body, 0, 7, 64))
    assert demonstration.waveform.shape == (20 * 640,)
    assert 0.01 < np.abs(demonstration.waveform).max() <= 1.0
    assert set(demonstration.performance.mood.label) == {1}


def test_frames_in_h264_are_the_same_pictures():
    jpeg, h264 = (make_clip(body, 0, 1, 2, 10, 64, frames=kind) for kind in ("jpeg", "h264"))
    assert sum(map(len, h264.frames)) < 0.5 * sum(map(len, jpeg.frames)) and len(h264.frames) == 10
    difference = np.abs(decode_frames(jpeg.frames).astype(float) - decode_frames(h264.frames))
    assert 0 < difference.mean() < 5


@pytest.mark.parametrize("persons", [3, 10, 48])
def test_splits_have_no_person_in_common(persons):
    parts = split_persons(persons, seed=1)
    everybody = [person for people in parts.values() for person in people]
    assert sorted(everybody) == list(range(persons))
    assert len(parts["validation"]) == len(parts["test"]) == max(1, round(0.1 * persons))
    assert parts == split_persons(persons, seed=1)


def test_built_data_set_holds_the_clips(tmp_path):
    build(tmp_path / "d", persons=4, clips_per_person=2, seconds=0.2, size=32, seed=5, processes=1, progress=False)
    names = {}
    for split, people in split_persons(4, 5).items():
        source = records.open_clips(tmp_path / "d", split)
        names[split] = set(source.persons)
        assert len(source) == 2 * len(people)
        expected = make_clip(body, 5, people[0], 1, 5, 32)
        assert source[1]["frames"] == list(expected.frames)
        np.testing.assert_array_equal(source[1]["audio"], expected.audio)
        np.testing.assert_array_equal(source[1]["emotion_intensity"], expected.emotion_intensity)
    assert not names["train"] & names["test"] and not names["train"] & names["validation"]
    assert records.clips_metadata(tmp_path / "d")["seed"] == 5
    assert os.listdir(tmp_path) == ["d"]


def test_program_with_two_processes_makes_the_same_data_set(tmp_path, repository):
    sizes = ["--persons", "3", "--clips-per-person", "1", "--seconds", "0.2", "--size", "32"]
    command = [sys.executable, "launch/puppets.py", "--out", str(tmp_path / "d"), *sizes, "--processes", "2"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "3/3" in done.stdout + done.stderr
    build(tmp_path / "e", 3, 1, 0.2, 32, 0, processes=1, progress=False)
    for split in ("train", "validation", "test"):
        a, b = (records.open_clips(tmp_path / folder, split)[0] for folder in "de")
        assert a["frames"] == b["frames"] and a["person"] == b["person"]
    again = run_here("puppets.py", *command[2:])
    assert again.returncode == 2
    assert again.stderr.strip().count("\n") == 0 and "already" in again.stderr


def test_impossible_requests_are_refused(tmp_path):
    with pytest.raises(UserError, match="3 or more"):
        build(tmp_path / "d", persons=2, progress=False)
    with pytest.raises(UserError, match="pixels"):
        build(tmp_path / "d", persons=3, size=4, progress=False)
    assert os.listdir(tmp_path) == []
