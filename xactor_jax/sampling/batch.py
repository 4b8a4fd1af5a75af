"""Batched sampling: one sample on each local device, with `jax.pmap` on replicated parameters, outside any mesh context.

Networks that do not fit on one device are split over all devices (sharded.py), and so are the samples.

All samples of a batch get one length T by repeating the last audio feature and emotion. After a sample's own end its last
motion latent is repeated, as the streams of `pipeline` do. So the pixels of a sample do not depend on the rest of its batch.
(They would depend on it in offline rendering, which processes a clip as a whole, so offline samples are not batched.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import jax_utils
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt8

from xactor_jax.actor.model import ActorModel
from xactor_jax.audio.features import AudioFeatures
from xactor_jax.emotion import Emotion
from xactor_jax.motion.model import MotionModel
from xactor_jax.padding import filled
from xactor_jax.pictures import to_float
from xactor_jax.sampling import pipeline
from xactor_jax.sampling.inputs import read_inputs, sources_of
from xactor_jax.sampling.jobs import Failure, Job, attempted
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.sampling.sharded import local_mesh
from xactor_jax.timing import FRAME_RATE, num_frames
from xactor_jax.variables import Variables
from xactor_jax.video.model import VideoModel
from xactor_jax.video.rendering import draw_batch

BUCKET = 2 * FRAME_RATE
"""Lengths are rounded up to a multiple of this many frames, so that few programs are compiled."""

LONGEST = 60 * FRAME_RATE
"""Longest sample of a batch, in frames. Longer samples are streamed, because a whole batch must fit into memory."""


Networks = tuple[MotionModel, ActorModel, VideoModel]


class Conditions(NamedTuple):
    """Inputs of the samples of a batch. Every array has samples as its first axis."""

    seed: Int[np.ndarray, "b"]
    for_motion: Float[np.ndarray, "b s s 3"]
    for_video: Float[np.ndarray, "b h h 3"]
    audio: Float[np.ndarray, "b t a"]
    frames: Int[np.ndarray, "b"]  # length of each sample before padding, at most t
    emotion: Int[np.ndarray, "b t"]
    intensity: Float[np.ndarray, "b t"]  # of the emotion


class Ready(NamedTuple):
    """A job whose inputs could be read."""

    job: Job
    portrait: Portrait
    frames: int


class Result(NamedTuple):
    """Motion and frames of the samples of a batch."""

    reference_motion: Float[Array, "b d"]
    motion: Float[Array, "b t d"]
    frames: UInt8[Array, "b t h h 3"]
    finite: Bool[Array, "b t"]
    """Whether all numbers of a frame were finite before they were converted to bytes."""


def generate(networks: Networks, settings: Settings, variables: tuple[Variables, ...], one: Conditions) -> Result:
    """Generates one sample, whose conditions have no axis of samples. A pure function, for `pmap`."""
    motion_model, actor, video = networks
    motion_variables, actor_variables, video_variables = variables
    actor_key, video_key = (jax.random.fold_in(jax.random.key(one.seed), i) for i in (0, 1))
    reference = motion_model.encode(motion_variables, one.for_motion[None])
    emotion = Emotion(one.emotion[None], one.intensity[None])
    motion = actor.rollout(actor_variables, actor_key, one.audio[None], reference, emotion, settings.rollout)
    held = motion[:, jnp.minimum(jnp.arange(motion.shape[1]), one.frames - 1)]
    drawn = draw_batch(video, video_variables, video_key[None], one.for_video[None], reference, held, settings.render)
    return Result(reference[0], motion[0], drawn.frames[0], drawn.finite[0])


def generator(models: Models, settings: Settings, sharded: bool = False) -> Callable[[Conditions], Result]:
    """`generate` for up to as many samples as there are local devices; each device has all parameters.

    `sharded`: the parameters are split over the devices by `sharded.place_sharded`. The devices are given explicitly: each
    process maps only over its own devices, so processes need no synchronisation.
    """
    devices, variables = tuple(jax.local_devices()), tuple(stage.variables for stage in models)
    networks = tuple(stage.model for stage in models)  # hashable (variables are not), so they can be a key of a cache
    mapped = mapped_over(devices, networks, settings, sharded)
    # From the host: arrays on a device would be stacked there, by a program for each of their shapes.
    held = variables if sharded else jax_utils.replicate(jax.device_get(variables), devices)
    return on_all(lambda conditions: mapped(held, conditions), len(devices))


@functools.lru_cache(maxsize=4)
def mapped_over(
    devices: tuple[jax.Device, ...], networks: Networks, settings: Settings, sharded: bool
) -> Callable[..., Result]:
    """The compiled function. It is cached, so that another list of jobs with the same settings needs no compilation."""
    one = functools.partial(generate, networks, settings)
    if not sharded:
        return jax.pmap(one, devices=devices)
    rows = NamedSharding(local_mesh(), PartitionSpec("fsdp"))
    return jax.jit(jax.vmap(one, (None, 0)), in_shardings=(None, rows), out_shardings=rows)


def on_all(mapped: Callable[[Conditions], Result], size: int) -> Callable[[Conditions], Result]:
    """Extends a function of exactly `size` samples to fewer samples. The results are host arrays."""

    def run(conditions: Conditions) -> Result:
        count = len(conditions.seed)
        whole = Conditions(*(filled(x, size) for x in conditions))
        return Result(*(np.asarray(x)[:count] for x in mapped(whole)))

    return run


def prepared(jobs: Sequence[Job], models: Models, warn: Callable[[str], None]) -> tuple[list[Ready], list[Failure]]:
    """Reads the image and the audio of every job. Returns the readable jobs, shortest first, and the failures."""

    def prepare(job: Job) -> Ready:
        r = job.request
        pipeline.check_emotion(models, r.emotion_track)
        inputs = read_inputs(r, sources_of(r), models, warn)
        return Ready(job, inputs.roles[0].portrait, num_frames(inputs.samples))

    ready, failures = attempted(jobs, prepare, lambda job: job.name)
    return sorted(ready, key=lambda item: item.frames), failures


def batches(ready: Sequence[Ready], size: int) -> Iterator[list[Ready]]:
    """Batches of `size` jobs of similar length, without those that are too long."""
    short = [item for item in ready if item.frames <= LONGEST]
    return (short[start : start + size] for start in range(0, len(short), size))


def long_ones(ready: Sequence[Ready]) -> list[Ready]:
    """The jobs that are too long for `batches`."""
    return [item for item in ready if item.frames > LONGEST]


def conditions_of(batch: Sequence[Ready], waveforms: Sequence[Float[np.ndarray, "_"]], audio: AudioFeatures) -> Conditions:
    """Stacks the inputs of a batch at a common length. `audio` computes the actor's audio features."""
    length = -(-max(item.frames for item in batch) // BUCKET) * BUCKET
    requests = [item.job.request for item in batch]
    emotion, intensity = map(np.stack, zip(*(_emotion(item, length) for item in batch), strict=True))
    return Conditions(
        seed=np.array([r.seed for r in requests], np.uint32),
        for_motion=np.stack([to_float(item.portrait.for_motion) for item in batch]),
        for_video=np.stack([to_float(item.portrait.for_video) for item in batch]),
        audio=np.stack([filled(audio.whole(waveform), length) for waveform in waveforms]),
        frames=np.array([item.frames for item in batch], np.int32),
        emotion=emotion,
        intensity=intensity,
    )


def _emotion(item: Ready, length: int) -> Emotion:
    """Emotion of every frame; that of the sample's last frame is repeated."""
    track = item.job.request.emotion_track
    return Emotion(*(filled(x, length) for x in track.frames(0, item.frames)))
