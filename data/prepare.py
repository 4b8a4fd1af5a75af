"""Turns a folder of videos into a data set of clip records, with a manifest of all files.

Every file is processed in its own process, on this machine (`data/jobs.py`) or on the workers of a cluster (`data/cluster.py`).
Its clips are staged (`data/prepare_staging.py`) under a key made of the file's path, size, modification time and the settings.
So a stopped run can continue with the files that are not staged. When all files are done, the staged clips become one data set,
and the manifest has a row with the outcome for every file.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import logging
import pathlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from etils import epath

from data import cluster, jobs, prepare_video, records, storage
from data.annotations import Annotations, Rules, Warn, annotate
from data.frames import DEFAULT, check_format
from data.layouts import layout_of
from data.prepare_staging import Staging, staging_folder
from data.prepare_video import VideoJob, VideoSettings
from data.sources import Source, find_sounds, list_files
from xactor_jax.emotion import parse_emotion
from xactor_jax.errors import UserError, first_line, is_full
from xactor_jax.faces import choice
from xactor_jax.paths import absolute
from xactor_jax.settings import check_value, real, whole
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import write_whole

NO_PERSON = "no person"
MANIFEST = "manifest.csv"
COLUMNS = (
    *("file", "status", "reason", "detail", "person", "emotion", "split", "records", "frames", "seconds"),
    *("fps_in", "seconds_in", "width_in", "height_in", "start", "face_pixels", "crop", "sound"),
)
SPLITS = ("train", "validation", "test")

Row = dict[str, Any]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Settings of one run of prepare.py."""

    videos: tuple[str, ...]
    out: str
    video: VideoSettings = dataclasses.field(default_factory=VideoSettings)
    layout: str = ""  # of a published data set: one of `layouts.LAYOUTS`
    persons: str = ""  # a csv file, "folder", "name", "name:REGEX" or "path:REGEX"; empty: as `layout` says, else "name"
    emotions: str = ""  # a csv file or "path:REGEX"; empty: as `layout` says, else unknown
    validation: float = 0.1  # share of the persons
    test: float = 0.1
    processes: int = 1
    timeout: float = 1800.0  # seconds for one file
    cluster: str = ""  # address or scheduler file of a Dask scheduler, whose workers take the place of `processes`

    @property
    def rules(self) -> Rules:
        """The options that give persons and emotions."""
        return Rules(videos=self.videos, layout=self.layout, persons=self.persons, emotions=self.emotions)

    def validate(self) -> None:
        """Raises `UserError` for impossible values."""
        video = self.video
        if video.size < 16 or video.size % 2:
            raise UserError(f"--size {video.size} is not possible: give an even number from 16 on.")
        check_value("--max_seconds", video.max_seconds, real(0.0, 86_400.0, above=True))
        check_value("--min_seconds", video.min_seconds, real(0.0, video.max_seconds, above=True))
        check_value("--detections", video.detections, real(0.0, 1_000.0, above=True))
        for name in ("validation", "test"):
            check_value(f"--{name}", getattr(self, name), real(0.0, 1.0, below=True))
        if self.validation + self.test >= 1:
            raise UserError("--validation and --test are shares of the persons and must leave some to train on.")
        check_value("--processes", self.processes, whole(0, 1_000))
        check_value("--timeout", self.timeout, real(0.0, 1e7, above=True))
        check_format(video.frames)
        choice.make_detector(video.detector)
        if self.layout:
            layout_of(self.layout)
        if self.cluster:
            cluster.require_dask()


def assign_splits(persons: Sequence[str], validation: float, test: float) -> dict[str, str]:
    """Split of every person, drawn by the hash of the name, so that it hardly changes when persons are added.

    Each split with a share above 0 gets at least one person. With fewer than three persons, all are in the training split.
    """
    order = sorted(set(persons), key=lambda person: hashlib.sha256(person.encode()).hexdigest())
    counts = {"test": test, "validation": validation}
    parts: dict[str, str] = {}
    for split, share in counts.items():
        number = max(1, round(share * len(order))) if share > 0 and len(order) >= 3 else 0
        taken = [person for person in order if person not in parts][:number]
        parts |= dict.fromkeys(taken, split)
    return {person: parts.get(person, "train") for person in order}


def source_key(source: Source, settings: VideoSettings, sound: Source | None = None) -> str:
    """A key that changes with the file, its sound file, the settings, and the files that the settings name."""
    _, _, file = settings.detector.partition(":")
    stamp = str(epath.Path(file).stat().mtime) if file else ""
    sound_key = [sound.relative, sound.stamp] if sound else []
    values = dataclasses.asdict(settings)
    if settings.frames == DEFAULT:
        values.pop("frames")  # so that keys are those of versions without this setting
    text = json.dumps([source.relative, source.stamp, values, stamp, *sound_key])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


Report = Callable[[int, int, Row], None]
"""Called after each file with (number of finished files, number of all files, the file's row)."""


