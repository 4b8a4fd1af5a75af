"""Record folders: a TFDS data set in ArrayRecord, written without TensorFlow, moved into place when whole, with an index.

A folder holds what TFDS writes (`dataset_info.json`, `features.json`, one or more ArrayRecord files per split) and
`index.json`: an identifier of this writing, free metadata, and per split the person, clip and number of frames of every record,
sorted by (person, clip), with its position in the files, where they are in the order in which they came.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import itertools
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core.dataset_info import DatasetIdentity

from data.staging import StagedFolder, Staging
from xactor_jax.errors import UserError
from xactor_jax.paths import is_remote

INDEX = "index.json"
MARKER = "dataset_info.json"
"""Copied last, so that a remote folder that has it is whole."""

Record = Mapping[str, Any]


RECORDS_PER_FILE = 256
DEFAULT_STAGING = Staging()


def _without_empty(splits: Mapping[str, Iterable[Record]]) -> dict[str, Iterable[Record]]:
    """TFDS refuses a split without records; such splits are left out. Nothing but the first record is read here."""
    kept = {}
    for split, records in splits.items():
        iterator = iter(records)
        first = next(iterator, None)
        if first is not None:
            kept[split] = itertools.chain([first], iterator)
    return kept


def _rows(split: str, records: Iterable[Record], length_field: str, write: Callable[[Record], None]) -> dict[str, list]:
    """Writes the records as they come; what the index says of them."""
    rows: dict[tuple[str, str], tuple[int, int]] = {}
    for position, record in enumerate(records):
        key = record["person"], record["clip"]
        if key in rows:
            raise UserError(f"two clips of {split} are called {'/'.join(key)}: give every clip of a person a name of its own.")
        rows[key] = position, len(record[length_field])
        write(record)
    sorted_rows = ((*key, *rows[key]) for key in sorted(rows))
    persons, clips, positions, frames = (list(column) for column in zip(*sorted_rows, strict=True))
    return {"person": persons, "clip": clips, "position": positions, "num_frames": frames}


def _write(
    folder: epath.Path, splits: Mapping[str, Iterable[Record]], features: tfds.features.FeaturesDict, name: str, length: str
) -> dict[str, dict[str, list]]:
    """Writes record after record, holding one at a time; gives the index of each split."""
    version = tfds.core.Version("1.0.0")
    identity = DatasetIdentity(name=name, version=version, data_dir=str(folder), module_name="")
    info = tfds.core.DatasetInfo(builder=identity, features=features, description="Records of xactor_jax.")
    writer = tfds.core.SequentialWriter(info, RECORDS_PER_FILE, file_format="array_record")
    writer.initialize_splits(list(splits))
    add = lambda split: lambda record: writer.add_examples({split: [dict(record)]})
    rows = {split: _rows(split, records, length, add(split)) for split, records in splits.items()}
    writer.close_all()
    return rows


def _move(source: epath.Path, target: epath.Path) -> None:
    """Renames on a local disk; copies to a remote store, the marker last."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not is_remote(target):
        try:
            if target.exists():
                target.rmdir()
            source.rename(target)
        except (OSError, ValueError):
            require_free(target)  # another process may have been quicker
            raise
        return
    files = sorted(source.iterdir(), key=lambda file: (file.name == MARKER, file.name))
    for file in files:
        (target / file.name).write_bytes(file.read_bytes())


def is_prepared(path: epath.PathLike) -> bool:
    """Whether `path` is a whole record folder."""
    folder = epath.Path(path)
    return (folder / MARKER).exists() and (folder / INDEX).exists()


def require_free(path: epath.PathLike) -> None:
    """Raises `UserError` unless a record folder can be made at `path`: nothing there, or an empty folder."""
    target = epath.Path(path)
    if is_prepared(target):
        raise UserError(f"{target} is a data set already: remove it or name another folder.")
    occupied = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if occupied and not is_remote(target):
        raise UserError(f"{target} exists and is not an empty folder: name another folder for the data set.")


