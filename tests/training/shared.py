"""The programs of a run, made once for all tests of a process that need the same."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from xactor_jax.training.programs import Programs, make_programs

AROUND = ("log_every", "eval_every", "eval_batches", "preview_every", "checkpoint", "profile", "pause", "terminated", "held")
"""Settings of what a run does around its programs, of which they know nothing."""

_made: dict[Any, Programs] = {}


def programs_of(config: ConfigDict, task: Any, mesh: Mesh) -> Programs:
    """`make_programs`, or what it made before for an equal task and mesh and settings that differ only in `AROUND`."""
    try:
        inside = {name: value for name, value in config.to_dict().items() if name not in AROUND}
        key = repr(sorted(inside.items())), task, mesh
        return _made[key] if key in _made else _made.setdefault(key, make_programs(config, task, mesh))
    except TypeError:  # of a task with arrays, which cannot be a key
        return make_programs(config, task, mesh)
