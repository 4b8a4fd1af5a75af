"""Which task, which data and which settings each stage trains with: the one place where stages and data sets meet."""

from __future__ import annotations

from functools import partial

from ml_collections import ConfigDict

from data.augment import DrivingAugmentation
from data.augment_sound import SoundAugmentation
from data.pipelines import stage_iterator
from data.settings import AudioSettings, DataSettings, LatentData, WindowData
from xactor_jax import run_settings
from xactor_jax.actor.objective import Objective
from xactor_jax.actor.settings import ActorNetworkSettings, NoiseLevelWeights, RolloutSettings
from xactor_jax.actor.task import ActorTask
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.motion.settings import MotionNetworkSettings, MotionRunSettings
from xactor_jax.motion.task import LossWeights, MotionTask
from xactor_jax.settings import check_config, check_value, choice
from xactor_jax.training.loop import MakeIterator
from xactor_jax.training.task import Task
from xactor_jax.video.autoencoder import AutoencoderSettings
from xactor_jax.video.autoencoder_task import AutoencoderLossSettings, AutoencoderTask
from xactor_jax.video.clip import ClipSettings
from xactor_jax.video.denoiser import DenoiserSettings
from xactor_jax.video.disturbance import MotionNoise
from xactor_jax.video.finish import FinishSettings
from xactor_jax.video.objective import VideoLossSettings
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.task import VideoRunSettings, VideoTask
from xactor_jax.video.unet import UNetSettings

TASKS = {"motion": MotionTask, "actor": ActorTask, "autoencoder": AutoencoderTask, "video": VideoTask}

COMMON = run_settings.SECTIONS | {"data": DataSettings, "data.audio": AudioSettings}
SETTINGS = {
    "motion": COMMON
    | {"": MotionRunSettings, "network": MotionNetworkSettings, "loss": LossWeights, "data.augmentation": DrivingAugmentation},
    "autoencoder": COMMON | {"network": AutoencoderSettings, "loss": AutoencoderLossSettings},
    "actor": COMMON
    | {
        "data": LatentData,
        "data.sound_augmentation": SoundAugmentation,
        "network": ActorNetworkSettings,
        "diffusion": GaussianProcess,
        "rollout": RolloutSettings,
    }
    | {"objective": Objective, "objective.noise_levels": NoiseLevelWeights},
    "video": COMMON
    | {"": VideoRunSettings, "data": WindowData, "data.augmentation": DrivingAugmentation, "motion_noise": MotionNoise}
    | {"network": DenoiserSettings, "network.unet": UNetSettings, "autoencoder": AutoencoderSettings, "clip": ClipSettings}
    | {"loss": VideoLossSettings, "finish": FinishSettings, "diffusion": GaussianProcess, "render": RenderSettings},
}
"""Stage → section of its config → the class that says what its settings may be."""


def check(config: ConfigDict) -> None:
    """Raises `UserError` for the first setting of an experiment that is not possible."""
    check_value("--config.stage", config.stage, choice(TASKS))
    check_config(config, SETTINGS[config.stage])


def build(config: ConfigDict) -> tuple[Task, MakeIterator]:
    """The task of a config, and what makes its iterators: (split, process_index, process_count) → batches.

    Raises:
      UserError: a setting is not possible.
    """
    check(config)
    return TASKS[config.stage].from_config(config), partial(stage_iterator, config)
