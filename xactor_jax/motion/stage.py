"""Stage 1 as the programs use it."""

from __future__ import annotations

from xactor_jax import run_settings
from xactor_jax.motion.model import MotionModel
from xactor_jax.motion.settings import LossWeights, MotionNetworkSettings, MotionRunSettings
from xactor_jax.motion.task import MotionTask
from xactor_jax.run_settings import OptimizerSettings
from xactor_jax.stage_entry import Program, StageEntry, array
from xactor_jax.variables import Variables

SECTIONS = run_settings.SECTIONS | {
    "": MotionRunSettings(steps=1_500, batch_size=16),  # the batch size counts pairs of frames
    "optimizer": OptimizerSettings(learning_rate=1.5e-3, discriminator_scale=0.3),
    "network": MotionNetworkSettings,
    "loss": LossWeights,
}


def sampler(task: MotionTask, variables: Variables) -> Program:
    """Program that encodes one picture."""
    side = task.model.encoder_size
    return Program("motion latent of one picture", task.model.encode, (variables, array(1, side, side, 3)))


ENTRY = StageEntry(task=MotionTask, model=MotionModel, sections=SECTIONS, sampler=sampler)
