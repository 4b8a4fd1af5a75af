"""The programs that make performers: sheets, a clip with sound, and one sentence for what a person gets wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.launch.programs import run_here
from xactor_jax.media.image_io import read_image
from xactor_jax.media.video_io import read_frames


@pytest.mark.parametrize("program", ["puppets", pytest.param("heads", marks=pytest.mark.slow)])
def test_people_are_shown_at_rest(tmp_path, program):
    done = run_here(f"{program}.py", "--sheet", tmp_path / "s.png", "--persons", 3, "--size", 32)
    assert done.returncode == 0, done.stderr
    assert read_image(tmp_path / "s.png").shape == (64, 64, 3)


def test_heads_are_shown_speaking(tmp_path):
    clip = tmp_path / "c.mp4"
    done = run_here("heads.py", "--clip", clip, "--seconds", 0.4, "--size", 32)
    assert done.returncode == 0, done.stderr
    assert len(list(read_frames(clip))) == 10
    assert b"synthetic" in clip.read_bytes()


def test_puppets_show_their_expressions(repository, tmp_path):
    sheet = tmp_path / "s.png"
    command = [sys.executable, "launch/puppets.py", "--contact_sheet", sheet, "--persons", "2", "--size", "16"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_image(sheet).shape == (32, 256, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to make"),
        (["--clip=/nowhere/c.mp4"], "the folder /nowhere does not exist"),
        (["--clip=c.avi"], "does not end in .mp4"),
        (["--sheet=s.png", "--voice=sing"], "choose one of formant, recorded"),
        (["--sheet=s.png", "--size=8"], "--size=8 is not possible: use a whole number from 16"),
    ],
)
def test_what_is_wrong_is_one_sentence(options, message):
    done = run_here("heads.py", *options)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
