"""Clip records: face-cropped video, sound and labels of one person speaking.

Frames lie in pieces beside the records, so that a few of them are read without the others (pieces.py).
Times are those of `xactor_jax.timing`: 25 frames and 16,000 samples a second, so a clip of T frames has 640 T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from jaxtyping import Float, Int, Int16

from data import storage
from data.staging import Staging
from data.storage import DEFAULT_STAGING
from xactor_jax.labels import CONTROLS, UNITS
from xactor_jax.timing import SAMPLES_PER_FRAME

KIND = storage.Kind("clips", "frames", "python launch/prepare.py --videos DIR --out DIR")


NO_UNITS = np.zeros((0, len(UNITS)), np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of T frames, each as bytes from `data.frames.encode_frames`.

    `controls` has no rows where the ground truth is unknown (real people). `units` has no rows where the picture is not made
    from expression units (puppets, real people). An `emotion` of -1 is unknown. `emotion_intensity` lies in [0, 1]; it is 1
    where it is not known (`xactor_jax.emotion`). `component_boxes` are (y0, x0, y1, x1) in fractions of the crop: first the
    eyes with the brows, then the mouth.
    """

    person: str
    clip: str
    frames: Sequence[bytes]
    audio: Int16[np.ndarray, "samples"]
    emotion: Int[np.ndarray, "frames"]
    emotion_intensity: Float[np.ndarray, "frames"]
    controls: Float[np.ndarray, "rows controls"]
    component_boxes: Float[np.ndarray, "frames 2 4"]
    units: Float[np.ndarray, "unit_rows units"] = dataclasses.field(
        default_factory=lambda: np.zeros((0, len(UNITS)), np.float32)
    )

    def validate(self) -> None:
        """Raises `ValueError` if the fields do not fit together."""
        frames = len(self.frames)
        if self.audio.shape != (frames * SAMPLES_PER_FRAME,):
            raise ValueError(f"{self.person}/{self.clip}: {frames} frames but {self.audio.shape} samples")
        if self.emotion.shape != (frames,) or self.component_boxes.shape != (frames, 2, 4):
            raise ValueError(f"{self.person}/{self.clip}: labels are not one per frame")
        check_intensity(f"{self.person}/{self.clip}", self.emotion_intensity, frames)
        for name, columns in (("controls", CONTROLS), ("units", UNITS)):
            shape = getattr(self, name).shape
            if shape not in ((0, len(columns)), (frames, len(columns))):
                raise ValueError(f"{self.person}/{self.clip}: {name} have shape {shape}")


def check_intensity(name: str, intensity: Float[np.ndarray, "frames"], frames: int) -> None:
    """Raises `ValueError` unless every frame has an intensity in [0, 1]."""
    if intensity.shape != (frames,) or not np.all((intensity >= 0.0) & (intensity <= 1.0)):
        raise ValueError(f"{name}: intensities are not one per frame in [0, 1]")


def array_feature(shape: tuple[int | None, ...], dtype: Any) -> tfds.features.Tensor:
    """An array stored as raw bytes. (Plain TFDS tensors need up to ten bytes for every integer.)"""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding=tfds.features.Encoding.BYTES)


def _features() -> dict[str, Any]:
    return {
        "person": tfds.features.Text(),
        "clip": tfds.features.Text(),
        "frames": tfds.features.Sequence(tfds.features.Scalar(dtype=np.object_)),
        "audio": array_feature((None,), np.int16),
        "emotion": array_feature((None,), np.int32),
        "emotion_intensity": array_feature((None,), np.float32),
        "controls": array_feature((None, len(CONTROLS)), np.float32),
        "units": array_feature((None, len(UNITS)), np.float32),
        "component_boxes": array_feature((None, 2, 4), np.float32),
    }


def _record(clip: Clip) -> dict[str, Any]:
    clip.validate()
    return {
        "person": clip.person,
        "clip": clip.clip,
        "frames": list(clip.frames),
        "audio": np.asarray(clip.audio, np.int16),
        "emotion": np.asarray(clip.emotion, np.int32),
        "emotion_intensity": np.asarray(clip.emotion_intensity, np.float32),
        "controls": np.asarray(clip.controls, np.float32),
        "units": np.asarray(clip.units, np.float32),
        "component_boxes": np.asarray(clip.component_boxes, np.float32),
    }


def write_clips(
    path: epath.PathLike,
    splits: Mapping[str, Iterable[Clip]],
    *,
    name: str = "clips",
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes clips as one data set folder. Clips are read lazily, in any order. A split without clips is left out.

    Raises:
        UserError: `path` is not empty, cannot be written to, or there is no clip.
        ValueError: a clip's fields do not fit together.
    """
    records = {split: map(_record, clips) for split, clips in splits.items()}
    known = {"name": name, "metadata": metadata or {}, "length_field": KIND.field}
    storage.write_records(path, records, _features(), pieces=("frames",), **known)


class LabelledSource(storage.RecordSource):
    """Records with an emotion. Old records without an intensity get intensity 1."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = super().__getitem__(index)
        return {**self._absent(record), **record}

    def _absent(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Default values of fields that old records lack."""
        return {"emotion_intensity": np.ones(len(record["emotion"]), np.float32)}


class ClipSource(LabelledSource):
    """Clips. Frames are read when they are asked for (`data.pieced.PiecedEntries`); old records have them as a list. Those
    without expression units get none.
    """

    def _absent(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"units": NO_UNITS, **super()._absent(record)}


def open_clips(path: epath.PathLike, split: str, staging: Staging = DEFAULT_STAGING) -> ClipSource:
    """Random access to the clips of a split, sorted by (person, clip); each is a dict of the fields of `Clip`.

    Args:
        staging: where clips at a remote path are copied to while they are read.

    Raises:
        UserError: `path` holds no prepared clips, they are damaged, or there is no such split.
    """
    return ClipSource(path, split, KIND, staging)


def clips_metadata(path: epath.PathLike) -> dict[str, Any]:
    """The `metadata` that `write_clips` stored."""
    return storage.read_index(path, KIND)["metadata"]
