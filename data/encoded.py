"""Encoded records: the motion latents and audio features of every clip of a data set, for training the actor.

For training the renderer they can also have what its frozen networks compute from every frame: the autoencoder's latents and
CLIP's embeddings, as bfloat16. The files hold the same bits as uint16, which is a type of NumPy, so that any reader of TFDS can
read them. They lie in pieces beside the records, of which a window reads those that it touches (pieces.py); older data sets
have them whole in the records. Such records also have the boxes of the clip: the renderer then needs no clips, except in phases
that need pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from jaxtyping import BFloat16, Float, Int

from data import storage
from data.records import LabelledSource, array_feature, check_intensity
from data.staging import Staging
from data.storage import DEFAULT_STAGING
from xactor_jax.labels import CONTROLS

KIND = storage.Kind("motion latents and audio features", "motion_latents", "python launch/encode.py --data DIR --out DIR")

PICTURES = {"autoencoder": "picture_latents", "clip": "picture_embeddings"}
"""Frozen network of the renderer → the field with what it computes. The metadata has the hash of each under NAME_hash."""


LAYOUT = "pieces"
"""Name of how values lie in the files. Shards of an encoding that another version began are not joined with new ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodedClip:
    """One clip of T frames: standardised motion latents, audio features, and the labels of the original clip.

    The last three fields are for the renderer: standardised posterior means of the autoencoder, embeddings of CLIP's image
    encoder, and the boxes of the clip. All clips of a data set have the same of them.
    """

    person: str
    clip: str
    motion_latents: Float[np.ndarray, "frames latent"]
    audio_features: Float[np.ndarray, "frames features"]
    emotion: Int[np.ndarray, "frames"]
    emotion_intensity: Float[np.ndarray, "frames"]
    controls: Float[np.ndarray, "rows controls"]
    picture_latents: BFloat16[np.ndarray, "frames h w c"] | None = None
    picture_embeddings: BFloat16[np.ndarray, "frames e"] | None = None
    component_boxes: Float[np.ndarray, "frames 2 4"] | None = None

    def validate(self) -> None:
        """Raises `ValueError` if the fields do not fit together."""
        optional = (getattr(self, name) for name in (*PICTURES.values(), "component_boxes"))
        known = [self.motion_latents, self.audio_features, self.emotion, *(x for x in optional if x is not None)]
        lengths = {len(x) for x in known}
        if len(lengths) != 1 or len(self.controls) not in (0, *lengths):
            raise ValueError(f"{self.person}/{self.clip}: latents, features and labels differ in length: {sorted(lengths)}")
        check_intensity(f"{self.person}/{self.clip}", self.emotion_intensity, len(self.emotion))


def _features(networks: Collection[str]) -> dict[str, Any]:
    optional = {
        "picture_latents": array_feature((None, None, None, None), np.uint16),
        "picture_embeddings": array_feature((None, None), np.uint16),
    }
    boxes = {"component_boxes": array_feature((None, 2, 4), np.float32)} if networks else {}
    return {
        **boxes,
        **{PICTURES[name]: optional[PICTURES[name]] for name in networks},
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
    pictures = {name: getattr(clip, name) for name in PICTURES.values()}
    bits = {name: np.asarray(x, jnp.bfloat16).view(np.uint16) for name, x in pictures.items() if x is not None}
    boxes = {} if clip.component_boxes is None else {"component_boxes": np.asarray(clip.component_boxes, np.float32)}
    return {
        **bits,
        **boxes,
        "person": clip.person,
        "clip": clip.clip,
        "motion_latents": np.asarray(clip.motion_latents, np.float32),
        "audio_features": np.asarray(clip.audio_features, np.float32),
        "emotion": np.asarray(clip.emotion, np.int32),
        "emotion_intensity": np.asarray(clip.emotion_intensity, np.float32),
        "controls": np.asarray(clip.controls, np.float32),
    }


def write_encoded(
    path: epath.PathLike,
    splits: Mapping[str, Iterable[EncodedClip]],
    *,
    metadata: Mapping[str, Any],
    name: str = "encoded",
    networks: Collection[str] = (),
) -> None:
    """Writes encoded clips as one data set folder. Clips are read lazily.

    Args:
        networks: keys of `PICTURES` whose fields the clips have; with any of them, they also have the boxes.
        metadata: where the records come from: the motion checkpoint's hash, audio settings; see `encoded_metadata`.

    Raises:
        UserError: `path` is not empty, cannot be written to, or there is no clip.
        ValueError: a clip's fields do not fit together.
    """
    records = {split: map(_record, clips) for split, clips in splits.items()}
    known = {"name": name, "metadata": metadata, "length_field": KIND.field}
    storage.write_records(path, records, _features(networks), pieces=[PICTURES[name] for name in networks], **known)


class EncodedSource(LabelledSource):
    """Encoded records. Values of pictures are read when their frames are asked for (`data.pieced.PiecedArray`); where an older
    version wrote them, they are arrays. Records of still older versions have nothing for the renderer but motion latents.
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = super().__getitem__(index)
        return {**record, **{name: record[name].view(jnp.bfloat16) for name in PICTURES.values() if name in record}}


def open_encoded(path: epath.PathLike, split: str, staging: Staging = DEFAULT_STAGING) -> EncodedSource:
    """Random access to a split, sorted by (person, clip) like the clips; each record is a dict of the fields of `EncodedClip`.

    Fields that the data set does not have are not in the record.

    Raises:
        UserError: `path` holds no encoded records, they are damaged, or there is no such split.
    """
    return EncodedSource(path, split, KIND, staging)


def encoded_metadata(path: epath.PathLike) -> dict[str, Any]:
    """The `metadata` that `write_encoded` stored."""
    return storage.read_index(path, KIND)["metadata"]
