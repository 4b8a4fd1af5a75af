"""The benchmark of talking heads as a person starts it, on puppets and the tiny stages."""

from __future__ import annotations

import json
import sys

import pytest

from data.performers.build import build
from launch import prepare
from launch.benchmark import talking_heads
from tests.launch.programs import run_here
from tests.scoring.fakes import FAKES
from tests.tiny import SIZE, tiny  # noqa: F401
from xactor_jax.scoring import protocols

PROGRAM = "benchmark/talking_heads.py"


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr(protocols, "PROTOCOLS", FAKES)


@pytest.mark.slow  # quick: tests/launch/test_evaluate.py scores videos of the same systems
def test_one_command_gives_one_page(tiny, tmp_path):
    build(tmp_path / "data", persons=3, clips_per_person=1, seconds=0.4, size=SIZE, processes=1, progress=False)
    stages = [f"--motion={tiny['motion']}", f"--actor={tiny['actor']}", f"--video={tiny['video']}"]
    done = run_here(PROGRAM, *stages, f"--data={tmp_path / 'data'}", f"--out={tmp_path / 'out'}", "--video_frames=5")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["systems"] == ["truth", "reference_repeated", "stage_1", "renderer", "audio_driven"]  # one person
    assert "| renderer | " in done.stdout and done.stdout.splitlines()[-1] == f"{tmp_path}/out/report.html"


def test_videos_are_prepared_with_everybody_in_one_split(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(talking_heads, "run_child", lambda command: started.append(command) or 0)
    options = ["--videos", "a", "b", "--layout", "hdtf", "--size", "64", "--out", str(tmp_path)]
    clips = talking_heads.prepared(talking_heads.parser().parse_args(options), tmp_path)
    monkeypatch.setattr(sys, "argv", started[0][1:])
    settings = prepare.parse()
    settings.validate()
    assert settings.videos == ("a", "b") and settings.out == clips == str(tmp_path / "clips")
    assert (settings.layout, settings.validation, settings.test, settings.video.size) == ("hdtf", 0.0, 0.0, 64)
    monkeypatch.setattr(talking_heads, "run_child", lambda command: 2)
    with pytest.raises(SystemExit) as stop:
        talking_heads.prepared(talking_heads.parser().parse_args(options), tmp_path)
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--videos=a", "--data=b"], "--videos and --data are two ways"),
        (["--layout=hdtf"], "--layout says how the folders of --videos are named"),
        (["--video_frames=1"], "--video_frames=1 is not possible"),
        (["--weights=nothing=x"], "no protocol uses weights of the kind 'nothing'"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, options, message):
    done = run_here(PROGRAM, *options, f"--out={tmp_path}/report")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and message in done.stderr, done.stderr
