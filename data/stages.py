"""The data of every stage: its settings, its kinds of records, and how examples are made from a record."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from data.augment_sound import SoundAugmentation
from data.encoded import KIND as ENCODED
from data.fit import check_latents, check_truth
from data.pipelines import FramePairs, Frames, FrameWindows, LatentWindows, OtherClips
from data.records import KIND as CLIPS
from data.settings import REFERENCES, AudioSettings, DataSettings, LatentData, WindowData
from data.stage_data import StageData
from xactor_jax.errors import UserError
from xactor_jax.layers.augmentation import DrivingAugmentation
from xactor_jax.settings import check_value, choice
from xactor_jax.video.entries import batch_entries


def frame_pairs(config: ConfigDict, source: Any, train: bool) -> FramePairs:
    """Examples of the motion stage."""
    return FramePairs(config.data.examples_per_clip, config.loss.truth > 0)


def frames(config: ConfigDict, source: Any, train: bool) -> Frames:
    """Examples of the autoencoder."""
    return Frames(config.data.examples_per_clip)


def latent_windows(config: ConfigDict, source: Any, train: bool) -> LatentWindows:
    """Examples of the actor."""
    d = config.data
    check_value("data.reference", d.reference, choice(REFERENCES))
    others = OtherClips(source) if d.reference == "other_clip" else None
    sound = sound_augmentation(config) if train else None
    return LatentWindows(d.examples_per_clip, d.window, others, config.network.emotions, sound)


def sound_augmentation(config: ConfigDict) -> SoundAugmentation | None:
    """The augmentation of audio features; None if it is off. Raises `UserError` if the features are not log-mel."""
    settings = SoundAugmentation(**config.data.sound_augmentation)
    if settings.probability and config.data.audio.kind != "log_mel":
        raise UserError("data.sound_augmentation is of log_mel features: give --config.data.sound_augmentation.probability=0.")
    return settings if settings.probability else None


def frame_windows(config: ConfigDict, source: Any, train: bool) -> FrameWindows:
    """Examples of the renderer."""
    d, entries = config.data, batch_entries(config)
    apart = {"spatial": 1.0, "temporal": 0.0}.get(config.phase, d.apart)
    return FrameWindows(d.examples_per_clip, d.window, apart if train else 0.0, entries)


MOTION = StageData(
    sections={
        "data": DataSettings,
        "data.audio": AudioSettings,
        "data.augmentation": DrivingAugmentation,  # only of the driving frame
    },
    needs=(CLIPS,),
    examples=frame_pairs,
    side="network.image_size",
    check=check_truth,
)
AUTOENCODER = StageData(
    sections={"data": DataSettings, "data.audio": AudioSettings},
    needs=(CLIPS,),
    examples=frames,
    side="network.image_size",
)
ACTOR = StageData(
    sections={
        "data": LatentData(kind="heads", clips_per_person=2, clip_seconds=4.0, image_size=128),
        "data.audio": AudioSettings,
        "data.sound_augmentation": SoundAugmentation,  # for other voices, rooms and microphones
    },
    needs=(ENCODED,),
    examples=latent_windows,
    latents="network.latent_dim",
    features="network.audio_dim",
)
VIDEO = StageData(
    sections={
        "data": WindowData(kind="heads", clips_per_person=2, clip_seconds=3.0, image_size=128, examples_per_clip=1),
        "data.audio": AudioSettings,
        "data.augmentation": DrivingAugmentation,  # only used if the motion encoder is trained: of its frames
    },
    needs=(CLIPS, ENCODED),
    examples=frame_windows,
    side="autoencoder.image_size",
    latents="network.motion_dim",
    check=check_latents,
    pixels=lambda config: batch_entries(config).pixels,
)
