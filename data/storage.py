"""Record folders: TFDS data sets in ArrayRecord with an index, written without TensorFlow and moved into place when complete.

A folder holds what TFDS writes (`dataset_info.json`, `features.json`, one or more ArrayRecord files per split) and
`index.json`. The index has an identifier of this version of the folder, free metadata, and for each split the person, clip and
number of frames of every record, sorted by (person, clip), with the record's position in the files. Records lie in the files in
the order in which they were written. Values of every frame that are large lie in pieces beside them (pieces.py).

ArrayRecord files contain hashes of their content. The index has hashes of the small files and of itself. Folders from before
these hashes were introduced are read without them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core.dataset_info import DatasetIdentity

from data.pieced import in_pieces
from data.pieces import PieceWriter, Place, features_in_pieces, field_of, file_beside
from data.split_files import SplitFiles
from data.staging import StagedFolder, Staging, is_data
from xactor_jax.errors import UserError, first_line
from xactor_jax.paths import is_remote, readable
from xactor_jax.scratch import scratch

INDEX = "index.json"
MARKER = "dataset_info.json"
"""Copied last, so that a remote folder that has it is complete."""
FEATURES = "features.json"
HASHES = "hashes"
"""Entry of the index: file → SHA-256. The key "" stands for the index itself without this entry."""

Record = Mapping[str, Any]


class Kind(NamedTuple):
    """A kind of records: its name in messages, a field that no other kind has, and the command that makes it."""

    what: str
    field: str
    command: str


RECORDS_PER_FILE = 256
DEFAULT_STAGING = Staging()


def _without_empty(splits: Mapping[str, Iterable[Record]]) -> dict[str, Iterable[Record]]:
    """The splits that have records, since TFDS refuses an empty one. Only the first record of each split is read here."""
    kept = {}
    for split, records in splits.items():
        iterator = iter(records)
        first = next(iterator, None)
        if first is not None:
            kept[split] = itertools.chain([first], iterator)
    return kept


def _rows(split: str, records: Iterable[Record], length_field: str, write: Callable[[Record], None]) -> dict[str, list]:
    """Writes the records as they come, and returns the index of the split."""
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
    folder: epath.Path,
    splits: Mapping[str, Iterable[Record]],
    features: Mapping[str, Any],
    name: str,
    length: str,
    pieces: Collection[str],
) -> dict[str, dict[str, list]]:
    """Writes the records one at a time, so that only one is in memory; returns the index of each split."""
    stored = tfds.features.FeaturesDict(features_in_pieces(features, pieces))
    version = tfds.core.Version("1.0.0")
    identity = DatasetIdentity(name=name, version=version, data_dir=str(folder), module_name="")
    info = tfds.core.DatasetInfo(builder=identity, features=stored, description="Records of xactor_jax.")
    writer = tfds.core.SequentialWriter(info, RECORDS_PER_FILE, file_format="array_record")
    writer.initialize_splits(list(splits))
    rows = {}
    for split, records in splits.items():
        beside = PieceWriter(folder / f"{name}-{split}", pieces, RECORDS_PER_FILE)
        add = lambda record, split=split, beside=beside: writer.add_examples({split: [beside.write(record)]})
        rows[split] = _rows(split, records, length, add)
        beside.close()
    writer.close_all()
    return rows


def _move(source: epath.Path, target: epath.Path) -> None:
    """Renames a folder on a local disk; copies it to a remote store, the marker last."""
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
        with file.open("rb") as content, (target / file.name).open("wb") as copy:
            shutil.copyfileobj(content, copy, 1 << 23)


def is_prepared(path: epath.PathLike) -> bool:
    """Whether `path` is a complete record folder."""
    folder = epath.Path(path)
    return (folder / MARKER).exists() and (folder / INDEX).exists()


def require_free(path: epath.PathLike) -> None:
    """Raises `UserError` unless a record folder can be made at `path`: nothing there, or an empty folder."""
    target = epath.Path(path)
    if readable(target) != str(target):
        raise UserError(f"the name {readable(target)} is no UTF-8, which the writers of records need: choose another.")
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
    pieces: Collection[str] = (),
) -> None:
    """Writes `splits` as one record folder at `path`, local or remote. Records are read lazily, in any order.

    Args:
        features: TFDS feature of every field; `person` and `clip` are text, and the pair is unique within a split.
        name: of the data set, in snake case; file names begin with it.
        metadata: free, JSON-serialisable.
        length_field: the field whose length is the number of frames.
        pieces: fields that are written in pieces: arrays of uint16, frames first, or lists of bytes.

    Raises:
        UserError: `path` is not empty, cannot be written to, or no split has a record.
    """
    target = epath.Path(path)
    require_free(target)
    with scratch(target) as place:
        kept = _without_empty(splits)
        if not kept:
            raise UserError(f"there is no clip to write to {target}: check the input folder.")
        folder = place / "records"
        folder.mkdir()
        rows = _write(folder, kept, features, name, length_field, pieces)
        _write_index(folder, metadata, rows)
        _move(folder, target)


def join_records(
    path: epath.PathLike, parts: Mapping[str, Sequence[epath.Path]], kind: Kind, metadata: Mapping[str, Any]
) -> None:
    """Makes one record folder at `path` of many, which are on the same file system and stay as they are.

    Args:
        parts: split → record folders of only that split. Their records follow each other in the order of (person, clip).

    Raises:
        UserError: `path` is not empty or cannot be written to, or a part is damaged.
    """
    target, first = epath.Path(path), next(iter(parts.values()))[0]
    require_free(target)
    with scratch(target) as place:
        (folder := place / "records").mkdir()
        into = target if is_remote(target) else folder  # a store copies by itself; nothing counts before the marker is there
        joined = {split: _join_split(split, folders, kind, into) for split, folders in parts.items()}
        (folder / FEATURES).write_bytes((first / FEATURES).read_bytes())
        infos = {**json.loads((first / MARKER).read_text()), "splits": [info for info, _ in joined.values()]}
        (folder / MARKER).write_text(json.dumps(infos, indent=2, sort_keys=True))
        _write_index(folder, metadata, {split: rows for split, (_, rows) in joined.items()})
        _move(folder, target)


def _join_split(split: str, folders: Sequence[epath.Path], kind: Kind, into: epath.Path) -> tuple[dict, dict[str, list]]:
    """Brings the files of a split into one folder. Returns (what TFDS writes about the split, index of the split)."""
    rows: dict[str, list] = {"person": [], "clip": [], "position": [], "num_frames": []}
    lengths, count, info = [], 0, {}
    for folder in folders:
        (info,) = json.loads((folder / MARKER).read_text())["splits"]
        files = [file for file in folder.iterdir() if is_data(file.name)]
        for number, length in enumerate(info["shardLengths"]):
            for file in (file for file in files if file.name.endswith(f"-{number:05d}")):  # of records, and with their pieces
                _link(file, into / f"{file.name.rpartition('-')[0]}-{len(lengths):05d}")
            lengths.append(length)
        part = read_index(folder, kind)["splits"][split]
        part["position"] = [len(rows["person"]) + position for position in part["position"]]
        rows = {name: [*column, *part[name]] for name, column in rows.items()}
        count += int(info["numBytes"])
    return {**info, "shardLengths": lengths, "numBytes": str(count)}, rows


def _link(file: epath.Path, target: epath.Path) -> None:
    """Gives a file a second name, or copies it where there are no links."""
    if not is_remote(target):
        with contextlib.suppress(OSError):
            os.link(file, target)
            return
    file.copy(target, overwrite=True)


def _write_index(folder: epath.Path, metadata: Mapping[str, Any], splits: Mapping[str, dict[str, list]]) -> None:
    """Writes the index of a folder whose other small files are there."""
    index = {"id": uuid.uuid4().hex, "metadata": dict(metadata), "splits": dict(splits)}
    (folder / INDEX).write_text(json.dumps({**index, HASHES: _hashes(folder, index)}))


def _hashes(folder: epath.Path, index: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the small files of a folder, and of its index."""
    files = {name: (folder / name).read_bytes() for name in (MARKER, FEATURES)}
    files[""] = json.dumps(index, sort_keys=True).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def damaged(path: epath.PathLike, what: str) -> UserError:
    """The error for a damaged record folder. `what` says which file or clip is damaged, and why."""
    return UserError(f"{path} is damaged ({what}): prepare it again.")


