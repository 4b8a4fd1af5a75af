from __future__ import annotations

import pathlib
import runpy
import sys
from collections.abc import Callable
from typing import Any

import pytest

Launched = Callable[..., tuple[int, str, str]]


@pytest.fixture
def launched(repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Launched:
    """Runs a program of launch/ in this process: (name, arguments …) → status, output, errors."""

    def run(name: str, *arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.syspath_prepend(str(repository / "launch"))
        status = 0
        try:
            runpy.run_path(str(repository / "launch" / name), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run
