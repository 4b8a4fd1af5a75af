"""Allowed values of `config.data` for every stage."""

from __future__ import annotations

from dataclasses import dataclass

from data.performers.bodies import BODY_KINDS
from data.performers.voices import VOICE_KINDS
from xactor_jax.audio.wav2vec2_features import PieceSettings
from xactor_jax.pretrained.audio import KINDS
from xactor_jax.settings import SEED, SHARE, Text, choice, real, setting, whole

REFERENCES = ("other_clip", "same_clip")
"""Where the actor's reference motion comes from."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """`config.data` of the stages that train on single pictures."""

    path: str = setting(allowed=Text())
    kind: str = setting(allowed=choice(BODY_KINDS))
    voice: str = setting(allowed=choice(("", *VOICE_KINDS)))
    encoded_path: str = setting(allowed=Text())
    cache: str = setting(allowed=Text())
    persons: int = setting(allowed=whole(3, 1_000_000))
    clips_per_person: int = setting(allowed=whole(1, 100_000))
    clip_seconds: float = setting(allowed=real(0.04, 36_000.0))
    image_size: int = setting(allowed=whole(16, 8_192))
    seed: int = setting(allowed=whole(0, SEED))
    examples_per_clip: int = setting(allowed=whole(1, 100_000))
    stage_dir: str = setting(allowed=Text())
    stage_gib: float = setting(allowed=real(0.0, above=True))
    threads: int = setting(allowed=whole(0, 1_000))


@dataclass(frozen=True, kw_only=True)
class LatentData(DataSettings):
    """`config.data` of the actor."""

    window: int = setting(allowed=whole(1, 100_000))
    reference: str = setting(allowed=choice(REFERENCES))


@dataclass(frozen=True, kw_only=True)
class WindowData(DataSettings):
    """`config.data` of the renderer."""

    window: int = setting(allowed=whole(1, 100_000))
    apart: float = setting(allowed=SHARE)


@dataclass(frozen=True, kw_only=True)
class AudioSettings(PieceSettings):
    """`config.data.audio`."""

    kind: str = setting("log_mel", choice(KINDS))
    checkpoint: str = setting("", Text())
