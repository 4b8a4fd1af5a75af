"""Renderers side by side, as a program, with the tiny stages."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from data.performers.build import build
from data.records import Clip, open_clips, write_clips
from tests.launch.programs import run_here
from tests.tiny import SIZE, tiny, write_checkpoint  # noqa: F401
from xactor_jax.layers.perceptual import PerceptualModel, PerceptualSettings
from xactor_jax.media.image_io import read_image
from xactor_jax.variables import Variables

PROGRAM = "study/compare_video.py"


def run(tiny, *arguments) -> subprocess.CompletedProcess:
    return run_here(PROGRAM, f"--motion={tiny['motion']}", *arguments)


def judge(folder: pathlib.Path, lpips: bool) -> pathlib.Path:
    """The network of a perceptual distance with random weights, as launch/import_weights.py writes it."""
    settings = PerceptualSettings(widths=(2, 2, 2, 2, 2), lpips=lpips)
    config = ConfigDict({"stage": "perceptual", "network": dataclasses.asdict(settings)})
    return write_checkpoint(folder, config, Variables(jax.jit(PerceptualModel(settings).init)(jax.random.key(0)), {}))


@pytest.mark.slow  # quick: tests/evaluation/test_transfer.py, and the mistakes below
def test_variants_of_sampling_are_rows_of_one_table(tiny, tmp_path):
    build(tmp_path / "data", persons=20, clips_per_person=1, seconds=0.4, size=SIZE, processes=1, progress=False)
    variants = (f"--video=segments={tiny['video']}", f"--video=loop={tiny['video']},offline=true,spacing=leading")
    sizes = (
        f"--lpips={judge(tmp_path / 'lpips', lpips=True)}",
        f"--data={tmp_path / 'data'}",
        f"--out={tmp_path / 'report'}",
        "--clips=2",
        "--frames=7",
    )
    done = run(tiny, *variants, *sizes)
    assert done.returncode == 0, done.stderr
    renderers = json.loads((tmp_path / "report" / "comparison.json").read_text())["renderers"]
    assert list(renderers) == ["segments", "loop"]
    assert (renderers["segments"]["settings"]["offline"], renderers["loop"]["settings"]["offline"]) == (False, True)
    assert 0 < renderers["loop"]["against_first_db"] < 100 and renderers["segments"]["against_first_db"] is None
    assert renderers["loop"]["transfer"]["clips"] == 2
    assert renderers["loop"]["checkpoints"]["video"]["path"] == str(tiny["video"])
    kept, still = (renderers["segments"][name] for name in ("true_motion", "repeated"))
    assert 0 < kept["lpips"] != still["lpips"] and 0 < still["l1"] < 1
    last = done.stdout.splitlines()[-2].split(" | ")
    assert last[:2] == ["the reference repeated", f"{still['psnr']:.2f}"] and last[5] == f"{still['lpips']:.4f}"
    assert "loop" in done.stdout and "<td>loop</td>" in (tmp_path / "report" / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--video=a=,stepz=3"], "no setting 'stepz' of the renderer"),
        (["--video=a=,steps=few"], "steps must be of type int, not 'few'"),
        (["--video=a=", "--video=a="], "two renderers are called a"),
        (["--video=a=nowhere"], "/nowhere: name a run's or an export's folder"),
        (["--clips=0"], "--clips=0 is not possible"),
        (["--lpips=nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_one_sentence(tiny, tmp_path, options, message):
    done = run_here(PROGRAM, f"--motion={tiny['motion']}", *options, f"--out={tmp_path}/report")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and message in done.stderr


@pytest.mark.slow  # quick: test_variants_of_sampling_are_rows_of_one_table
def test_people_of_whom_no_controls_are_known_are_compared_too(tiny, tmp_path):
    build(tmp_path / "puppets", persons=20, clips_per_person=1, seconds=0.4, size=SIZE, processes=1, progress=False)
    names = [field.name for field in dataclasses.fields(Clip)]
    puppets = [Clip(**{name: record[name] for name in names}) for record in open_clips(tmp_path / "puppets", "test")]
    unknown = np.zeros((0, puppets[0].controls.shape[1]), np.float32)
    clips = [dataclasses.replace(clip, controls=unknown) for clip in puppets]
    write_clips(tmp_path / "data", {"train": clips, "test": clips})
    sizes = (f"--data={tmp_path / 'data'}", f"--out={tmp_path / 'report'}", "--clips=2", "--frames=7")
    done = run(tiny, f"--video=a={tiny['video']}", *sizes)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "report" / "comparison.json").read_text())["renderers"]["a"]
    assert 0 < scores["repeated"]["l1"] < 1 and scores["true_motion"]["psnr"] > 0 and "transfer" not in scores
    assert read_image(tmp_path / "report" / "a.png").shape == (2 * 2 * SIZE, 11 * SIZE, 3)


def test_plain_vgg16_is_not_called_lpips(tiny, tmp_path):
    options = ("--video=a=", f"--lpips={judge(tmp_path / 'vgg16', lpips=False)}", f"--out={tmp_path}/report")
    done = run_here(PROGRAM, f"--motion={tiny['motion']}", *options)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "is only VGG16" in done.stderr
    assert not (tmp_path / "report").exists()
