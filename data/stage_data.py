"""What must be known of a stage's data: `data.stages` says it of each, and `launch.stages` puts it beside the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from xactor_jax.settings import Sections

Record = Mapping[str, Any]
Examples = dict[str, np.ndarray]
MakeExamples = Callable[[Record, np.random.Generator], Examples]


def check_nothing(config: ConfigDict, source: Any) -> None:
    """Of a stage that takes any records of its kind."""


@dataclass(frozen=True, kw_only=True)
class StageData:
    """What a stage reads, and what it makes of a record."""

    sections: Sections
    """Its settings: `config.data` and below."""
    needs: tuple[str, ...]
    """Kinds of records: `data.records.KIND`, `data.encoded.KIND`, or both side by side."""
    examples: Callable[[ConfigDict, Any, bool], MakeExamples]
    """(config, source of records, whether they are for training) → what makes examples of one."""
    side: str = ""
    """The setting that says how large its pictures are, such as "network.image_size"."""
    latents: str = ""
    """… how many numbers a motion latent has."""
    features: str = ""
    """… how many audio features a frame has."""
    check: Callable[[ConfigDict, Any], None] = check_nothing
    """(config, source of records): raises `UserError` where they lack something that a loss reads."""
