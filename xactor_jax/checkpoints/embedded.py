"""The small checkpoints that come with the project, trained on heads at 128 pixels a side. They are the default everywhere."""

from __future__ import annotations

from etils import epath

from xactor_jax.paths import REPOSITORY

ASSETS = epath.Path(REPOSITORY) / "data" / "assets"

FAST_ACTOR = ASSETS / "actor_fast"
"""An actor that needs one network call per chunk, distilled from the embedded one (`configs/actor.py:heads_fast`)."""


def embedded_checkpoint(stage: str) -> epath.Path:
    """Folder of the embedded checkpoint of a stage."""
    return ASSETS / stage


def checkpoint(stage: str, path: epath.PathLike = "") -> epath.PathLike:
    """The checkpoint `path` if it is given, else the embedded one."""
    return path or embedded_checkpoint(stage)
