"""Settings of data: `config.data` of every stage."""

from __future__ import annotations

from dataclasses import dataclass

from data.performers.bodies import BODY_KINDS
from data.performers.voices import VOICE_KINDS
from xactor_jax.audio.wav2vec2_features import PieceSettings
from xactor_jax.pretrained.audio import KINDS
from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole
from xactor_jax.video.entries import PRECOMPUTED

REFERENCES = ("other_clip", "same_clip")
"""Sources of the actor's reference motion."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """`config.data` of the stages that train on single frames (motion, autoencoder)."""

    path: str = setting(
        "", Text(), "folder of clip records (launch/prepare.py); empty: the embedded data set, built on first use"
    )
    kind: str = setting(
        "puppets",
        choice(BODY_KINDS),
        "people of the embedded data set: puppets (drawn in two dimensions) or heads (rendered in three)",
    )
    voice: str = setting("", choice(("", *VOICE_KINDS)), "voice of the embedded data set; empty: the usual voice of the kind")
    encoded_path: str = setting(
        "", Text(), "folder of motion latents and audio features (launch/encode.py); empty: made beside the clips on first use"
    )
    cache: str = setting("runs/data", Text(), "folder for the embedded data set and its encoded records")
    persons: int = setting(48, whole(3, 1_000_000), "number of people in the embedded data set")
    clips_per_person: int = setting(4, whole(1, 100_000), "number of clips per person in the embedded data set")
    clip_seconds: float = setting(5.0, real(0.04, 36_000.0), "length of a clip of the embedded data set, seconds")
    image_size: int = setting(64, whole(16, 8_192), "side of the frames of the embedded data set, pixels")
    seed: int = setting(0, whole(0, SEED), "seed of the embedded data set")
    examples_per_clip: int = setting(
        4, whole(1, 100_000), "training examples drawn from a record each time it is read; must divide batch_size"
    )
    stage_dir: str = setting(
        "", Text(), "local folder for copies of data set shards from gs://; empty: the system's temporary folder"
    )
    stage_gib: float = setting(100.0, real(0.0, above=True), "largest total size of these copies, GiB; a split must fit")
    prefetch_mib: float = setting(
        1024.0,
        real(0.0, above=True),
        "largest total size of the batches that are made ahead, MiB; one batch is always made ahead",
    )
    threads: int = setting(2, whole(0, 1_000), "threads that read and decode records; 0: the training loop reads them itself")


@dataclass(frozen=True, kw_only=True)
class LatentData(DataSettings):
    """`config.data` of the actor."""

    window: int = setting(80, whole(1, 100_000), "length of a training example, frames; shorter clips are padded and masked")
    reference: str = setting(
        "other_clip",
        choice(REFERENCES),
        "source of the reference motion: another clip of the person (if there is one) or the same clip",
    )


@dataclass(frozen=True, kw_only=True)
class WindowData(DataSettings):
    """`config.data` of the renderer."""

    window: int = setting(8, whole(1, 100_000), "length of a training example and of a sampling window, frames")
    apart: float = setting(
        0.75,
        SHARE,
        "phase all: share of training examples with random frames of the clip, which do not attend to each other",
    )
    precomputed: str = setting(
        "auto",
        choice(("auto", *PRECOMPUTED)),
        "what is read from the encoded records (launch/encode.py --autoencoder) instead of computed from pixels in every step: "
        "latents of pictures, all (these and CLIP's embeddings) or none; auto: what the records have",
    )


@dataclass(frozen=True, kw_only=True)
class AudioSettings(PieceSettings):
    """`config.data.audio`: audio features of encoded records. For existing records the program fills in their settings."""

    kind: str = setting("log_mel", choice(KINDS), "kind of audio features; the other settings are only used for wav2vec2")
    checkpoint: str = setting("", Text(), "wav2vec2: folder of the network, made by launch/import_weights.py")
