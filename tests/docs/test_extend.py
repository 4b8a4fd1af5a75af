"""docs/extend.md as it stands: its files are written, its changes applied and its commands run, in a copy of the project."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.docs.copies import copy_project

BLOCK = re.compile(
    r"(?:^`(?P<path>[\w/.]+)`:\n\n)?^```(?P<kind>python|diff|bash)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
QUICK = ("steps=2", "batch_size=4", "eval_every=0", "preview_every=0", "network.image_size=16", "data.image_size=16")
QUICK += ("data.persons=3", "data.clips_per_person=1", "data.clip_seconds=0.4")
SMALL = ("network.widths=(8,8)", "network.encoder_widths=(8,)", "loss.adversarial=0", "loss.feature_matching=0")


@pytest.fixture(scope="module")
def project(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy whose files may be changed."""
    return copy_project(repository, tmp_path_factory.mktemp("project"))


def follow(repository: pathlib.Path, project: pathlib.Path, heading: str, *more: str) -> list[str]:
    """Does what a section says; returns the output of its commands, to which `more` is added."""
    section = (repository / "docs" / "extend.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    outputs = []
    for block in BLOCK.finditer(section):
        if block["kind"] == "python":
            (project / block["path"]).parent.mkdir(exist_ok=True)
            (project / block["path"]).write_text(block["text"])
        elif block["kind"] == "diff":
            subprocess.run(["git", "apply", "-"], input=block["text"], cwd=project, text=True, check=True)
        else:
            command = [sys.executable, *block["text"].split()[1:], *(f"--config.{setting}" for setting in more)]
            environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
            done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            outputs.append(done.stdout)
    return outputs


def settings_of_run(project: pathlib.Path, run: str) -> dict:
    assert any((project / run / "checkpoints" / "2").iterdir())
    return json.loads((project / run / "config.json").read_text())


def test_every_setting_is_listed_with_its_value_its_meaning_and_its_range(repository, project):
    (listed,) = follow(repository, project, "A setting", "steps=7")
    assert "\nsteps = 7  (a whole number from 1 on)\n    optimiser steps\n" in listed
    gate = "for the warp decoder: whether a gate keeps the reference's own pixels"
    assert f"\nnetwork.gate = True  (True or False)\n    {gate}" in listed


@pytest.mark.slow  # quick: test_a_stage_is_a_folder_its_data_a_config_and_a_line
def test_a_decoder_is_a_module_and_a_line(repository, project):
    follow(repository, project, "A decoder of stage 1", *QUICK, *SMALL)
    assert settings_of_run(project, "runs/film")["network"]["decoder"] == "film"


def test_a_stage_is_a_folder_its_data_a_config_and_a_line(repository, project):
    follow(repository, project, "A stage", *QUICK)
    assert settings_of_run(project, "runs/tracker")["stage"] == "tracker"
    assert not (repository / "xactor_jax" / "tracker").exists()
