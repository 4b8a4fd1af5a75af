from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.launch.programs import run_here

Launched = Callable[..., tuple[int, str, str]]


@pytest.fixture
def launched() -> Launched:
    """Runs a program of launch/ in this process: (name, arguments …) → status, output, errors."""

    def run(name: str, *arguments: object) -> tuple[int, str, str]:
        done = run_here(name, *arguments)
        return done.returncode, done.stdout, done.stderr

    return run
