import os
import pathlib

import pytest

from xactor_jax.paths import absolute, is_remote


@pytest.mark.parametrize(("path", "remote"), [("gs://bucket/run", True), ("/tmp/run", False), ("runs/motion", False)])
def test_what_is_remote(path: str, remote: bool) -> None:
    assert is_remote(path) is remote


def test_absolute_paths(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert os.fspath(absolute("runs/motion")) == str(tmp_path / "runs/motion")
    assert str(absolute("gs://bucket/run")) == "gs://bucket/run"
    assert os.fspath(absolute("~/x")) == os.path.expanduser("~/x")
