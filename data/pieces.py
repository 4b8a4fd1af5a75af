"""Values of every frame in pieces of a few frames, so that a window of a clip is read without the rest of the clip.

A field is an array of numbers of two bytes, frames first, or has bytes for every frame, such as pictures. A clip's record has
only the place of the field: the numbers of a `Place`, under the field's name with one of the suffixes. The pieces lie in a file
of their own beside the file of the record (`file_beside`). It is an ArrayRecord file whose records are the bytes of consecutive
frames, followed by the mark of the clip. Positions count from the start of that file, so files keep their content when data
sets are joined. What a reader of records gets is in pieced.py.

A piece has as many frames as fit into `PIECE_BYTES`, and at least one. Larger pieces make random frames slow, because frames
that nobody asked for are read too; smaller ones make the index of the file large, which its reader keeps in memory. The files
are not compressed: latents shrink by a fifth, and reading them then takes twice the time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath
from jaxtyping import Int, UInt16

from data.staging import StagedFolder

ARRAY, ENTRIES = SUFFIXES = "_pieces", "_entries"
"""Ends of the names of places: of arrays, and of bytes for every frame."""
PIECE_BYTES = 2**16
OPEN_FILES = 64
"""Files of a field that are open at a time: each takes a file handle, and memory for its index."""
MARK_BYTES = 8
WRITING = "group_size:1,uncompressed"
READING = "readahead_buffer_size:0,max_parallelism:0"
"""For random access, as the documentation of ArrayRecord says."""


Values = UInt16[np.ndarray, "frames *shape"] | Sequence[bytes]


class Place(NamedTuple):
    """Where the pieces of a field of a clip are, and what they hold."""

    mark: int
    """Hash of the values. It is repeated in every piece, so that a file of another writing is not taken for the right one."""
    first: int
    """Position of the first piece in its file."""
    size: int
    """Frames in a piece; the last has what is left."""
    extent: tuple[int, ...]
    """Shape of an array, frames first; or how many bytes each frame has."""

    @classmethod
    def from_numbers(cls, numbers: Int[np.ndarray, "n"]) -> Place:
        """From what the record has."""
        mark, first, size, *extent = numbers.tolist()
        return cls(mark, first, size, tuple(extent))

    def numbers(self) -> Int[np.ndarray, "n"]:
        """What the record has."""
        return np.array([self.mark, self.first, self.size, *self.extent], np.int64)


def file_beside(name: str, field: str) -> str:
    """Name of the file with the pieces of a field, for the name of a file of records: a-train.array_record-00003 →
    a-train.FIELD-00003.
    """
    stem, number = name.rsplit(".array_record-", 1)
    return f"{stem}.{field}-{number}"


def features_in_pieces(features: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """TFDS features of records whose `fields` are in pieces."""
    place = tfds.features.Tensor(shape=(None,), dtype=np.int64, encoding=tfds.features.Encoding.BYTES)
    kept = {name: feature for name, feature in features.items() if name not in fields}
    suffix = lambda feature: ARRAY if isinstance(feature, tfds.features.Tensor) else ENTRIES
    return kept | {f"{name}{suffix(features[name])}": place for name in fields}


def field_of(name: str) -> str:
    """The field whose place is stored under a name; of other names, the name."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def _cut(values: Values) -> tuple[int, list[bytes]]:
    """Frames in a piece, and the bytes of the pieces."""
    array = isinstance(values, np.ndarray)
    total = values.nbytes if array else sum(map(len, values))
    size = max(1, PIECE_BYTES * len(values) // max(1, total))
    pieces = [values[i : i + size] for i in range(0, len(values), size)]
    return size, [piece.tobytes() if array else b"".join(piece) for piece in pieces]


def _mark_of(contents: Sequence[bytes]) -> bytes:
    """Hash of the pieces of a clip."""
    total = hashlib.sha256()
    for content in contents:
        total.update(content)
    return total.digest()[:MARK_BYTES]


class PieceWriter:
    """Writes the pieces of the records of one split in their order. Only what is being written is in memory."""

    def __init__(self, stem: epath.Path, fields: Collection[str], records_per_file: int):
        """`stem` is the path of the files of records up to their suffix: FOLDER/NAME-SPLIT."""
        self._stem, self._fields, self._per_file = stem, fields, records_per_file
        self._files: dict[str, Any] = {}
        self._next = dict.fromkeys(fields, 0)
        self._records = 0

    def write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the pieces of a record; returns the record with their places in place of the values."""
        if self._records % self._per_file == 0:
            self._open(self._records // self._per_file)
        self._records += 1
        places = [self._write(name, record[name]) for name in self._fields]
        return {name: value for name, value in record.items() if name not in self._fields} | dict(places)

    def _open(self, number: int) -> None:
        self.close()
        for field in self._fields:
            path = self._stem.parent / file_beside(f"{self._stem.name}.array_record-{number:05d}", field)
            self._files[field], self._next[field] = array_record_module.ArrayRecordWriter(str(path), WRITING), 0

    def _write(self, field: str, values: Values) -> tuple[str, Int[np.ndarray, "n"]]:
        """Writes the values of a clip; returns what the record has of them, with its name."""
        array = isinstance(values, np.ndarray)
        size, contents = _cut(values)
        mark = _mark_of(contents)
        for content in contents:
            self._files[field].write(content + mark)
        first, self._next[field] = self._next[field], self._next[field] + len(contents)
        extent = values.shape if array else tuple(map(len, values))
        place = Place(int.from_bytes(mark, "little", signed=True), first, size, extent)
        return f"{field}{ARRAY if array else ENTRIES}", place.numbers()

    def close(self) -> None:
        """Ends the files. Raises an error of the system if something could not be written."""
        while self._files:
            self._files.popitem()[1].close()


class PieceFiles:
    """The files with the pieces of one field of a split. Threads can share it."""

    def __init__(self, folder: epath.Path, records: Sequence[str], field: str, staged: StagedFolder | None):
        """
        Args:
            records: names of the split's files of records.
            staged: has the local copies of a remote folder. Pieces are only copied when this object is made, so who reads no
                pictures copies none.

        Raises:
            UserError: a file is missing in the remote folder, or the split does not fit into the local one.
        """
        self._folder, self._staged, names = folder, staged, [file_beside(name, field) for name in records]
        self._open = functools.lru_cache(OPEN_FILES)(_reader)
        if staged:
            staged.use([*records, *names])
            staged.ahead(names)

    def read(self, name: str, place: Place, which: Sequence[int]) -> list[bytes]:
        """Pieces from the file of that name, as numbers within the clip. Raises `ValueError` if they are another clip's."""
        path = self._staged.need(name) if self._staged else self._folder / name
        mark = place.mark.to_bytes(MARK_BYTES, "little", signed=True)
        pieces = self._open(str(path)).read([place.first + number for number in which])
        if not all(piece.endswith(mark) for piece in pieces):
            raise ValueError("the pieces of another clip are in its place")
        return pieces


def _reader(path: str) -> Any:
    return array_record_module.ArrayRecordReader(path, READING, file_reader_buffer_size=2**15)
