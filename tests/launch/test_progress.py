"""How far a program is, where there is no terminal."""

from __future__ import annotations

import types

import pytest

from launch import _progress


def test_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """None where all is done soon."""
    clock = iter([0.0, 1.0, 31.0, 32.0, 70.0])
    monkeypatch.setattr(_progress, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    with _progress.counting("files") as count:
        for done in range(1, 5):
            count(done, 9)
    assert capsys.readouterr().err == "files: 2 of 9\nfiles: 4 of 9\n"
