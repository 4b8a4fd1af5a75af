"""Table of the stages. An entry combines the networks and training in `xactor_jax` with the data in `data.stages`.

A new stage needs a folder, a config file and an entry here (docs/extend.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import grain
import jax
from ml_collections import ConfigDict

from data import embedded, pipelines, stages
from data.stage_data import StageData
from xactor_jax.actor import stage as actor
from xactor_jax.motion import stage as motion
from xactor_jax.settings import Sections, check_config, check_value, choice, described, to_config
from xactor_jax.stage_entry import Program, StageEntry
from xactor_jax.training.loop import MakeIterator
from xactor_jax.training.task import Task
from xactor_jax.video import autoencoder_stage as autoencoder
from xactor_jax.video import stage as video


class Stage(NamedTuple):
    """Entry of one stage."""

    of: StageEntry
    data: StageData

    @property
    def sections(self) -> Sections:
        """All settings of the stage."""
        return {**self.of.sections, **self.data.sections}


STAGES: Mapping[str, Stage] = {
    "motion": Stage(motion.ENTRY, stages.MOTION),
    "autoencoder": Stage(autoencoder.ENTRY, stages.AUTOENCODER),
    "actor": Stage(actor.ENTRY, stages.ACTOR),
    "video": Stage(video.ENTRY, stages.VIDEO),
}
"""Name of the stage (`config.stage`) → entry."""


def default_config(stage: str) -> ConfigDict:
    """All settings of a stage with their defaults. Presets change it."""
    config = to_config(STAGES[stage].sections)
    config.stage = stage
    for other in STAGES[stage].of.uses:
        config[other] = default_config(other)
    return config


def describe(config: ConfigDict) -> Iterator[str]:
    """The lines that list every setting of a config: name, value, allowed values and meaning."""
    return described(config, STAGES[config.stage].sections)


def check(config: ConfigDict) -> None:
    """Raises `UserError` for the first setting of an experiment that is out of its range."""
    check_value("--config.stage", config.stage, choice(STAGES))
    check_config(config, STAGES[config.stage].sections)


def make_task(config: ConfigDict) -> Task:
    """The task of a config. Raises `UserError` for settings that do not fit together."""
    return STAGES[config.stage].of.task.from_config(config)


def make_sampler(config: ConfigDict, task: Task) -> Program:
    """The program that sampling runs repeatedly, for one example on one device."""
    variables = jax.eval_shape(task.init, jax.eval_shape(lambda: jax.random.key(0)))
    return STAGES[config.stage].of.sampler(task, variables)


def build(config: ConfigDict) -> tuple[Task, MakeIterator]:
    """The task of a config, and a function that makes its iterators: (split, process_index, process_count) → batches.

    Raises:
      UserError: a setting is out of its range, or settings do not fit together.
    """
    check(config)
    return make_task(config), partial(stage_iterator, config)


def ensure_data(config: ConfigDict) -> ConfigDict:
    """`data.embedded.ensure_data` for the stage of a config."""
    return embedded.ensure_data(config, STAGES[config.stage].data)


def training_iterator(config: ConfigDict, *place: Any, **where: Any) -> grain.DatasetIterator:
    """`data.pipelines.training_iterator` for the stage of a config."""
    return pipelines.training_iterator(config, STAGES[config.stage].data, *place, **where)


def stage_iterator(config: ConfigDict, *place: Any, **where: Any) -> grain.DatasetIterator | None:
    """`data.pipelines.stage_iterator` for the stage of a config."""
    return pipelines.stage_iterator(config, STAGES[config.stage].data, *place, **where)
