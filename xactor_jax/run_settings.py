"""Settings of training that all stages share."""

from __future__ import annotations

from dataclasses import dataclass

from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("cosine", "constant")
"""Names of the learning-rate schedules."""
PRECISIONS = ("float32", "bfloat16", "bf16")
"""Number types of activations. float16 is not supported: its small range would need loss scaling, which is missing here."""
REMAT = ("none", "dots", "full")
"""Names of the rematerialisation policies of `xactor_jax.layers.remat`."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings at the top level of the config."""

    seed: int = setting(0, whole(0, SEED), "seed of initialisation, data order and all random numbers")
    init_from: str = setting(
        "", Text(), "checkpoints that a new run takes its parameters from, separated by commas (syntax: checkpoints/start.py)"
    )
    steps: int = setting(1000, whole(1), "number of optimiser steps of the run")
    batch_size: int = setting(32, whole(1), "examples per optimiser step, over all processes and devices together")
    grad_accumulation: int = setting(1, whole(1), "microbatches per optimiser step; must divide batch_size")
    precision: str = setting(
        "float32", choice(PRECISIONS), "number type of activations; parameters, normalisation and softmax always use float32"
    )
    remat: str = setting(
        "none",
        choice(REMAT),
        "activations that the backward pass recomputes to save memory: none, all except matrix products (dots), or all (full)",
    )
    ema_decay: float = setting(
        0.999,
        SHARE,
        "decay per step of the exponential moving average of parameters; at the start min(decay, (1 + step) / (10 + step))",
    )
    log_every: int = setting(20, whole(1), "steps between entries in the log, TensorBoard and metrics.jsonl")
    eval_every: int = setting(500, whole(0), "steps between evaluations on the validation split; 0: never")
    eval_batches: int = setting(4, whole(1), "number of batches per evaluation")
    preview_every: int = setting(500, whole(0), "steps between preview pictures; 0: never")


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """`config.optimizer`."""

    name: str = setting("adamw", choice(OPTIMIZERS), "optimiser")
    learning_rate: float = setting(1e-3, real(0.0), "peak learning rate, reached at the end of the warm-up")
    schedule: str = setting(
        "cosine",
        choice(SCHEDULES),
        "course of the learning rate after the warm-up; cosine: decrease to final_fraction of the peak",
    )
    final_fraction: float = setting(0.05, SHARE, "learning rate at the last step, as a fraction of the peak (cosine)")
    warmup_steps: int = setting(100, whole(0), "steps of the warm-up, in which the learning rate rises linearly from 0")
    b1: float = setting(0.9, real(0.0, 1.0, below=True), "Adam: decay per step of the mean of the gradients")
    b2: float = setting(0.99, real(0.0, 1.0, below=True), "Adam: decay per step of the mean of the squared gradients")
    eps: float = setting(1e-8, real(0.0, above=True), "Adam: constant added to the square root of the second moment")
    weight_decay: float = setting(1e-4, real(0.0), "AdamW: decoupled weight decay, only of matrices and kernels")
    clip_norm: float = setting(1.0, real(0.0, above=True), "global norm to which larger gradients are scaled down")
    discriminator_scale: float = setting(1.0, real(0.0), "factor on the learning rate for discriminators")


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """`config.mesh`: number of devices per axis. `xactor_jax.parallel.mesh` checks that they fit the available devices."""

    data: int = setting(
        -1, whole(1, besides=(-1,)), "devices that split only the batch; -1: all devices that the other axes leave"
    )
    fsdp: int = setting(1, whole(1, besides=(-1,)), "devices that split the batch and all large parameters")
    context: int = setting(
        1, whole(1, besides=(-1,)), "devices that split the frames of each example; examples without frames: the batch"
    )
    tensor: int = setting(1, whole(1, besides=(-1,)), "devices that split the features inside a layer")
    slices: int = setting(
        0,
        whole(0),
        "number of TPU slices or GPU nodes; only the data axis crosses them; 0: detected; 1: all axes may cross them",
    )


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """`config.checkpoint`."""

    every: int = setting(500, whole(1), "steps between checkpoints")
    keep: int = setting(2, whole(1), "number of newest checkpoints that are kept")


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """`config.profile`."""

    start: int = setting(-1, whole(-1), "first step that is profiled; -1: no profile")
    steps: int = setting(5, whole(1), "number of steps that are profiled")


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings:
    """`config.pretrained`: folders of pretrained networks."""

    motion: str = setting("", Text(), "run or export folder of the motion stage; empty: the embedded checkpoint")
    motion_hash: str = setting("", Text(), "hash of the motion stage that encoded the records; filled in by the program")
    autoencoder: str = setting("", Text(), "run or export folder of the autoencoder stage; empty: the embedded checkpoint")
    clip: str = setting(
        "",
        Text(),
        "folder of CLIP's image encoder, made by launch/import_weights.py; only used if clip.depth is above 0",
    )
    perceptual: str = setting(
        "", Text(), "folder of VGG16 or LPIPS, made by launch/import_weights.py; only used if loss.perceptual is above 0"
    )


SECTIONS = {
    "": RunSettings,
    "optimizer": OptimizerSettings,
    "mesh": MeshSettings,
    "checkpoint": CheckpointSettings,
    "profile": ProfileSettings,
    "pretrained": PretrainedSettings,
}
"""Section of the config → its settings."""
