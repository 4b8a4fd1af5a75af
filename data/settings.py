"""The settings of data: `config.data` of every stage."""

from __future__ import annotations

from dataclasses import dataclass

from data.performers.bodies import BODY_KINDS
from data.performers.voices import VOICE_KINDS
from xactor_jax.audio.wav2vec2_features import PieceSettings
from xactor_jax.pretrained.audio import KINDS
from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

REFERENCES = ("other_clip", "same_clip")
"""Where an actor's reference motion comes from."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """`config.data` of the stages that train on single pictures."""

    path: str = setting(
        "", Text(), "folder of clip records (launch/prepare.py); empty: the embedded data set, built on first use"
    )
    kind: str = setting(
        "puppets", choice(BODY_KINDS), "of the embedded data set: puppets, drawn in two dimensions, or heads, rendered in three"
    )
    voice: str = setting("", choice(("", *VOICE_KINDS)), "of the embedded data set; empty: what the kind has")
    encoded_path: str = setting(
        "", Text(), "folder of latents and features (launch/encode.py); empty: made beside the clips on first use"
    )
    cache: str = setting("runs/data", Text(), "where the embedded data set and what is made from it are kept")
    persons: int = setting(48, whole(3, 1_000_000), "people in the embedded data set when it is built")
    clips_per_person: int = setting(4, whole(1, 100_000), "clips of each of them")
    clip_seconds: float = setting(5.0, real(0.04, 36_000.0), "length of a clip of the embedded data set, seconds")
    image_size: int = setting(64, whole(16, 8_192), "side of its frames, pixels")
    seed: int = setting(0, whole(0, SEED), "of the embedded data set")
    examples_per_clip: int = setting(
        4, whole(1, 100_000), "examples drawn from one record each time it is read; divides batch_size"
    )
    stage_dir: str = setting(
        "", Text(), "on the local disk, where shards of data sets at gs:// are copied to; empty: the temporary folder"
    )
    stage_gib: float = setting(100.0, real(0.0, above=True), "at most so much of them, GiB; a split must fit")
    threads: int = setting(2, whole(0, 1_000), "threads that read and decode; 0: in the loop itself")


@dataclass(frozen=True, kw_only=True)
class LatentData(DataSettings):
    """`config.data` of the actor."""

    window: int = setting(80, whole(1, 100_000), "frames of a training example; shorter clips are padded and masked")
    reference: str = setting(
        "other_clip", choice(REFERENCES), "where the reference motion comes from: another clip of the person where there is one"
    )


@dataclass(frozen=True, kw_only=True)
class WindowData(DataSettings):
    """`config.data` of the renderer."""

    window: int = setting(8, whole(1, 100_000), "frames that the denoiser sees at once")
    apart: float = setting(
        0.75,
        SHARE,
        "share of training windows of frames from all over the clip, which do not see each other; of phase all",
    )


@dataclass(frozen=True, kw_only=True)
class AudioSettings(PieceSettings):
    """`config.data.audio`: what records are encoded with; filled in: what they were encoded with."""

    kind: str = setting("log_mel", choice(KINDS), "of audio features; the other settings are for wav2vec2")
    checkpoint: str = setting("", Text(), "folder made by launch/import_weights.py")
