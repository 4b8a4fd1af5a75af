"""Entry of stage 2, the actor: its settings, task, model and sampling program."""

from __future__ import annotations

import jax

from xactor_jax import run_settings
from xactor_jax.actor.distillation import DistillationSettings
from xactor_jax.actor.model import ActorModel, make_guide
from xactor_jax.actor.objective import Objective
from xactor_jax.actor.settings import ActorNetworkSettings, NoiseLevelWeights, RolloutSettings
from xactor_jax.actor.task import ActorRunSettings, ActorTask
from xactor_jax.diffusion.gaussian import GaussianProcess
from xactor_jax.emotion import frames_of
from xactor_jax.run_settings import OptimizerSettings
from xactor_jax.stage_entry import Program, StageEntry, array
from xactor_jax.variables import Variables

SECTIONS = run_settings.SECTIONS | {
    "": ActorRunSettings(steps=1_200, batch_size=16),
    "optimizer": OptimizerSettings(learning_rate=2e-3),
    "network": ActorNetworkSettings,
    # shift: a latent has 512 numbers but only about 26 degrees of freedom, so noise hides it only if it is 4 times as strong.
    # prediction: noise of 512 numbers cannot be represented in a width of 96, so the network predicts the clean latent.
    "diffusion": GaussianProcess(shift=4.0, prediction="x0"),
    "objective": Objective,
    "objective.noise_levels": NoiseLevelWeights,
    "rollout": RolloutSettings,
    "distillation": DistillationSettings,
}


def sampler(task: ActorTask, variables: Variables) -> Program:
    """One move of the sampling window, for one example."""
    model = task.model
    window, dim = model.window(task.preview_settings), model.motion_dim
    guide = jax.eval_shape(lambda v, x: make_guide(v, jax.random.key(0), x), variables, array(1, dim))
    first = array(1, model.network.audio_radius, model.audio_dim), array(1, model.audio_dim)
    state = jax.eval_shape(window.initial_state, guide, *first)
    emotion = jax.eval_shape(lambda: frames_of(None, 1, 0, window.stride))
    arguments = guide, state, array(1, window.stride, model.audio_dim), emotion
    return Program(f"{window.stride} frames of motion, {task.preview_settings.steps} steps", window.advance, arguments)


ENTRY = StageEntry(task=ActorTask, model=ActorModel, sections=SECTIONS, sampler=sampler)
