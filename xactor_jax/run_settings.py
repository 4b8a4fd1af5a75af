"""The settings that all stages have and that the trainer reads."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")
"""Schedules of the learning rate after the warm-up."""
PRECISIONS = ("float32", "bfloat16", "bf16")
"""float16 is not supported, because its small range needs loss scaling, which this project does not have."""
REMAT = ("none", "dots", "full")
"""Choices of `xactor_jax.layers.remat`."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings at the top level of the config."""

    seed: int = setting(0, whole(0, SEED), "seed of initialisation, data order and all other random draws")
    init_from: str = setting(
        "", Text(), "folders of checkpoints whose parameters a run starts from, separated by commas (checkpoints/start.py)"
    )
    steps: int = setting(1000, whole(1), "optimiser steps")
    batch_size: int = setting(32, whole(1), "examples per optimiser step, over all processes and devices")
    grad_accumulation: int = setting(1, whole(1), "microbatches per optimiser step; must divide batch_size")
    precision: str = setting(
        "float32", choice(PRECISIONS), "type of activations; parameters, normalisation and softmax are always float32"
    )
    remat: str = setting(
        "none",
        choice(REMAT),
        "what a block's backward pass computes again to save memory: nothing (none), all but products (dots), all (full)",
    )
    ema_decay: float = setting(
        0.999, SHARE, "decay of the moving average of parameters per step, at most (1 + step) / (10 + step)"
    )
    log_every: int = setting(20, whole(1), "steps between entries in the log, TensorBoard and metrics.jsonl")
    eval_every: int = setting(500, whole(0), "steps between evaluations on the validation split; 0: never")
    eval_batches: int = setting(4, whole(1), "batches per evaluation")
    preview_every: int = setting(500, whole(0), "steps between preview pictures; 0: never")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer` of every stage."""

    name: str = setting("adamw", choice(OPTIMIZERS), "kind of optimiser")
    learning_rate: float = setting(1e-3, real(0.0), "peak learning rate, reached after the warm-up")
    schedule: str = setting(
        "cosine",
        choice(SCHEDULES),
        "schedule of the learning rate after the warm-up; cosine falls to final_fraction of the peak",
    )
    final_fraction: float = setting(0.05, SHARE, "learning rate at the last step over its peak, for the cosine schedule")
    warmup_steps: int = setting(100, whole(0), "steps in which the learning rate rises linearly from zero")
    b1: float = setting(0.9, real(0.0, 1.0, below=True), "decay of the running mean of gradients, per step")
    b2: float = setting(0.99, real(0.0, 1.0, below=True), "decay of the running mean of squared gradients, per step")
    eps: float = setting(1e-8, real(0.0, above=True), "constant added to the root of the second moment")
    weight_decay: float = setting(1e-4, real(0.0), "decoupled weight decay, only on matrices and kernels")
    clip_norm: float = setting(1.0, real(0.0, above=True), "largest global norm of the gradients; larger ones are scaled down")
    discriminator_scale: float = setting(1.0, real(0.0), "learning rate of discriminators over that of other networks")


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """`config.mesh`. `xactor_jax.parallel.mesh` checks that the mesh fits the devices."""

    data: int = setting(-1, whole(1, extra=(-1,)), "devices that only split the batch; -1: all that the other axes leave")
    fsdp: int = setting(1, whole(1, extra=(-1,)), "devices that split the batch and every large parameter")
    context: int = setting(
        1, whole(1, extra=(-1,)), "devices that split the frames of each example; without frames, they split the batch"
    )
    tensor: int = setting(1, whole(1, extra=(-1,)), "devices that split the features inside a layer")
    slices: int = setting(
        0, whole(0), "TPU slices or GPU nodes, which only data spans; 0: as the devices report; 1: all axes may span them"
    )


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """Settings of saving, `config.checkpoint`."""

    every: int = setting(500, whole(1), "steps between checkpoints")
    keep: int = setting(2, whole(1), "number of newest checkpoints that are kept")


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """Settings of profiling, `config.profile`."""

    start: int = setting(-1, whole(-1), "first step of the profiled window; -1: no profile")
    steps: int = setting(5, whole(1), "steps in the profiled window")


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """`config.pretrained`: folders of pretrained networks."""

    motion: str = setting("", Text(), "folder of a run or export of the motion stage; empty: the embedded checkpoint")
    motion_hash: str = setting(
        "", Text(), "hash of the motion stage that made the encoded records; set by the program, not by the user"
    )
    autoencoder: str = setting("", Text(), "folder of a run or export of the autoencoder stage; empty: the embedded checkpoint")
    clip: str = setting(
        "",
        Text(),
        "folder of CLIP's image encoder from launch/import_weights.py; needed if clip.depth of the video stage is above 0",
    )
    perceptual: str = setting(
        "", Text(), "folder of VGG16 or LPIPS from launch/import_weights.py; needed if loss.perceptual is above 0"
    )


SECTIONS = {
    "": RunSettings,
    "optimizer": OptimizerSettings,
    "mesh": MeshSettings,
    "checkpoint": CheckpointSettings,
    "profile": ProfileSettings,
    "pretrained": PretrainedSettings,
}
"""Sections as `xactor_jax.settings.to_config` takes them."""
