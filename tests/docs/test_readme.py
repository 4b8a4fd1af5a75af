"""The commands of README.md as they stand, in the order in which a newcomer types them."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from launch import demo
from tests.docs.copies import copy_project
from xactor_jax.media.video_io import read_frames

COMMAND = re.compile(r"^python (launch/[^#\n]*)", re.MULTILINE)


@pytest.fixture(scope="module")
def project(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return copy_project(repository, tmp_path_factory.mktemp("project"))


def commands(repository: pathlib.Path, *words: str) -> list[str]:
    """Those that contain all the words; a command goes on after a backslash at the end of its line."""
    text = (repository / "README.md").read_text().replace("\\\n", " ")
    return [found for found in COMMAND.findall(text) if all(word in found for word in words)]


def run(project: pathlib.Path, command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # as fast as for users
    done = subprocess.run([sys.executable, *command.split()], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.timeout(1_200)
@pytest.mark.slow  # quick: tests/test_docs.py parses them, tests/docs/test_extend.py trains
def test_stage_1_is_trained_and_with_one_part_changed(repository: pathlib.Path, project: pathlib.Path) -> None:
    typed = commands(repository, "launch/train.py", "--config.steps=50")
    assert len(typed) == 2
    for command, folder, decoder in zip(typed, ("runs/motion", "runs/style"), ("warp", "style"), strict=True):
        run(project, command)
        config = json.loads((project / folder / "config.json").read_text())
        assert (config["steps"], config["network"]["decoder"]) == (50, decoder)
        assert (project / folder / "checkpoints" / "50").is_dir()


@pytest.mark.timeout(1_200)
@pytest.mark.slow  # quick: tests/launch/test_sample.py, test_render.py with toy networks
def test_a_portrait_speaks_and_then_moves_as_in_a_video(repository: pathlib.Path, project: pathlib.Path) -> None:
    demo.write_inputs(project, seconds=1.2, emotion="happy")
    (speaks,) = commands(repository, "launch/sample.py", "--image portrait.png", "--emotion")
    run(project, speaks)
    shutil.copy(project / "talking.mp4", project / "other.mp4")
    (moves,) = commands(repository, "launch/render.py", "--driving other.mp4")
    run(project, moves)
    assert len(list(read_frames(project / "talking.mp4"))) == len(list(read_frames(project / "moved.mp4"))) == 30
