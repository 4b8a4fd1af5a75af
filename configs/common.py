"""What every experiment of every stage sets; the stage's file adds its network, losses and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from xactor_jax.errors import UserError


def get_common(stage: str) -> ConfigDict:
    """Settings that the trainer reads. Each line says what it means and its unit."""
    c = ConfigDict()
    c.stage = stage  # motion, actor, autoencoder or video
    c.seed = 0  # of initialisation, data order and every random draw
    c.init_from = ""  # checkpoints whose parameters a run starts with, with commas (checkpoints/start.py)
    c.steps = 1000  # optimiser steps
    c.batch_size = 32  # examples per optimiser step, over all processes and devices
    c.grad_accumulation = 1  # microbatches that one optimiser step is split into; divides batch_size
    c.precision = "float32"  # of activations: float32, bfloat16 or bf16; parameters, norms and softmax stay float32
    c.remat = "none"  # what a block's backward pass computes again to save memory: none, dots (all but products), full (all)
    c.ema_decay = 0.999  # of the exponential moving average of parameters, ramped as min(decay, (1+step)/(10+step))

    c.optimizer = ConfigDict()
    c.optimizer.name = "adamw"  # adamw or adam
    c.optimizer.learning_rate = 1e-3  # peak
    c.optimizer.schedule = "cosine"  # cosine (to final_fraction of the peak) or constant, after the warm-up
    c.optimizer.final_fraction = 0.05  # of the peak learning rate, reached at the last step
    c.optimizer.warmup_steps = 100  # linear, from zero
    c.optimizer.b1 = 0.9
    c.optimizer.b2 = 0.99
    c.optimizer.eps = 1e-8  # added to the root of the second moment
    c.optimizer.weight_decay = 1e-4  # decoupled, on matrices and kernels alone
    c.optimizer.clip_norm = 1.0  # global norm of the gradients
    c.optimizer.discriminator_scale = 1.0  # learning rate of the discriminator over that of the rest

    c.mesh = ConfigDict()
    c.mesh.data = -1  # devices that split the batch alone; -1: all that the other axes leave
    c.mesh.fsdp = 1  # devices that split the batch and every large parameter
    c.mesh.context = 1  # devices that split the frames of every example; where it has none, the batch too
    c.mesh.tensor = 1  # devices that split the features inside a layer
    c.mesh.slices = 0  # TPU slices or GPU nodes, which data alone spans; 0: as the devices say; 1: all axes may span them

    c.checkpoint = ConfigDict()
    c.checkpoint.every = 500  # steps
    c.checkpoint.keep = 2  # newest checkpoints kept

    c.log_every = 20  # steps between lines in the log, TensorBoard and metrics.jsonl
    c.eval_every = 500  # steps between evaluations on the validation split; 0: never
    c.eval_batches = 4  # batches per evaluation
    c.preview_every = 500  # steps between pictures; 0: never

    c.profile = ConfigDict()
    c.profile.start = -1  # first step of the profiler window; -1: no profile
    c.profile.steps = 5  # steps in the window

    c.data = ConfigDict()
    c.data.path = ""  # folder of clip records (launch/prepare.py); empty: the embedded data set, built on first use
    c.data.kind = "puppets"  # of the embedded data set: puppets, drawn in two dimensions, or heads, rendered in three
    c.data.voice = ""  # of the embedded data set: formant or recorded; empty: what the kind has
    c.data.encoded_path = ""  # folder of latents and features (launch/encode.py); empty: made beside the clips on first use
    c.data.cache = "runs/data"  # where the embedded data set and what is made from it are kept
    c.data.persons = 48  # people in the embedded data set when it is built
    c.data.clips_per_person = 4  # clips of each of them
    c.data.clip_seconds = 5.0  # length of a clip of the embedded data set
    c.data.image_size = 64  # side of its frames, pixels
    c.data.seed = 0  # of the embedded data set
    c.data.examples_per_clip = 4  # examples drawn from one record each time it is read; divides batch_size
    c.data.stage_dir = ""  # on the local disk, where shards of data sets at gs:// are copied to; empty: the temporary folder
    c.data.stage_gib = 100.0  # at most so much of them, GiB; a split must fit
    c.data.threads = 2  # threads that read and decode; 0: in the loop itself

    c.data.audio = ConfigDict()  # what records are encoded with, and filled in: what they were encoded with
    c.data.audio.kind = "log_mel"  # log_mel or wav2vec2; what follows is for wav2vec2
    c.data.audio.checkpoint = ""  # folder made by launch/import_weights.py
    c.data.audio.layers = "all"  # hidden states: all, last, or numbers such as "8" or "1,4,8"; 0: before the first block
    c.data.audio.combine = "concat"  # what becomes of several: concat or sum
    c.data.audio.weights = ()  # of the sum, one for each; none: their mean
    c.data.audio.piece = 5.0  # seconds computed at a time
    c.data.audio.context = 2.0  # seconds heard on either side of a piece

    c.pretrained = ConfigDict()
    c.pretrained.motion = ""  # run or export folder of the motion stage; empty: the embedded checkpoint
    c.pretrained.motion_hash = ""  # filled in: of the motion stage that the encoded records were made with
    c.pretrained.autoencoder = ""  # of the autoencoder stage; empty: the embedded checkpoint
    c.pretrained.clip = (
        ""  # of CLIP's image encoder, by launch/import_weights.py, where clip.depth of the video stage is above 0
    )
    c.pretrained.perceptual = ""  # VGG16 or LPIPS by launch/import_weights.py, where loss.perceptual is above 0
    return c


def apply_preset(config: ConfigDict, presets: Mapping[str, Callable[[ConfigDict], ConfigDict]], name: str) -> ConfigDict:
    """The config as a preset changes it; "default" is the config as it stands.

    Raises:
      UserError: there is no such preset.
    """
    known = {"default": lambda c: c, **presets}
    if name not in known:
        raise UserError(f"the {config.stage} stage has no preset {name!r}: choose one of {', '.join(known)}")
    return known[name](config)