def _json(path: epath.PathLike, name: str) -> Any:
    """Content of a JSON file of a record folder."""
    try:
        return json.loads((epath.Path(path) / name).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, f"{name}: {first_line(error)}") from None


def read_index(path: epath.PathLike, kind: Kind) -> dict[str, Any]:
    """Reads the index of a record folder.

    Raises:
        UserError: there is none, it or another small file is damaged, or the records are of another kind.
    """
    if not path or not is_prepared(path):
        raise UserError(f"{path or 'the empty path'} holds no prepared data: make it with `{kind.command}`.")
    index, features = _json(path, INDEX), _json(path, FEATURES)
    try:
        _check_index(path, index)
        fields = features["featuresDict"]["features"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"{INDEX} or {FEATURES}: {first_line(error)}") from None
    if kind.field not in map(field_of, fields):
        raise UserError(f"{path} holds other records than {kind.what}: name a folder made with `{kind.command}`.")
    return index


def _check_index(path: epath.PathLike, index: dict[str, Any]) -> None:
    """Raises `UserError` where a small file does not have the hash that the index has for it, or the index is inconsistent."""
    wanted = index.pop(HASHES, {})
    found = _hashes(epath.Path(path), index) if wanted else {}
    if odd := sorted(name for name in wanted.keys() | found.keys() if found.get(name) != wanted.get(name)):
        raise damaged(path, f"{odd[0] or INDEX} is not as it was written")
    for split, rows in index["splits"].items():
        if len({len(rows[column]) for column in ("person", "clip", "position", "num_frames")}) != 1:
            raise damaged(path, f"{INDEX} lacks something of {split}")


