"""Encoded records: the motion latents and audio features of every clip of a data set, for training the actor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from jaxtyping import Float, Int

from data import storage
from data.records import LabelledSource, array_feature, check_intensity
from data.staging import Staging
from data.storage import DEFAULT_STAGING
from xactor_jax.labels import CONTROLS

KIND = storage.Kind("motion latents and audio features", "motion_latents", "python launch/encode.py --data DIR --out DIR")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedClip:
    """One clip of T frames: standardised motion latents, audio features, and the labels of the original clip."""

    person: str
    clip: str
    motion_latents: Float[np.ndarray, "frames latent"]
    audio_features: Float[np.ndarray, "frames features"]
    emotion: Int[np.ndarray, "frames"]
    emotion_intensity: Float[np.ndarray, "frames"]
    controls: Float[np.ndarray, "rows controls"]

    def validate(self) -> None:
        """Raises `ValueError` if the fields do not fit together."""
        lengths = {len(self.motion_latents), len(self.audio_features), len(self.emotion)}
        if len(lengths) != 1 or len(self.controls) not in (0, *lengths):
            raise ValueError(f"{self.person}/{self.clip}: latents, features and labels differ in length: {sorted(lengths)}")
        check_intensity(f"{self.person}/{self.clip}", self.emotion_intensity, len(self.emotion))


def _features() -> dict[str, Any]:
    return {
        "person": tfds.features.Text(),
        "clip": tfds.features.Text(),
        "motion_latents": array_feature((None, None), np.float32),
        "audio_features": array_feature((None, None), np.float32),
        "emotion": array_feature((None,), np.int32),
        "emotion_intensity": array_feature((None,), np.float32),
        "controls": array_feature((None, len(CONTROLS)), np.float32),
    }


def _record(clip: EncodedClip) -> dict[str, Any]:
    clip.validate()
    return {
        "person": clip.person,
        "clip": clip.clip,
        "motion_latents": np.asarray(clip.motion_latents, np.float32),
        "audio_features": np.asarray(clip.audio_features, np.float32),
        "emotion": np.asarray(clip.emotion, np.int32),
        "emotion_intensity": np.asarray(clip.emotion_intensity, np.float32),
        "controls": np.asarray(clip.controls, np.float32),
    }


def write_encoded(
    path: epath.PathLike, splits: Mapping[str, Iterable[EncodedClip]], *, metadata: Mapping[str, Any], name: str = "encoded"
) -> None:
    """Writes encoded clips as one data set folder. Clips are read lazily.

    Args:
        metadata: where the records come from: the motion checkpoint's hash, audio settings; see `encoded_metadata`.

    Raises:
        UserError: `path` is not empty, cannot be written to, or there is no clip.
        ValueError: a clip's fields do not fit together.
    """
    records = {split: map(_record, clips) for split, clips in splits.items()}
    storage.write_records(path, records, _features(), name=name, metadata=metadata, length_field=KIND.field)


def open_encoded(path: epath.PathLike, split: str, staging: Staging = DEFAULT_STAGING) -> LabelledSource:
    """Random access to a split, sorted by (person, clip) like the clips; each record is a dict of the fields of `EncodedClip`.

    Raises:
        UserError: `path` holds no encoded records, they are damaged, or there is no such split.
    """
    return LabelledSource(path, split, KIND, staging)


def encoded_metadata(path: epath.PathLike) -> dict[str, Any]:
    """The `metadata` that `write_encoded` stored."""
    return storage.read_index(path, KIND)["metadata"]