def process_files(todo: Mapping[str, VideoJob], staging: Staging, settings: PrepareSettings, report: Report) -> dict[str, Row]:
    """Rows of all jobs by key. Jobs that are staged already are not run again."""
    rows = staging.rows(todo)
    for done, row in enumerate(rows.values(), start=1):
        report(done, len(todo), row)
    keys = {job: key for key, job in todo.items()}
    with staging.kept_if_used(), _engine(left := [job for job in keys if keys[job] not in rows], staging, settings) as run:
        for outcome in run(prepare_video.prepare_video, left):
            key = keys[outcome.job]
            if is_full(OSError(outcome.failure)):
                unwritten = f"the clips of {outcome.job.relative} cannot be written to {staging.folder} ({outcome.failure})"
                raise UserError(f"{unwritten}: make room and start the same command again.")
            rows[key] = outcome.result or {"status": "rejected", "reason": prepare_video.UNREADABLE, "detail": outcome.failure}
            if not outcome.failure:  # not staged, so that the next run tries a crash or a time-out again
                staging.put(key, rows[key])
            report(len(rows), len(todo), rows[key])
    return rows


def _engine(left: Sequence[VideoJob], staging: Staging, settings: PrepareSettings) -> AbstractContextManager[jobs.Run]:
    """Where the jobs run: on this machine, or on workers that see the staging folder and a file of every folder of videos."""
    if not settings.cluster or not left:
        return jobs.here(settings.processes, settings.timeout)
    roots = [f"{absolute(videos)}/" for videos in settings.videos]
    first = [next((job.path for job in left if job.path.startswith(root)), "") for root in roots]
    files = filter(None, [*first, left[0].settings.detector.partition(":")[2]])
    return cluster.connected(settings.cluster, settings.timeout, list(files), staging.folder)


def clip_names(files: Sequence[str]) -> dict[str, str]:
    """A unique name per file, without folders: path and stem; where two are equal also the suffix, and last a number."""
    stems = {file: str(pathlib.PurePosixPath(file).with_suffix("")).replace("/", "__") for file in files}
    names = {file: stem if number == 1 else file.replace("/", "__") for (file, stem), number in _counted(stems)}
    seen: Counter[str] = Counter()
    for (file, name), number in _counted(names):
        seen[name] += 1
        names[file] = name if number == 1 else f"{name}__{seen[name]}"
    return names


def _counted(names: Mapping[str, str]) -> list[tuple[tuple[str, str], int]]:
    """((file, name), number of files with that name)"""
    counts = Counter(names.values())
    return [((file, name), counts[name]) for file, name in names.items()]


def _clips(rows: Sequence[Row], staging: Staging, split: str) -> Iterator[Any]:
    names = clip_names([row["file"] for row in rows])
    for row in sorted((r for r in rows if r["split"] == split), key=lambda r: (r["person"], names[r["file"]])):
        first = 0
        for i, fields in enumerate(staging.records(row["key"], row["records"])):
            labels = _emotion_labels(row, first, len(fields["frames"]))
            first += len(fields["frames"])
            yield records.Clip(person=row["person"], clip=f"{names[row['file']]}_{i:04d}", **fields, **labels)


def _emotion_labels(row: Row, first: int, count: int) -> dict[str, np.ndarray]:
    """Emotion labels of `count` frames, of which the first is `first` frames after the row's start in its video."""
    label, intensity = parse_emotion(row["emotion"]).frames(round(row["start"] * FRAME_RATE) + first, count)
    return {"emotion": label, "emotion_intensity": intensity}


FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""First characters that make a spreadsheet run a cell as a formula. An apostrophe before them marks the cell as text."""


def _guarded(cell: Any) -> Any:
    """The cell, marked as text where a spreadsheet would run it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _unguarded(cell: str) -> str:
    """The inverse of `_guarded`."""
    return cell[1:] if isinstance(cell, str) and cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def write_manifest(path: epath.Path, rows: Sequence[Row]) -> None:
    """Writes one row per file, sorted by file, with the columns `COLUMNS`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    in_order = sorted(rows, key=lambda row: row["file"])
    writer.writerows({name: _guarded(cell) for name, cell in row.items()} for row in in_order)
    write_whole(path, text.getvalue())


def _row_unopened(source: Source, annotations: Annotations, rules: Rules, sounds: Collection[str]) -> Row | None:
    """Row of a file that is decided without opening it; None for files that must be processed."""
    if source.path in sounds:
        return {"file": source.relative, "status": "used", "detail": "the sound of a video"}
    if source.problem:
        return _rejected(source, prepare_video.UNREADABLE, source.problem)
    if not source.is_video:
        return _rejected(source, prepare_video.NOT_A_VIDEO, "its suffix is none of a video")
    if annotations.person[source.relative] is None:
        return _rejected(source, NO_PERSON, f"{rules.option} does not name it")
    return None


def _rejected(source: Source, reason: str, detail: str) -> Row:
    return {"file": source.relative, "status": "rejected", "reason": reason, "detail": detail}


def fingerprint(sources: Sequence[Source], settings: PrepareSettings, annotations: Annotations) -> str:
    """A hash that changes with anything that the data set depends on."""
    keys = [source_key(source, settings.video) for source in sources]
    labels = [(annotations.person[s.relative], annotations.emotion[s.relative]) for s in sources]
    text = json.dumps([keys, labels, settings.validation, settings.test, *filter(None, [settings.layout])])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def already_prepared(settings: PrepareSettings, mark: str) -> bool:
    """Whether exactly this data set is there already.

    Raises:
        UserError: something else is there.
    """
    out = epath.Path(settings.out)
    if storage.is_prepared(out):
        if records.clips_metadata(out).get("fingerprint") == mark:
            return True
        raise UserError(f"{out} holds a data set of other files or settings: remove it or choose another --out.")
    storage.require_free(out)
    return False


def read_manifest(out: epath.PathLike) -> list[Row]:
    """The rows of a prepared data set's manifest. All values are text."""
    try:
        rows = list(csv.DictReader(io.StringIO((epath.Path(out) / MANIFEST).read_text())))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise storage.damaged(out, f"{MANIFEST}: {first_line(error)}") from None
    return [{name: _unguarded(cell) for name, cell in row.items()} for row in rows]


