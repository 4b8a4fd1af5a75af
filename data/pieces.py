"""Values of every frame in pieces of a few frames, so that a window of a clip is read without the rest of the clip.

A clip's record has only the place of such a field: the numbers of a `Place`, under the field's name with `SUFFIX`. The pieces
lie in a file of their own beside the file of the record (`file_beside`). It is an ArrayRecord file whose records are the bytes
of consecutive frames, followed by the mark of the clip. Positions count from the start of that file, so files keep their
content when data sets are joined.

A piece has as many frames as fit into `PIECE_BYTES`, and at least one. Larger pieces make random frames slow, because frames
that nobody asked for are read too; smaller ones make the index of the file large, which its reader keeps in memory. The files
are not compressed: latents shrink by a fifth, and reading them then takes twice the time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath
from jaxtyping import Int, Shaped, UInt16

from data.staging import StagedFolder

SUFFIX = "_pieces"
PIECE_BYTES = 2**16
OPEN_FILES = 64
"""Files of a field that are open at a time: each takes a file handle, and memory for its index."""
MARK_BYTES = 8
WRITING = "group_size:1,uncompressed"
READING = "readahead_buffer_size:0,max_parallelism:0"
"""For random access, as the documentation of ArrayRecord says."""

Read = Callable[[str, "Place", Sequence[int]], Sequence[bytes]]
"""Reads pieces of a field, which are named by their numbers within the clip."""


class Place(NamedTuple):
    """Where the pieces of a field of a clip are, and what they hold."""

    mark: int
    """Hash of the values. It is repeated in every piece, so that a file of another writing is not taken for the right one."""
    first: int
    """Position of the first piece in its file."""
    size: int
    """Frames in a piece; the last has what is left."""
    shape: tuple[int, ...]
    """Of the values: frames first."""

    @classmethod
    def from_numbers(cls, numbers: Int[np.ndarray, "n"]) -> Place:
        """From what the record has."""
        mark, first, size, *shape = numbers.tolist()
        return cls(mark, first, size, tuple(shape))

    def numbers(self) -> Int[np.ndarray, "n"]:
        """What the record has."""
        return np.array([self.mark, self.first, self.size, *self.shape], np.int64)


def mark_of(values: UInt16[np.ndarray, "frames *shape"]) -> bytes:
    """Hash of the values of a clip."""
    return hashlib.sha256(np.ascontiguousarray(values)).digest()[:MARK_BYTES]


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
    return kept | {f"{name}{SUFFIX}": place for name in fields}


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
        kept = {name: value for name, value in record.items() if name not in self._fields}
        return kept | {f"{name}{SUFFIX}": self._write(name, record[name]).numbers() for name in self._fields}

    def _open(self, number: int) -> None:
        self.close()
        for field in self._fields:
            path = self._stem.parent / file_beside(f"{self._stem.name}.array_record-{number:05d}", field)
            self._files[field], self._next[field] = array_record_module.ArrayRecordWriter(str(path), WRITING), 0

    def _write(self, field: str, values: UInt16[np.ndarray, "frames *shape"]) -> Place:
        mark, size = mark_of(values), max(1, PIECE_BYTES * len(values) // max(1, values.nbytes))
        place = Place(int.from_bytes(mark, "little", signed=True), self._next[field], size, values.shape)
        for start in range(0, len(values), size):
            self._files[field].write(values[start : start + size].tobytes() + mark)
            self._next[field] += 1
        return place

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


class PiecedArray:
    """Values of the frames of one clip. Only frames that are asked for are read: `x[3]`, `x[[0, 5, 5]]`, `x[2:9]`; all by
    `np.asarray(x)`.

    Pieces that were read are kept as long as this object, because windows of one clip share them. Threads can share it. When
    it is pickled, it becomes an array.
    """

    def __init__(self, field: str, place: Place, read: Read, dtype: Any = np.uint16, kept: dict[int, np.ndarray] | None = None):
        """`dtype` has two bytes, as the stored numbers."""
        self._field, self._place, self._read = field, place, read
        self._kept = {} if kept is None else kept
        self.shape, self.dtype = place.shape, np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def view(self, dtype: Any) -> PiecedArray:
        """The same bits as numbers of another type of two bytes."""
        return PiecedArray(self._field, self._place, self._read, dtype, self._kept)

    def __getitem__(self, chosen: Any) -> Shaped[np.ndarray, "..."]:
        """The values of frames. Raises `IndexError` as arrays do, and for an index of more than frames."""
        if isinstance(chosen, tuple):
            raise IndexError("only frames can be chosen: read them first, then index the array")
        frames = np.arange(len(self))[chosen]
        return self._gather(np.ravel(frames)).reshape(*np.shape(frames), *self.shape[1:])

    def _gather(self, frames: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n *shape"]:
        out = np.empty((len(frames), *self.shape[1:]), self.dtype)
        numbers = frames // self._place.size
        for number, piece in self._pieces(np.unique(numbers).tolist()):
            here = numbers == number
            out[here] = piece[frames[here] - number * self._place.size]
        return out

    def _pieces(self, which: Sequence[int]) -> Iterator[tuple[int, Shaped[np.ndarray, "n *shape"]]]:
        """Pieces with their numbers; those that are not there yet are read at once."""
        if missing := [number for number in which if number not in self._kept]:
            for number, piece in zip(missing, self._read(self._field, self._place, missing), strict=True):
                values = np.frombuffer(piece, np.uint16, (len(piece) - MARK_BYTES) // 2)
                self._kept[number] = values.reshape(-1, *self.shape[1:])
        return ((number, self._kept[number].view(self.dtype)) for number in which)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Shaped[np.ndarray, "frames *shape"]:
        if copy is False:
            raise ValueError("values in pieces cannot become an array without a copy")
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __reduce__(self) -> tuple:
        return np.asarray, (self[:],)


def in_pieces(record: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """A stored record with its fields that are in pieces; `read` is called when frames are asked for."""
    places = {name: value for name, value in record.items() if name.endswith(SUFFIX)}
    fields = {name.removesuffix(SUFFIX): Place.from_numbers(numbers) for name, numbers in places.items()}
    kept = {name: value for name, value in record.items() if name not in places}
    return kept | {field: PiecedArray(field, place, read) for field, place in fields.items()}