def splits_of(path: epath.PathLike, kind: Kind) -> list[str]:
    """Names of the splits of a record folder. Raises `UserError` as `read_index` does."""
    return sorted(read_index(path, kind)["splits"])


class RecordSource:
    """Random access to one split, sorted by (person, clip): `len(source)`, `source[i]` → dict. A Grain data source.

    `persons`, `clips` and `num_frames` come from the index, so no record is read for them.
    """

    def __init__(self, path: epath.PathLike, split: str, kind: Kind, staging: Staging = DEFAULT_STAGING):
        """Raises `UserError` if `path` is not prepared, is damaged, holds another kind of records or has no such split."""
        index = read_index(path, kind)
        if split not in index["splits"]:
            raise UserError(f"{path} has no split {split!r}: it has {', '.join(sorted(index['splits']))}.")
        rows = index["splits"][split]
        self._arguments = (str(path), split, kind, staging)
        self._version: str = index["id"]
        self.persons: list[str] = rows["person"]
        self.clips: list[str] = rows["clip"]
        self.num_frames: list[int] = rows["num_frames"]
        self._positions: list[int] = rows["position"]

    @functools.cached_property
    def _source(self) -> SplitFiles:
        path, split, _, staging = self._arguments
        folder = StagedFolder(epath.Path(path), self._version.encode(), staging) if is_remote(path) else None
        try:
            return SplitFiles(epath.Path(path), split, folder)
        except UserError:
            raise
        except Exception as error:  # readers of damaged files can raise anything
            raise damaged(path, first_line(error)) from None

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = in_pieces(self._read(index), functools.partial(self._read_pieces, index))
        return {**record, "person": record["person"].decode(), "clip": record["clip"].decode()}

    def _read(self, index: int) -> dict[str, Any]:
        """A record as stored. Raises `UserError` where it cannot be read, or is not the one that the index names."""
        with self._reading(index):
            record = self._source[self._positions[index]]
            if f"{record['person'].decode()}/{record['clip'].decode()}" != self._name(index):
                raise ValueError("another clip is in its place")
            return record

    def _read_pieces(self, index: int, field: str, place: Place, which: Sequence[int]) -> list[bytes]:
        """Pieces of a field of a record. Raises `UserError` where they cannot be read, or are not those of the record."""
        with self._reading(index, field):
            return self._source.read_pieces(self._positions[index], field, place, which)

    def _name(self, index: int) -> str:
        return f"{self.persons[index]}/{self.clips[index]}"

    @contextlib.contextmanager
    def _reading(self, index: int, field: str = "") -> Iterator[None]:
        """Names the file and the clip in errors. Readers of damaged files can raise anything."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            file = self._source.file_of(self._positions[index])
            where = f"{file_beside(file, field) if field else file}, clip {self._name(index)}: {first_line(error)}"
            raise damaged(self._arguments[0], where) from None

    def __reduce__(self) -> tuple:
        """Pickled by its arguments: an open file cannot be sent to another process."""
        return type(self), self._arguments

    def __repr__(self) -> str:
        return f"RecordSource(path={self._arguments[0]!r}, split={self._arguments[1]!r})"
