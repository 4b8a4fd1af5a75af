"""Stage 3 as the programs use it."""

from __future__ import annotations

from functools import partial

import jax

from xactor_jax import run_settings
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.stage_entry import Program, StageEntry, array
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderSettings
from xactor_jax.video.clip import ClipSettings
from xactor_jax.video.conditions import FrameConditions
from xactor_jax.video.denoiser import DenoiserSettings
from xactor_jax.video.disturbance import MotionNoise
from xactor_jax.video.finish import FinishSettings
from xactor_jax.video.model import VideoModel
from xactor_jax.video.objective import VideoLossSettings
from xactor_jax.video.prediction import predictor
from xactor_jax.video.preparation import prepare
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.task import VideoRunSettings, VideoTask
from xactor_jax.video.unet import UNetSettings

SECTIONS = run_settings.SECTIONS | {
    "": VideoRunSettings(steps=300, batch_size=4),  # the batch size counts windows of data.window frames
    "autoencoder": AutoencoderSettings(image_size=128, channels=(48, 96), linear=False),  # frozen; fits the embedded checkpoint
    "clip": ClipSettings,  # frozen; loaded from the checkpoint in pretrained.clip
    # For a residual with a standard deviation of one, v has the c_skip, c_out and c_in of EDM (arXiv 2206.00364).
    # As an error of x0, it counts most at the noise levels where motion is decided.
    "diffusion": GaussianProcess,
    "network": DenoiserSettings,
    "network.unet": UNetSettings,
    "loss": VideoLossSettings,
    "finish": FinishSettings(adversarial=0.02, feature_matching=0.2, part_adversarial=0.02),
    "motion_noise": MotionNoise,
    "render": RenderSettings,
}


def sampler(task: VideoTask, variables: Variables) -> Program:
    """Program of one denoising step."""
    model = task.model
    settings, shape = model.render_settings, model.latent_shape
    picture = array(1, model.image_size, model.image_size, 3), array(1, model.motion_dim)
    portrait = jax.eval_shape(partial(prepare, model), variables, *picture)
    windows = settings.windows_per_segment
    call = lambda v, portrait, *rest: predictor(model, v, portrait, settings)(*rest)
    x, motion = array(1, windows, model.window, *shape), array(1, windows, model.window, model.motion_dim)
    arguments = x, array(), FrameConditions._make((motion, x if model.draft else None))
    return Program(f"one denoising step of {windows} × {model.window} frames", call, (variables, portrait, *arguments))


ENTRY = StageEntry(task=VideoTask, model=VideoModel, sections=SECTIONS, sampler=sampler, uses=("motion",))
