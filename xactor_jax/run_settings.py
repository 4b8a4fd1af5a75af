"""Allowed values of the settings that all stages share: the sections of `configs.common.get_common` that the trainer reads."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.layers.precision import PRECISIONS
from xactor_jax.layers.remat import CHOICES
from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")
"""Learning-rate schedules after the warm-up."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings at the top level of the config."""

    seed: int = setting(allowed=whole(0, SEED))
    init_from: str = setting(allowed=Text())
    steps: int = setting(allowed=whole(1))
    batch_size: int = setting(allowed=whole(1))
    grad_accumulation: int = setting(allowed=whole(1))
    precision: str = setting(allowed=choice(PRECISIONS))
    remat: str = setting(allowed=choice(CHOICES))
    ema_decay: float = setting(allowed=SHARE)
    log_every: int = setting(allowed=whole(1))
    eval_every: int = setting(allowed=whole(0))
    eval_batches: int = setting(allowed=whole(1))
    preview_every: int = setting(allowed=whole(0))


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer`."""

    name: str = setting(allowed=choice(OPTIMIZERS))
    learning_rate: float = setting(allowed=real(0.0))
    schedule: str = setting(allowed=choice(SCHEDULES))
    final_fraction: float = setting(allowed=SHARE)
    warmup_steps: int = setting(allowed=whole(0))
    b1: float = setting(allowed=real(0.0, 1.0, below=True))
    b2: float = setting(allowed=real(0.0, 1.0, below=True))
    eps: float = setting(allowed=real(0.0, above=True))
    weight_decay: float = setting(allowed=real(0.0))
    clip_norm: float = setting(allowed=real(0.0, above=True))
    discriminator_scale: float = setting(allowed=real(0.0))


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """`config.mesh`. `xactor_jax.parallel.mesh` checks that they fit the devices."""

    data: int = setting(allowed=whole(1, besides=(-1,)))
    fsdp: int = setting(allowed=whole(1, besides=(-1,)))
    context: int = setting(allowed=whole(1, besides=(-1,)))
    tensor: int = setting(allowed=whole(1, besides=(-1,)))
    slices: int = setting(allowed=whole(0))


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """`config.checkpoint`."""

    every: int = setting(allowed=whole(1))
    keep: int = setting(allowed=whole(1))


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """`config.profile`."""

    start: int = setting(allowed=whole(-1))
    steps: int = setting(allowed=whole(1))


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """`config.pretrained`: folders of pretrained networks."""

    motion: str = setting(allowed=Text())
    motion_hash: str = setting(allowed=Text())
    autoencoder: str = setting(allowed=Text())
    clip: str = setting(allowed=Text())
    perceptual: str = setting(allowed=Text())


SECTIONS = {
    "": RunSettings,
    "optimizer": OptimizerSettings,
    "mesh": MeshSettings,
    "checkpoint": CheckpointSettings,
    "profile": ProfileSettings,
    "pretrained": PretrainedSettings,
}
"""Sections for `xactor_jax.settings.check_config`."""