def write_records(
    path: epath.PathLike,
    splits: Mapping[str, Iterable[Record]],
    features: Mapping[str, Any],
    *,
    name: str,
    metadata: Mapping[str, Any],
    length_field: str,
) -> None:
    """Writes `splits` (lazily read, in any order) as one record folder at `path`, local or remote.

    Args:
        features: TFDS feature of every field; `person` and `clip` are text and together unique within a split.
        name: of the data set, in snake case; begins the names of its files.
        metadata: free, JSON-serialisable.
        length_field: the field whose length is the number of frames.

    Raises:
        UserError: `path` holds something already, cannot be written to, or no split has a record.
    """
    target = epath.Path(path)
    require_free(target)
    with _scratch(target) as scratch:
        kept = _without_empty(splits)
        if not kept:
            raise UserError(f"there is no clip to write to {target}: check the input folder.")
        folder = scratch / "records"
        folder.mkdir()
        rows = _write(folder, kept, tfds.features.FeaturesDict(features), name, length_field)
        (folder / INDEX).write_text(json.dumps({"id": uuid.uuid4().hex, "metadata": dict(metadata), "splits": rows}))
        _move(folder, target)


@contextlib.contextmanager
def _scratch(target: epath.Path) -> Iterator[epath.Path]:
    """A temporary folder on the same disk as a local target, else in the system's place; always removed."""
    parent = None if is_remote(target) else target.parent
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent)
    except OSError as error:
        raise UserError(f"cannot write to {parent} ({error.strerror}): choose a folder that you may write to.") from error
    try:
        yield epath.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_index(path: epath.PathLike, command: str) -> dict[str, Any]:
    """The index of a record folder; `UserError` naming `command` where there is none."""
    if not path or not is_prepared(path):
        raise UserError(f"{path or 'the empty path'} holds no prepared data: make it with `{command}`.")
    return json.loads((epath.Path(path) / INDEX).read_text())


def splits_of(path: epath.PathLike, command: str) -> list[str]:
    """Names of the splits of a record folder; `UserError` naming `command` where there is none."""
    return sorted(read_index(path, command)["splits"])


class RecordSource:
    """Random access to one split, sorted by (person, clip): `len(source)`, `source[i]` → dict. A Grain data source.

    `persons`, `clips` and `num_frames` list what the index knows of every record, without reading any.
    """

    def __init__(self, path: epath.PathLike, split: str, command: str, staging: Staging = DEFAULT_STAGING):
        """Raises `UserError` (naming `command`) if `path` is not prepared or has no such split."""
        index = read_index(path, command)
        if split not in index["splits"]:
            raise UserError(f"{path} has no split {split!r}: it has {', '.join(sorted(index['splits']))}.")
        rows = index["splits"][split]
        self._arguments = (str(path), split, command, staging)
        self._version: str = index["id"]
        self.persons: list[str] = rows["person"]
        self.clips: list[str] = rows["clip"]
        self.num_frames: list[int] = rows["num_frames"]
        self._positions: list[int] = rows["position"]

    @functools.cached_property
    def _source(self) -> Any:
        path, split, _, staging = self._arguments
        if not is_remote(path):
            return tfds.builder_from_directory(path).as_data_source(split)
        return StagedSource(StagedFolder(epath.Path(path), self._version.encode(), staging), split)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self._source[self._positions[index]]
        return {**record, "person": record["person"].decode(), "clip": record["clip"].decode()}

    def __reduce__(self) -> tuple:
        return type(self), self._arguments

    def __repr__(self) -> str:
        return f"RecordSource(path={self._arguments[0]!r}, split={self._arguments[1]!r})"


class StagedSource:
    """The records of a split of a remote folder, in the order of its files, each read when its shard is on the local disk."""

    def __init__(self, folder: StagedFolder, split: str) -> None:
        """Raises `UserError` when the split does not fit into the folder of local copies."""
        builder = tfds.builder_from_directory(folder.path)
        info = builder.info.splits[split]
        self._folder = folder
        self._shards = sorted(info.filenames)
        self._ends = list(itertools.accumulate(info.shard_lengths))
        folder.use(self._shards)
        self._source = builder.as_data_source(split)
        folder.ahead(self._shards)

    def __getitem__(self, position: int) -> dict[str, Any]:
        self._folder.need(self._shards[bisect.bisect_right(self._ends, position)])
        return self._source[position]
