"""Which task and which data each stage trains with: the one place where stages and data sets meet."""

from __future__ import annotations

from functools import partial

from ml_collections import ConfigDict

from data.pipelines import training_iterator
from xactor_jax.actor.task import ActorTask
from xactor_jax.errors import UserError
from xactor_jax.motion.task import MotionTask
from xactor_jax.training.loop import MakeIterator
from xactor_jax.training.task import Task
from xactor_jax.video.autoencoder_task import AutoencoderTask
from xactor_jax.video.task import VideoTask

TASKS = {"motion": MotionTask, "actor": ActorTask, "autoencoder": AutoencoderTask, "video": VideoTask}


def build(config: ConfigDict) -> tuple[Task, MakeIterator]:
    """The task of a config, and what makes its iterators: (split, process_index, process_count) → batches.

    Raises:
      UserError: the config names no stage.
    """
    if config.stage not in TASKS:
        raise UserError(f"there is no stage {config.stage!r}: choose one of {', '.join(TASKS)}")
    return TASKS[config.stage].from_config(config), partial(training_iterator, config)
