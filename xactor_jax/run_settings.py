"""The settings that every stage has and the trainer reads."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")
"""Of the learning rate, after the warm-up."""
PRECISIONS = ("float32", "bfloat16", "bf16")
"""float16 is not among them: its range needs a scaled loss, which there is not."""
REMAT = ("none", "dots", "full")
"""What `xactor_jax.layers.remat` knows."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings at the top level of the config."""

    seed: int = setting(0, whole(0, SEED), "of initialisation, data order and every random draw")
    init_from: str = setting("", Text(), "checkpoints whose parameters a run starts with, with commas (checkpoints/start.py)")
    steps: int = setting(1000, whole(1), "optimiser steps")
    batch_size: int = setting(32, whole(1), "examples per optimiser step, over all processes and devices")
    grad_accumulation: int = setting(1, whole(1), "microbatches that one optimiser step is split into; divides batch_size")
    precision: str = setting("float32", choice(PRECISIONS), "of activations; parameters, norms and softmax stay float32")
    remat: str = setting(
        "none",
        choice(REMAT),
        "what a block's backward pass computes again to save memory: nothing, all but products (dots), or everything (full)",
    )
    ema_decay: float = setting(
        0.999, SHARE, "of the exponential moving average of parameters, ramped as min(decay, (1 + step) / (10 + step))"
    )
    log_every: int = setting(20, whole(1), "steps between lines in the log, TensorBoard and metrics.jsonl")
    eval_every: int = setting(500, whole(0), "steps between evaluations on the validation split; 0: never")
    eval_batches: int = setting(4, whole(1), "batches per evaluation")
    preview_every: int = setting(500, whole(0), "steps between pictures; 0: never")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer`."""

    name: str = setting("adamw", choice(OPTIMIZERS), "the rule of the update")
    learning_rate: float = setting(1e-3, real(0.0), "at its peak, after the warm-up")
    schedule: str = setting(
        "cosine", choice(SCHEDULES), "of the learning rate after the warm-up: cosine falls to final_fraction of the peak"
    )
    final_fraction: float = setting(0.05, SHARE, "of the peak learning rate, reached at the last step")
    warmup_steps: int = setting(100, whole(0), "steps in which the learning rate rises linearly from zero")
    b1: float = setting(0.9, real(0.0, 1.0, below=True), "decay per step of the mean of the gradients")
    b2: float = setting(0.99, real(0.0, 1.0, below=True), "decay per step of the mean of their squares")
    eps: float = setting(1e-8, real(0.0, above=True), "added to the root of the second moment")
    weight_decay: float = setting(1e-4, real(0.0), "decoupled from the gradient, on matrices and kernels alone")
    clip_norm: float = setting(1.0, real(0.0, above=True), "largest global norm of the gradients")
    discriminator_scale: float = setting(1.0, real(0.0), "learning rate of the discriminator over that of the rest")


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """`config.mesh`. `xactor_jax.parallel.mesh` checks that they fit the devices."""

    data: int = setting(-1, whole(1, besides=(-1,)), "devices that split the batch alone; -1: all that the other axes leave")
    fsdp: int = setting(1, whole(1, besides=(-1,)), "devices that split the batch and every large parameter")
    context: int = setting(
        1, whole(1, besides=(-1,)), "devices that split the frames of every example; where it has none, the batch too"
    )
    tensor: int = setting(1, whole(1, besides=(-1,)), "devices that split the features inside a layer")
    slices: int = setting(
        0, whole(0), "TPU slices or GPU nodes, which data alone spans; 0: as the devices say; 1: all axes may span them"
    )


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """`config.checkpoint`."""

    every: int = setting(500, whole(1), "steps between checkpoints")
    keep: int = setting(2, whole(1), "newest checkpoints kept")


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """`config.profile`."""

    start: int = setting(-1, whole(-1), "first step of the profiler window; -1: no profile")
    steps: int = setting(5, whole(1), "steps in the window")


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """`config.pretrained`: folders of pretrained networks."""

    motion: str = setting("", Text(), "run or export folder of the motion stage; empty: the embedded checkpoint")
    motion_hash: str = setting("", Text(), "filled in: of the motion stage that the encoded records were made with")
    autoencoder: str = setting("", Text(), "of the autoencoder stage; empty: the embedded checkpoint")
    clip: str = setting(
        "",
        Text(),
        "of CLIP's image encoder, by launch/import_weights.py, where clip.depth of the video stage is above 0",
    )
    perceptual: str = setting("", Text(), "VGG16 or LPIPS by launch/import_weights.py, where loss.perceptual is above 0")


SECTIONS = {
    "": RunSettings,
    "optimizer": OptimizerSettings,
    "mesh": MeshSettings,
    "checkpoint": CheckpointSettings,
    "profile": ProfileSettings,
    "pretrained": PretrainedSettings,
}
"""As `xactor_jax.settings.to_config` takes them."""
