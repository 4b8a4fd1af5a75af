"""The autoencoder as the programs use it."""

from __future__ import annotations

from xactor_jax import run_settings
from xactor_jax.run_settings import OptimizerSettings, RunSettings
from xactor_jax.stage_entry import Program, StageEntry, array
from xactor_jax.variables import Variables, applied
from xactor_jax.video.autoencoder import AutoencoderModel, AutoencoderSettings
from xactor_jax.video.autoencoder_task import AutoencoderLossSettings, AutoencoderTask

SECTIONS = run_settings.SECTIONS | {
    "": RunSettings(steps=600),
    "optimizer": OptimizerSettings(learning_rate=2e-3),
    "network": AutoencoderSettings,
    "loss": AutoencoderLossSettings,
}


def sampler(task: AutoencoderTask, variables: Variables) -> Program:
    """Program that decodes one latent."""
    decode = lambda v, z: applied(task.model.module, v.params["autoencoder"], z, method="decode")
    return Program("one picture from its latent", decode, (variables, array(1, *task.model.settings.latent_shape)))


ENTRY = StageEntry(task=AutoencoderTask, model=AutoencoderModel, sections=SECTIONS, sampler=sampler)
