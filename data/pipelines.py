"""Grain pipelines: from the records of a data set to the batches of a stage.

All stages have the same pipeline: an ordered source of records → shuffled and repeated without end → each record becomes a few
training examples → parts of batches → process i of n takes every n-th part, starting at i. The random generator of a record
depends only on the seed and the record's position. So the k-th parts of all processes, concatenated, equal the k-th batch of a
run with one process, bit for bit. An iterator's state is a count of batches, the same on every process, so a run can be resumed
with another number of processes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

import grain
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from data.augment_sound import SoundAugmentation, augment_sound
from data.encoded import KIND as ENCODED
from data.encoded import open_encoded
from data.fit import check_fit
from data.frames import decode_frames
from data.records import KIND as CLIPS
from data.records import open_clips
from data.stage_data import Examples, Record, StageData
from data.staging import Staging
from data.storage import splits_of
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS, EMOTIONS, UNITS, UNKNOWN_EMOTION
from xactor_jax.video.entries import PIXELS, BatchEntries


@dataclasses.dataclass(frozen=True)
class FramePairs:
    """Motion stage: `count` pairs of frames of one clip, target and reference.

    With `truth` the examples include the ground truth of the targets (`_truth_of`).
    """

    count: int
    truth: bool = False

    def __call__(self, clip: Record, rng: np.random.Generator) -> Examples:
        chosen = [rng.choice(len(clip["frames"]), 2, replace=len(clip["frames"]) < 2) for _ in range(self.count)]
        decoded = decode_frames(clip["frames"], np.concatenate(chosen))
        return {
            "target": decoded[::2],
            "reference": decoded[1::2],
            "component_boxes": np.stack([clip["component_boxes"][i] for i, _ in chosen]).astype(np.float32),
            **(_truth_of(clip, [i for i, _ in chosen]) if self.truth else {}),
        }


def _truth_of(clip: Record, frames: list[int]) -> Examples:
    """Controls and units of frames, concatenated, and a mask of known values: 0 where the clip has none."""
    parts = [clip[name][frames] if len(clip[name]) else None for name in ("controls", "units")]
    shapes = [(len(frames), len(names)) for names in (CONTROLS, UNITS)]
    truth = [np.zeros(shape) if part is None else part for part, shape in zip(parts, shapes, strict=True)]
    known = [np.full(shape, part is not None) for part, shape in zip(parts, shapes, strict=True)]
    return {name: np.concatenate(x, axis=1).astype(np.float32) for name, x in (("truth", truth), ("known", known))}


@dataclasses.dataclass(frozen=True)
class Frames:
    """Autoencoder stage: `count` single frames of one clip."""

    count: int

    def __call__(self, clip: Record, rng: np.random.Generator) -> Examples:
        chosen = rng.integers(len(clip["frames"]), size=self.count)
        return {"frames": decode_frames(clip["frames"], chosen)}


class OtherClips:
    """Draws a record of another clip of the same person; the clip itself where the person has only one.

    The actor's reference motion comes from it. A portrait shows who a person is and how they hold their head, but not the
    emotion to come. A frame of the same clip would reveal that emotion, and the actor would learn to take it from there
    instead of from the audio.
    """

    def __init__(self, source: Any):
        self._source, self._of = source, defaultdict(list)
        for index, person in enumerate(source.persons):
            self._of[person].append(index)

    def draw(self, record: Record, rng: np.random.Generator) -> Record:
        """A record of another clip of the person in `record`, or `record` itself."""
        others = [i for i in self._of[record["person"]] if self._source.clips[i] != record["clip"]]
        return self._source[int(rng.choice(others))] if others else record


@dataclasses.dataclass(frozen=True)
class LatentWindows:
    """Actor stage: `count` windows of motion latents and audio features. Short clips are padded and masked.

    The reference motion is that of a random frame of the clip, or of another clip of the person where `others` is given.
    `sound` augments the audio features, which must then be log-mel.
    """

    count: int
    length: int
    others: OtherClips | None = None
    emotions: int = len(EMOTIONS)  # number of emotion labels of the network
    sound: SoundAugmentation | None = None

    def __call__(self, encoded: Record, rng: np.random.Generator) -> Examples:
        check_labels(encoded, self.emotions)
        portraits = (self.others.draw(encoded, rng) if self.others else encoded)["motion_latents"]
        windows = [self._window(encoded, portraits, rng) for _ in range(self.count)]
        return {name: np.stack([window[name] for window in windows]) for name in windows[0]}

    def _window(self, encoded: Record, portraits: Float[np.ndarray, "n d"], rng: np.random.Generator) -> Examples:
        total = len(encoded["motion_latents"])
        start = int(rng.integers(max(1, total - self.length + 1)))
        real = min(self.length, total - start)
        cut = lambda x: _pad_to(np.asarray(x[start : start + real]), self.length)
        audio = encoded["audio_features"][start : start + real]
        return {
            "motion_latents": cut(encoded["motion_latents"]),
            "audio_features": _pad_to(augment_sound(audio, rng, self.sound) if self.sound else np.asarray(audio), self.length),
            "emotion": cut(encoded["emotion"]).astype(np.int32),
            "emotion_intensity": cut(encoded["emotion_intensity"]).astype(np.float32),
            "reference_motion": np.asarray(portraits[int(rng.integers(len(portraits)))]),
            "mask": (np.arange(self.length) < real).astype(np.float32),
        }


@dataclasses.dataclass(frozen=True)
class FrameWindows:
    """Video stage: `count` windows of frames with their motion latents, and a reference frame from elsewhere in the clip.

    A share `apart` of the windows has random frames of the clip instead of consecutive ones: neighbouring frames are nearly the
    same picture, so a window of them teaches less. Examples have those pictures, and precomputed values in their place, that
    `entries` names.
    """

    count: int
    length: int
    apart: float = 0.0
    entries: BatchEntries = PIXELS

    def __call__(self, record: Record, rng: np.random.Generator) -> Examples:
        windows = [self._window(record, rng) for _ in range(self.count)]
        return {name: np.stack([window[name] for window in windows]) for name in windows[0]}

    def _window(self, record: Record, rng: np.random.Generator) -> Examples:
        total = len(record["motion_latents"])
        start = int(rng.integers(max(1, total - self.length + 1)))
        together = np.minimum(np.arange(start, start + self.length), total - 1)
        apart = bool(rng.random() < self.apart)
        chosen = rng.integers(total, size=self.length) if apart else together
        reference = int(rng.integers(total))
        return {
            **self._pictures(record, chosen, reference),
            "motion_latents": record["motion_latents"][chosen],
            "reference_motion": record["motion_latents"][reference],
            "component_boxes": record["component_boxes"][chosen].astype(np.float32),
            "frames_apart": np.array(apart),
        }

    def _pictures(self, record: Record, chosen: np.ndarray, reference: int) -> Examples:
        """The entries of an example that `entries` names. Only frames that one of them needs are decoded, all at once."""
        entries = self.entries
        wanted = [*(chosen if entries.frames else []), *([reference] if entries.reference else [])]
        decoded = decode_frames(record["frames"], wanted) if wanted else []
        make = {
            "frames": lambda: np.stack(decoded[: len(chosen)]),
            "reference": lambda: decoded[-1],
            "frame_latents": lambda: record["picture_latents"][chosen],
            "reference_latent": lambda: record["picture_latents"][reference],
            "reference_embedding": lambda: record["picture_embeddings"][reference],
        }
        return {name: make[name]() for name, has in self.entries._asdict().items() if has}


def check_labels(record: Record, known: int) -> None:
    """Raises `UserError` where a clip has an emotion label that the network does not have."""
    label = int(np.max(record["emotion"], initial=UNKNOWN_EMOTION))
    if label >= known:
        raise UserError(
            f"clip {record['clip']} has the emotion {EMOTIONS[label]}, which a network of {known} emotions does not know: "
            f"give --config.network.emotions={len(EMOTIONS)}."
        )


class PairedSource:
    """Clips and their encoded records side by side, paired by position; names are checked on access."""

    def __init__(self, clips: Any, encoded: Any):
        if len(clips) != len(encoded):
            raise UserError(
                f"the encoded data set has {len(encoded)} records and its clips {len(clips)}: encode the clips again "
                "with launch/encode.py"
            )
        self._clips, self._encoded = clips, encoded

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip, encoded = self._clips[index], self._encoded[index]
        if (clip["person"], clip["clip"]) != (encoded["person"], encoded["clip"]):
            raise UserError("the encoded data set was made from other clips: encode the clips again with launch/encode.py")
        return {**clip, **encoded}


def _pad_to(x: np.ndarray, length: int) -> np.ndarray:
    return np.pad(x, [(0, length - len(x))] + [(0, 0)] * (x.ndim - 1))


def stage_source(config: ConfigDict, data: StageData, split: str) -> Any:
    """The records that a stage reads: clips, encoded clips, or both side by side."""
    d = config.data
    staging = Staging(d.stage_dir, d.stage_gib)
    read = {CLIPS: (open_clips, d.path), ENCODED: (open_encoded, d.encoded_path)}
    sources = [open_records(path, split, staging) for open_records, path in (read[kind] for kind in data.kinds(config))]
    return PairedSource(*sources) if len(sources) > 1 else sources[0]


def has_split(config: ConfigDict, data: StageData, split: str) -> bool:
    """Whether all data sets that a stage reads have this split. Raises `UserError` where the data set is missing."""
    paths = {CLIPS: config.data.path, ENCODED: config.data.encoded_path}
    return all(split in splits_of(paths[kind], kind) for kind in data.kinds(config))


def stage_iterator(
    config: ConfigDict, data: StageData, split: str, process_index: int = 0, process_count: int = 1
) -> grain.DatasetIterator | None:
    """`training_iterator` after a check that the records fit the config; None where the optional validation split is missing.

    Raises:
      UserError: as `training_iterator` and `check_fit`.
    """
    if split == "validation" and not has_split(config, data, split):
        return None
    check_fit(config, data, stage_source(config, data, split))
    return training_iterator(config, data, split, process_index, process_count)


def _merge_examples(batch: Examples) -> Examples:
    """[records, examples, ...] → [records × examples, ...]. Pictures stay bytes, which the training step converts."""
    return {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}


def training_iterator(
    config: ConfigDict, data: StageData, split: str, process_index: int = 0, process_count: int = 1
) -> grain.DatasetIterator:
    """Endless batches of `config.batch_size / process_count` examples; the iterator's state can be saved and restored.

    Raises:
      UserError: the data set is missing, or the batch size does not divide into records and processes.
    """
    per_record = config.data.examples_per_clip
    if config.batch_size % (per_record * process_count):
        raise UserError(
            f"batch_size {config.batch_size} is not a multiple of data.examples_per_clip × processes "
            f"= {per_record} × {process_count}: change one of them"
        )
    source = stage_source(config, data, split)
    make_examples = data.examples(config, source, split == "train")
    dataset = grain.MapDataset.source(source).seed(config.seed).shuffle().repeat().random_map(make_examples)
    records = config.batch_size // (per_record * process_count)
    parts = dataset.batch(records, drop_remainder=True)[process_index::process_count].map(_merge_examples)
    batch_bytes = records * _bytes_of(make_examples(source[0], np.random.default_rng(0)))
    return iter(parts.to_iter_dataset(_read_options(config.data, batch_bytes)))


def _bytes_of(examples: Examples) -> int:
    """Bytes that the examples of one record take in a batch."""
    return sum(x.nbytes for x in _merge_examples({name: x[None] for name, x in examples.items()}).values())


def _read_options(data: ConfigDict, batch_bytes: int) -> grain.ReadOptions:
    """Up to four batches for each thread are made ahead, as far as they fit into `data.prefetch_mib`.

    This bounds memory: a batch that a thread is working on is one of them. Its pictures as bytes and the record that is being
    read come on top, once for each thread.
    """
    ahead = min(4 * data.threads, max(1, int(data.prefetch_mib * 2**20 / batch_bytes)))
    return grain.ReadOptions(num_threads=data.threads, prefetch_buffer_size=ahead)
