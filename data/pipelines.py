"""Grain pipelines: from the records of a data set to the batches of a stage.

One shape for all stages: an ordered source of records → shuffled, repeated without end → one record becomes a few training
examples under a random generator that depends on the seed and the record's place alone → parts of batches → every n-th part
for process i of n. The k-th parts of all processes, one after the other, are the k-th batch of one process alone, to the last
bit; an iterator's state counts batches and is the same on every process. So a run may go on with another number of them.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import grain
import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from data.augment import DrivingAugmentation, augment_driving
from data.augment_sound import SoundAugmentation, augment_sound
from data.encoded import KIND as ENCODED
from data.encoded import open_encoded
from data.fit import check_fit
from data.records import KIND as CLIPS
from data.records import decode_frame, open_clips
from data.settings import REFERENCES
from data.staging import Staging
from data.storage import splits_of
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS, EMOTIONS, UNITS, UNKNOWN_EMOTION
from xactor_jax.pictures import to_float
from xactor_jax.settings import check_value, choice

Record = Mapping[str, Any]
Examples = dict[str, np.ndarray]
MakeExamples = Callable[[Record, np.random.Generator], Examples]


@dataclasses.dataclass(frozen=True)
class FramePairs:
    """Motion stage: `count` pairs of frames of one clip; the driving one also as the encoder sees it, augmented.

    With `truth` also what the driving frames were rendered from (`_truth_of`).
    """

    count: int
    augmentation: DrivingAugmentation | None
    truth: bool = False

    def __call__(self, clip: Record, rng: np.random.Generator) -> Examples:
        chosen = [rng.choice(len(clip["frames"]), 2, replace=len(clip["frames"]) < 2) for _ in range(self.count)]
        targets = [decode_frame(clip["frames"][i]) for i, _ in chosen]
        references = [decode_frame(clip["frames"][j]) for _, j in chosen]
        driving = [augment_driving(x, rng, self.augmentation) for x in targets] if self.augmentation else targets
        return {
            "driving": np.stack(driving),
            "target": np.stack(targets),
            "reference": np.stack(references),
            "component_boxes": np.stack([clip["component_boxes"][i] for i, _ in chosen]).astype(np.float32),
            **(_truth_of(clip, [i for i, _ in chosen]) if self.truth else {}),
        }


def _truth_of(clip: Record, frames: list[int]) -> Examples:
    """Controls and units of frames side by side, and which of them are known: 0 where the clip has none."""
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
        return {"frames": np.stack([decode_frame(clip["frames"][i]) for i in chosen])}


class OtherClips:
    """A clip's person at another time: a record of another clip of theirs where there is one, else the clip itself.

    A portrait shows who somebody is and how they hold their head, and not what they are about to feel. A frame of the clip
    itself gives its emotion away, so that an actor that is shown one learns to look there instead of listening.
    """

    def __init__(self, source: Any):
        self._source, self._of = source, defaultdict(list)
        for index, person in enumerate(source.persons):
            self._of[person].append(index)

    def draw(self, record: Record, rng: np.random.Generator) -> Record:
        """One of them."""
        others = [i for i in self._of[record["person"]] if self._source.clips[i] != record["clip"]]
        return self._source[int(rng.choice(others))] if others else record


@dataclasses.dataclass(frozen=True)
class LatentWindows:
    """Actor stage: `count` windows of motion latents and audio features; short clips are padded and masked.

    The reference motion is of any frame of the clip, or of another clip of the person where `others` knows them. Audio features
    that are log-mel are heard as `sound` changes them.
    """

    count: int
    length: int
    others: OtherClips | None = None
    emotions: int = len(EMOTIONS)  # that the network knows
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
        heard = encoded["audio_features"][start : start + real]
        return {
            "motion_latents": cut(encoded["motion_latents"]),
            "audio_features": _pad_to(augment_sound(heard, rng, self.sound) if self.sound else np.asarray(heard), self.length),
            "emotion": cut(encoded["emotion"]).astype(np.int32),
            "emotion_intensity": cut(encoded["emotion_intensity"]).astype(np.float32),
            "reference_motion": np.asarray(portraits[int(rng.integers(len(portraits)))]),
            "mask": (np.arange(self.length) < real).astype(np.float32),
        }


@dataclasses.dataclass(frozen=True)
class FrameWindows:
    """Video stage: `count` windows of frames with their motion latents, and a reference frame from elsewhere in the clip.

    A share `apart` of the windows holds frames from all over the clip: neighbours are nearly the same picture, and teach less.
    With `driving` the frames come also as a motion encoder sees them, each augmented by itself.
    """

    count: int
    length: int
    apart: float = 0.0
    driving: bool = False
    augmentation: DrivingAugmentation | None = None

    def __call__(self, record: Record, rng: np.random.Generator) -> Examples:
        windows = [self._window(record, rng) for _ in range(self.count)]
        return {name: np.stack([window[name] for window in windows]) for name in windows[0]}

    def _window(self, record: Record, rng: np.random.Generator) -> Examples:
        total = len(record["frames"])
        start = int(rng.integers(max(1, total - self.length + 1)))
        together = np.minimum(np.arange(start, start + self.length), total - 1)
        apart = bool(rng.random() < self.apart)
        chosen = rng.integers(total, size=self.length) if apart else together
        reference = int(rng.integers(total))
        frames = [decode_frame(record["frames"][i]) for i in chosen]
        driving = [augment_driving(x, rng, self.augmentation) for x in frames] if self.augmentation else frames
        return {
            **({"driving": np.stack(driving)} if self.driving else {}),
            "frames": np.stack(frames),
            "reference": decode_frame(record["frames"][reference]),
            "motion_latents": record["motion_latents"][chosen],
            "reference_motion": record["motion_latents"][reference],
            "component_boxes": record["component_boxes"][chosen].astype(np.float32),
            "frames_apart": np.array(apart),
        }


def check_labels(record: Record, known: int) -> None:
    """Raises `UserError` where a clip has an emotion that the network has no place for."""
    label = int(np.max(record["emotion"], initial=UNKNOWN_EMOTION))
    if label >= known:
        raise UserError(
            f"clip {record['clip']} has the emotion {EMOTIONS[label]}, which a network of {known} emotions does not know: "
            f"give --config.network.emotions={len(EMOTIONS)}."
        )


class PairedSource:
    """Clips and their encoded records side by side, matched by place and checked by name."""

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


def _stage_source(config: ConfigDict, split: str) -> tuple[Any, MakeExamples]:
    """The records that a stage reads, and what it makes of one."""
    d = config.data
    staging = Staging(d.get("stage_dir", ""), d.get("stage_gib", Staging.gib))
    clips, latents = partial(open_clips, d.path, split, staging), partial(open_encoded, d.encoded_path, split, staging)
    if config.stage == "motion":
        augmentation = DrivingAugmentation(**d.augmentation) if split == "train" else None
        return clips(), FramePairs(d.examples_per_clip, augmentation, config.loss.get("truth", 0.0) > 0)
    if config.stage == "autoencoder":
        return clips(), Frames(d.examples_per_clip)
    if config.stage == "actor":
        source = latents()
        check_value("data.reference", d.reference, choice(REFERENCES))
        others = OtherClips(source) if d.reference == "other_clip" else None
        sound = _sound_augmentation(config) if split == "train" else None
        return source, LatentWindows(d.examples_per_clip, d.window, others, config.network.emotions, sound)
    if config.stage == "video":
        paired = PairedSource(clips(), latents())
        apart = {"spatial": 1.0, "temporal": 0.0}.get(config.get("phase"), d.apart)
        train, driving = split == "train", bool(config.get("train_motion"))
        augmentation = DrivingAugmentation(**d.augmentation) if train and driving else None
        return paired, FrameWindows(d.examples_per_clip, d.window, apart if train else 0.0, driving, augmentation)
    raise UserError(f"there is no stage {config.stage!r}: choose motion, actor, autoencoder or video")


def _sound_augmentation(config: ConfigDict) -> SoundAugmentation | None:
    """Raises `UserError` where the features are none that it knows how to change."""
    settings = SoundAugmentation(**config.data.get("sound_augmentation", {}))
    if settings.probability and config.data.audio.kind != "log_mel":
        raise UserError("data.sound_augmentation is of log_mel features: give --config.data.sound_augmentation.probability=0.")
    return settings if settings.probability else None


def has_split(config: ConfigDict, split: str) -> bool:
    """Whether all that a stage reads has records of a split. Raises `UserError` where the data set is missing."""
    clips, latents = (config.data.path, CLIPS), (config.data.encoded_path, ENCODED)
    needed = {"actor": [latents], "video": [clips, latents]}.get(config.stage, [clips])
    return all(split in splits_of(path, kind) for path, kind in needed)


def stage_iterator(
    config: ConfigDict, split: str, process_index: int = 0, process_count: int = 1
) -> grain.DatasetIterator | None:
    """`training_iterator` of records that fit the config; None where there is no validation split, which may be lacking.

    Raises:
      UserError: as `training_iterator` and `check_fit`.
    """
    if split == "validation" and not has_split(config, split):
        return None
    check_fit(config, _stage_source(config, split)[0])
    return training_iterator(config, split, process_index, process_count)


def _merge_examples(batch: Examples) -> Examples:
    """[records, examples, ...] → [records × examples, ...]; pictures, bytes until here, become floats."""
    merged = {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}
    return {name: to_float(x) if x.dtype == np.uint8 else x for name, x in merged.items()}


def training_iterator(config: ConfigDict, split: str, process_index: int = 0, process_count: int = 1) -> grain.DatasetIterator:
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
    source, make_examples = _stage_source(config, split)
    dataset = grain.MapDataset.source(source).seed(config.seed).shuffle().repeat().random_map(make_examples)
    parts = dataset.batch(config.batch_size // (per_record * process_count), drop_remainder=True)
    return iter(parts[process_index::process_count].map(_merge_examples).to_iter_dataset(_read_options(config.data.threads)))


def _read_options(threads: int) -> grain.ReadOptions:
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 * threads)
