"""Encodes clips into training data: motion latents and audio features of every frame for the actor and the renderer.

On request also what the renderer's frozen networks compute from every frame, so that its training need not do it in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float, Int16, UInt8
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from data import records, storage
from data.encoded import KIND, LAYOUT, PICTURES, EncodedClip, write_encoded
from data.frames import decode_frames
from data.shards import Shards
from xactor_jax.audio.features import AudioFeatures, Settings
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.errors import UserError
from xactor_jax.motion.model import MotionModel, initial_statistics, motion_hash
from xactor_jax.motion.pictures import Encoder, frame_encoder
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel
from xactor_jax.video.encoders import PictureEncoder, embedding_encoder, latent_encoder
from xactor_jax.video.frozen import SAVED, frozen_hash

LOG_MEL = {"kind": "log_mel"}


def clip_frames(clip: Mapping[str, Any]) -> UInt8[np.ndarray, "t h w 3"]:
    """Decoded frames of a clip record."""
    return decode_frames(clip["frames"])


def clip_waveform(audio: Int16[np.ndarray, "samples"]) -> Float[np.ndarray, "samples"]:
    """Sound of a clip record in [-1, 1]."""
    return audio.astype(np.float32) / np.float32(32768)


class Encoders(NamedTuple):
    """Everything that is computed from a clip."""

    motion: Encoder
    audio: AudioFeatures
    pictures: Mapping[str, PictureEncoder]
    """Key of `PICTURES` → encoder."""


def picture_encoders(checkpoints: Mapping[str, epath.PathLike], batch_size: int) -> tuple[dict, dict[str, str]]:
    """Encoders of the renderer's frozen networks, and the metadata that names these: NAME_hash and NAME_checkpoint.

    `checkpoints` has a folder for some of the keys of `PICTURES`. Raises `UserError` if a folder holds no such network.
    """
    make = {"autoencoder": (AutoencoderModel, latent_encoder), "clip": (ClipModel, embedding_encoder)}
    encoders, metadata = {}, {}
    for name, path in checkpoints.items():
        (config, tree), (model, encoder) = SAVED[name](str(path)), make[name]
        encoders[name] = encoder(model.from_network(config.network), tree, batch_size)
        metadata |= {f"{name}_hash": frozen_hash(name, tree), f"{name}_checkpoint": str(path)}
    return encoders, metadata


def encode_clip(encoders: Encoders, clip: Mapping[str, Any]) -> EncodedClip:
    """Encodes one clip record; labels are copied, and where pictures are encoded, boxes."""
    frames, features = clip_frames(clip), encoders.audio.whole(clip_waveform(clip["audio"]))
    copied = ("person", "clip", "emotion", "emotion_intensity", "controls", *["component_boxes"] * bool(encoders.pictures))
    pictures = {PICTURES[name]: encode(frames) for name, encode in encoders.pictures.items()}
    labels = {name: clip[name] for name in copied}
    return EncodedClip(motion_latents=encoders.motion(frames), audio_features=features, **pictures, **labels)


def encode_split(
    encoders: Encoders, source: storage.RecordSource, which: Iterable[int], done: Callable[[], None]
) -> Iterator[EncodedClip]:
    """Encoded records of a split, one at a time, those of the indices `which`. `done` is called after each."""
    for index in which:
        yield encode_clip(encoders, source[index])
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
    pictures: Mapping[str, epath.PathLike] | None = None,
) -> None:
    """Writes the encoded records of every clip of every split to `out_path`. If it fails, nothing is left there.

    Processes that are joined by `jax.distributed` share the work, and a call after a failure goes on (`data/shards.py`).

    Args:
        motion_checkpoint: run or export of the motion stage; its hash becomes part of the metadata.
        batch_size: frames per call of the encoder.
        progress: whether a progress bar is shown on stderr.
        audio: settings of the audio features, see `load_audio_features`; all of them are stored in the metadata.
        pictures: "autoencoder" and "clip", or only the first → folder of this frozen network of the renderer, whose values of
            every frame are written too, with the hash of the network in the metadata.

    Raises:
        UserError: there are no clips or no checkpoint, or `out_path` is not empty.
    """
    if batch_size < 1:
        raise UserError(f"a batch size of {batch_size} is too small: take at least 1.")
    clips = storage.read_index(clips_path, records.KIND)
    sources = {split: records.open_clips(clips_path, split) for split in clips["splits"]}
    config, variables = load_variables(motion_checkpoint, "motion")
    frozen, networks = picture_encoders(pictures or {}, batch_size)
    features = load_audio_features(audio)
    encoders = Encoders(frame_encoder(MotionModel.from_config(config), variables, batch_size), features, frozen)
    metadata = {
        "motion_hash": motion_hash(variables),
        "motion_checkpoint": str(motion_checkpoint),
        "clips": str(clips_path),
        "audio": features.to_dict(),
        **networks,
    }
    version = f"{clips['id']} {LAYOUT}"
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    shards = Shards(out_path, {split: len(source) for split, source in sources.items()}, metadata, KIND, version)
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not progress or not shards.first) as bar:
        task = bar.add_task("encoding clips", total=shards.left)
        done = lambda: bar.advance(task)

        def write(folder: epath.Path, split: str, which: range) -> None:
            encoded = {split: encode_split(encoders, sources[split], which, done)}
            write_encoded(folder, encoded, metadata=metadata, networks=frozen)

        shards.write(write)