def prepare(
    settings: PrepareSettings, report: Report = lambda done, total, row: None, warn: Warn = log.warning
) -> tuple[list[Row], bool]:
    """Prepares the data set and returns (rows of the manifest, whether any work was needed).

    Raises:
        UserError: see `PrepareSettings.validate`, `list_files`, `data.naming`; no file could be used.
    """
    settings.validate()
    sources = list_files(settings.videos, settings.out)
    annotations = annotate(sources, settings.rules, warn)
    mark = fingerprint(sources, settings, annotations)
    if already_prepared(settings, mark):
        _deliver_manifest(staging_folder(settings.out, bool(settings.cluster)), settings)
        return read_manifest(settings.out), False
    rows = _rows(sources, annotations, settings, report)
    _finish(rows, settings, mark)
    return rows, True


def _rows(sources: Sequence[Source], annotations: Annotations, settings: PrepareSettings, report: Report) -> list[Row]:
    """Processes all files, stages their clips, and returns a row for every file."""
    staging = Staging(settings.out, bool(settings.cluster))
    sounds = find_sounds(sources, settings.video.sidecar_audio, settings.layout)
    used = {sound.path for sound in sounds.values()}
    early = {s.relative: row for s in sources if (row := _row_unopened(s, annotations, settings.rules, used))}
    todo, video = {}, _found_anywhere(settings.video)
    for source in (s for s in sources if s.relative not in early):
        sound = sounds.get(source.path)
        key = source_key(source, settings.video, sound)
        place = {"path": source.path, "relative": source.relative, "staged": staging.prefix(key)}
        todo[key] = VideoJob(**place, settings=video, sound=sound.path if sound else "")
    done = process_files(todo, staging, settings, report)
    worked = [{**row, "key": key, "file": todo[key].relative} for key, row in done.items()]
    kept = [annotations.person[row["file"]] for row in worked if row["status"] == "kept"]
    splits = assign_splits(kept, settings.validation, settings.test)
    return [*early.values(), *(_complete(row, annotations, splits) for row in worked)]


def _found_anywhere(video: VideoSettings) -> VideoSettings:
    """The settings with the detector's file as an absolute path, because workers run in other folders."""
    kind, colon, file = video.detector.partition(":")
    return dataclasses.replace(video, detector=f"{kind}:{absolute(file)}") if colon else video


def _complete(row: Row, annotations: Annotations, splits: Mapping[str, str]) -> Row:
    row = {**row, "person": (person := annotations.person[row["file"]]), "emotion": annotations.emotion[row["file"]]}
    if row["status"] != "kept":
        return row
    return {**row, "split": splits[person], "seconds": row["frames"] / FRAME_RATE}


def _finish(rows: Sequence[Row], settings: PrepareSettings, mark: str) -> None:
    """Makes the data set of the staged clips. The manifest is staged first, so that a stopped run can be completed."""
    staging = Staging(settings.out, bool(settings.cluster))
    kept = [row for row in rows if row["status"] == "kept"]
    if not kept:
        staging.remove()
        reasons = Counter(row["reason"] for row in rows if row["status"] == "rejected")
        counts = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        raise UserError(f"none of {len(rows)} files can be used ({counts}): see the options of prepare.py.")
    write_manifest(staging.folder / MANIFEST, rows)
    splits = {split: _clips(kept, staging, split) for split in SPLITS}
    metadata = {"fingerprint": mark, "size": settings.video.size, "settings": dataclasses.asdict(settings.video)}
    records.write_clips(settings.out, splits, name="clips", metadata=metadata)
    _deliver_manifest(staging.folder, settings)


def _deliver_manifest(folder: epath.Path, settings: PrepareSettings) -> None:
    """Last step: moves the manifest into the data set's folder and removes the staging folder."""
    if (folder / MANIFEST).exists():
        write_whole(epath.Path(settings.out) / MANIFEST, (folder / MANIFEST).read_text())
    folder.rmtree(missing_ok=True)
