"""Runs of one config and task share their programs here, as the runs that a person starts do through JAX's cache."""

from __future__ import annotations

import pytest

from tests.training.shared import programs_of
from xactor_jax.training import loop


@pytest.fixture(autouse=True)
def programs_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each run would trace and lower them again, which is most of the time of a small one."""
    monkeypatch.setattr(loop, "make_programs", programs_of)
