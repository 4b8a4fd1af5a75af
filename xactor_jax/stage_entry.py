"""What the programs need to know about a stage. The folder of each stage has one entry, and `configs.stages` lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xactor_jax.settings import Sections
from xactor_jax.variables import Variables


class Program(NamedTuple):
    """A function to compile, and the shapes of its arguments."""

    what: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class StageEntry:
    """A stage of the method."""

    task: Any
    """Class of the task that the trainer trains (`xactor_jax.training.task.Task`), with `from_config`."""
    model: Any
    """Class of the networks as sampling and the other stages use them, with `from_config`."""
    sections: Sections
    """All settings except those of its data."""
    sampler: Callable[[Any, Variables], Program]
    """(task, shapes of the variables) → the program that sampling calls repeatedly, for one example on one device."""
    uses: tuple[str, ...] = ()
    """Stages whose whole config is a section of this stage's config, under their name."""


def array(*shape: int) -> jax.ShapeDtypeStruct:
    """Shape of a float32 argument."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)
