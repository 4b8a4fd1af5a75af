"""The programs that make performers: sheets, a clip with sound, and one sentence for what a person gets wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.launch.programs import run_here
from xactor_jax.media.image_io import read_image
from xactor_jax.media.video_io import read_frames


def run(repository, program: str, *options) -> subprocess.CompletedProcess:
    command = [sys.executable, f"launch/{program}.py", *map(str, options)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_heads_are_shown_at_rest_and_speaking(repository, tmp_path):
    sheet, clip = tmp_path / "s.png", tmp_path / "c.mp4"
    done = run(repository, "heads", "--sheet", sheet, "--persons", 3, "--clip", clip, "--seconds", 0.4, "--size", 32)
    assert done.returncode == 0, done.stderr
    assert read_image(sheet).shape == (64, 64, 3)
    assert len(list(read_frames(clip))) == 10
    assert b"synthetic" in clip.read_bytes()


def test_puppets_show_their_expressions(tmp_path):
    sheet = tmp_path / "s.png"
    done = run_here("puppets.py", "--contact_sheet", sheet, "--persons", 2, "--size", 16)
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
