"""Runs of one config and task share their programs here, as the runs that a person starts do through JAX's cache."""

from __future__ import annotations

from typing import Any

import pytest

from xactor_jax.training import loop
from xactor_jax.training.programs import Programs, make_programs

_made: dict[Any, Programs] = {}


def _make(config: Any, task: Any, mesh: Any) -> Programs:
    try:
        key = config.to_json(sort_keys=True), task, mesh
        return _made[key] if key in _made else _made.setdefault(key, make_programs(config, task, mesh))
    except TypeError:  # of a task with arrays, which cannot be a key
        return make_programs(config, task, mesh)


@pytest.fixture(autouse=True)
def programs_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each run would trace and lower them again, which is most of the time of a small one."""
    monkeypatch.setattr(loop, "make_programs", _make)
