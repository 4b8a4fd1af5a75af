"""Encodes clips into the training data of the actor: motion latents and audio features of every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float, Int16, UInt8
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from data import records, storage
from data.encoded import KIND, EncodedClip, write_encoded
from data.shards import Shards
from xactor_jax.audio.features import AudioFeatures, Settings
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.motion.model import MotionModel, initial_statistics, motion_hash
from xactor_jax.motion.pictures import Encoder, frame_encoder
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.variables import Variables

LOG_MEL = {"kind": "log_mel"}


def clip_frames(clip: Mapping[str, Any]) -> UInt8[np.ndarray, "t h w 3"]:
    """Decoded frames of a clip record."""
    return np.stack([records.decode_frame(frame) for frame in clip["frames"]])


def clip_waveform(audio: Int16[np.ndarray, "samples"]) -> Float[np.ndarray, "samples"]:
    """Sound of a clip record in [-1, 1]."""
    return audio.astype(np.float32) / np.float32(32768)


def encode_clip(encode: Encoder, audio: AudioFeatures, clip: Mapping[str, Any]) -> EncodedClip:
    """Encodes one clip record; labels are copied."""
    features = audio.whole(clip_waveform(clip["audio"]))
    labels = {name: clip[name] for name in ("person", "clip", "emotion", "emotion_intensity", "controls")}
    return EncodedClip(motion_latents=encode(clip_frames(clip)), audio_features=features, **labels)


def encode_split(
    encode: Encoder, audio: AudioFeatures, source: storage.RecordSource, which: Iterable[int], done: Callable[[], None]
) -> Iterator[EncodedClip]:
    """Encoded records of a split, one at a time, those of the indices `which`. `done` is called after each."""
    for index in which:
        yield encode_clip(encode, audio, source[index])
        done()


def measured_statistics(clips_path: epath.PathLike, model: MotionModel, variables: Variables) -> dict[str, np.ndarray]:
    """Measures the buffers that standardise motion latents: mean and standard deviation over all frames of the training split.

    Released encoders come without them, but the actor's diffusion expects latents with a standard deviation of about 1.
    """
    source = records.open_clips(clips_path, "train")
    encode = frame_encoder(model, variables._replace(buffers=initial_statistics(model.latent_dim)), 64)
    count, total, squares = 0, 0.0, 0.0
    for index in range(len(source)):
        latents = encode(clip_frames(source[index])).astype(np.float64)
        count, total, squares = count + len(latents), total + latents.sum(0), squares + (latents**2).sum(0)
    moments = {"latent_mean": total / count, "latent_square": squares / count, "latent_count": np.asarray(count)}
    return {name: np.asarray(moment, np.float32) for name, moment in moments.items()}


def encode_dataset(
    clips_path: epath.PathLike,
    motion_checkpoint: epath.PathLike,
    out_path: epath.PathLike,
    batch_size: int = 64,
    progress: bool = True,
    audio: Settings = LOG_MEL,
) -> None:
    """Writes the encoded records of every clip of every split to `out_path`. If it fails, nothing is left there.

    Processes that are joined by `jax.distributed` share the work, and a call after a failure goes on (`data/shards.py`).

    Args:
        motion_checkpoint: run or export of the motion stage; its hash becomes part of the metadata.
        batch_size: frames per call of the encoder.
        progress: whether a progress bar is shown on stderr.
        audio: settings of the audio features, see `load_audio_features`; all of them are stored in the metadata.

    Raises:
        UserError: there are no clips or no checkpoint, or `out_path` is not empty.
    """
    if batch_size < 1:
        raise UserError(f"a batch size of {batch_size} is too small: take at least 1.")
    clips = storage.read_index(clips_path, records.KIND)
    sources = {split: records.open_clips(clips_path, split) for split in clips["splits"]}
    config, variables = load_variables(motion_checkpoint, "motion")
    encode = frame_encoder(MotionModel.from_config(config), variables, batch_size)
    features = load_audio_features(audio)
    metadata = {
        "motion_hash": motion_hash(variables),
        "motion_checkpoint": str(motion_checkpoint),
        "clips": str(clips_path),
        "audio": features.to_dict(),
    }
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    shards = Shards(out_path, {split: len(source) for split, source in sources.items()}, metadata, KIND, clips["id"])
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not progress or not shards.first) as bar:
        task = bar.add_task("encoding clips", total=shards.left)
        done = lambda: bar.advance(task)

        def write(folder: epath.Path, split: str, which: range) -> None:
            encoded = {split: encode_split(encode, features, sources[split], which, done)}
            write_encoded(folder, encoded, metadata=metadata)

        shards.write(write)
