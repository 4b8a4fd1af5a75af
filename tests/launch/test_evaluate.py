"""The whole evaluation of the tiny stages, and the demo, as programs."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from data.performers.build import build
from data.records import Clip, open_clips, write_clips
from tests.launch.programs import run_here
from tests.scoring.fakes import FAKES
from tests.tiny import SIZE, tiny  # noqa: F401
from xactor_jax.labels import CONTROLS
from xactor_jax.media.video_io import read_frames
from xactor_jax.scoring import protocols


def checkpoints(tiny) -> list[str]:
    return [f"--{stage}={path}" for stage, path in tiny.items()]


def some_clips(path, count: int) -> list[Clip]:
    """Clips of a training split, of different people."""
    source = open_clips(path, "train")
    names = [field.name for field in dataclasses.fields(Clip)]
    return [Clip(**{name: source[i][name] for name in names}) for i in range(0, 2 * count, 2)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "puppets"
    build(path, persons=20, clips_per_person=2, seconds=0.96, size=SIZE, processes=1, progress=False)
    return path


def test_the_report_has_numbers_and_pictures(tiny, clips, tmp_path):
    sizes = ("--actor_frames=24", "--segment_frames=12", "--video_frames=6", "--video_clips=2", "--sheets=1")
    done = run_here("evaluate.py", *checkpoints(tiny), "--data", clips, "--out", tmp_path / "report", *sizes)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    people = report["people"]
    assert len(people["test"]) == 2 and not set(people["test"]) & set(people["train"])
    scores = report["scores"]
    assert -5 < scores["motion"]["r2_face"] < 1 and scores["motion"]["identity"]["chance"] == 0.5
    acted = scores["actor"]
    assert acted["frames"] == 24 and acted["clips"] == 4 and abs(acted["jaw_correlation"]) <= 1
    assert acted["fmd"]["paired"] > 0 and acted["audio_gain"]["gain"] > 0 and acted["boundary_jerk"] > 0
    assert acted["diversity"] > 0 and acted["seeds"] == 3  # the tiny actor is untrained: it moves by its noise
    assert acted["emotion"]["windows"] > 0 and 0 <= acted["emotion"]["accuracy"] <= 1
    assert len(acted["over_time"]["curves"]["own"]["fmd"]) == 2
    assert scores["video"]["frames"] == 6 and 0 < scores["video"]["true_motion"]["psnr"] < 60
    across = scores["transfer"]
    assert across["clips"] == 2 and across["frames"] == 6 and across["identity"]["people"] == 2
    assert 0 < across["cross"]["psnr"] < 60 and 0 <= across["identity"]["cross"] <= 1
    assert len(report["targets"]) == 15 and report["checkpoints"]["motion"]["hash"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "slope per minute" in page
    assert done.stdout.count("missed") + done.stdout.count("reached") == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--actor_frames=3"], "--actor_frames=3 is not possible"),
        (["--data=nowhere"], "nowhere holds no prepared data"),
        (["--motion=nowhere"], "/nowhere: name a run's or an export's folder"),
        (["--out=/proc/report"], "/proc/report cannot be made"),
    ],
)
def test_what_is_wrong_is_one_sentence(tiny, tmp_path, options, message):
    done = run_here("evaluate.py", *checkpoints(tiny), f"--out={tmp_path}/report", *options)
    errors = [line for line in done.stderr.splitlines() if not line.endswith("…")]
    assert done.returncode == 2 and len(errors) == 1 and message in errors[0]


@pytest.mark.slow  # quick: tests/scoring/test_systems.py, tests/launch/test_score.py
def test_of_real_people_the_systems_videos_are_scored(tiny, clips, tmp_path, monkeypatch):
    """Real: their controls are not known. The same names in another folder are another system."""
    unknown = [dataclasses.replace(clip, controls=np.zeros((0, len(CONTROLS)), np.float32)) for clip in some_clips(clips, 3)]
    write_clips(tmp_path / "real", {"validation": unknown})
    monkeypatch.setattr(protocols, "PROTOCOLS", FAKES)
    evaluate = lambda *more: run_here(
        "evaluate.py", *checkpoints(tiny), f"--data={tmp_path / 'real'}", "--split=validation", f"--out={tmp_path / 'report'}",
        "--video_frames=6", "--video_clips=2", "--sheets=1", "--without=loud", *more,
    )  # fmt: skip
    done = evaluate()
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    ours = ["reference_repeated", "stage_1", "renderer", "audio_driven", "across_people"]
    assert report["systems"] == ["truth", *ours] and report["split"] == "validation" and report["checkpoints"]["actor"]["hash"]
    difference = report["scores"]["aligned"]["difference"]
    assert list(difference) == ours[:-1] and all(one["count"] == 2 for one in difference.values())
    assert report["scores"]["bright"]["brightness"]["across_people"]["count"] == 2
    assert "one encoder" in (tmp_path / "report" / "report.html").read_text()
    videos = tmp_path / "report" / "videos"
    assert len(list(videos.glob("*/*.mp4"))) == 12
    shutil.copytree(videos / "truth", tmp_path / "peer")
    done = evaluate(f"--generated=peer={tmp_path / 'peer'}")
    assert done.returncode == 0 and "rendering" not in done.stderr, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["scores"]["aligned"]["difference"]["peer"]["mean"] == 0.0
    done = evaluate("--seed=1")
    assert done.returncode == 2 and "has videos of other checkpoints, clips or settings" in done.stderr


def test_options_for_real_people_are_refused_for_synthetic_ones(tiny, clips, tmp_path):
    done = run_here("evaluate.py", *checkpoints(tiny), f"--data={clips}", f"--out={tmp_path}", "--generated=peer=x")
    assert done.returncode == 2 and "--generated is for real people" in done.stderr


@pytest.mark.slow  # quick: the report above and tests/launch/test_demo.py
def test_the_demo_is_a_page_with_a_video(repository, tiny, tmp_path):
    command = [sys.executable, str(repository / "launch" / "demo.py"), *checkpoints(tiny), "--seconds=1.2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "build" / "demo"
    assert done.stdout.splitlines()[-1] == "build/demo/index.html"
    assert sum(1 for _ in read_frames(folder / "talking.mp4")) == 30
    page = (folder / "index.html").read_text()
    for file in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page):
        assert (folder / file).exists(), file
    assert '<video src="talking.mp4"' in page and "<h2>Report</h2>" in page
    assert (folder / "demo.png").stat().st_size > 10_000
