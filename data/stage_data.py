"""Description of a stage's data. `data.stages` has one for each stage; `configs.stages` combines it with the stage."""

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


def always(config: ConfigDict) -> bool:
    """Whether a stage reads pixels, if its settings do not matter."""
    return True


def check_nothing(config: ConfigDict, source: Any) -> None:
    """The check of a stage that accepts any records of its kind."""


@dataclass(frozen=True, kw_only=True)
class StageData:
    """The records that a stage reads, and the examples that it makes from them."""

    sections: Sections
    """Settings of `config.data` and its subsections."""
    needs: tuple[str, ...]
    """Kinds of records: `data.records.KIND`, `data.encoded.KIND`, or both side by side."""
    examples: Callable[[ConfigDict, Any, bool], MakeExamples]
    """(config, source of records, whether they are for training) → function that makes examples from a record."""
    side: str = ""
    """Name of the setting with the side of the pictures, such as "network.image_size"; "": the stage reads no pictures."""
    latents: str = ""
    """Name of the setting with the size of a motion latent; "": the stage reads none."""
    features: str = ""
    """Name of the setting with the number of audio features per frame; "": the stage reads none."""
    check: Callable[[ConfigDict, Any], None] = check_nothing
    """(config, source of records): raises `UserError` if they lack something that a loss needs."""
    pixels: Callable[[ConfigDict], bool] = always
    """Whether the stage reads the clips with this config, if it reads encoded records too."""

    def kinds(self, config: ConfigDict) -> tuple[str, ...]:
        """The kinds of records in `needs` that are read with a config: without pixels, only the last one."""
        return self.needs if self.pixels(config) else self.needs[-1:]
