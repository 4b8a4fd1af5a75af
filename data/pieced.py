"""Fields of a record whose values lie in pieces: they look like an array or a list, and read the frames that are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from data.pieces import ARRAY, ENTRIES, MARK_BYTES, Place, field_of

Read = Callable[[str, Place, Sequence[int]], Sequence[bytes]]
"""Reads pieces of a field, which are named by their numbers within the clip."""


class Pieces:
    """The pieces of a field of one clip. They are read when they are asked for, and kept as long as this object, because the
    windows of a clip share them. Threads can share it.
    """

    def __init__(self, field: str, place: Place, read: Read):
        self.place, self._field, self._read = place, field, read
        self._kept: dict[int, memoryview] = {}

    def get(self, which: Sequence[int]) -> list[memoryview]:
        """The bytes of pieces, which are named by their numbers; those that are not there yet are read at once."""
        if missing := [number for number in which if number not in self._kept]:
            read = self._read(self._field, self.place, missing)
            self._kept |= {number: memoryview(x)[:-MARK_BYTES] for number, x in zip(missing, read, strict=True)}
        return [self._kept[number] for number in which]


class PiecedArray:
    """Values of the frames of one clip. Only frames that are asked for are read: `x[3]`, `x[[0, 5, 5]]`, `x[2:9]`; all by
    `np.asarray(x)`. Threads can share it. When it is pickled, it becomes an array.
    """

    def __init__(self, pieces: Pieces, dtype: Any = np.uint16):
        """`dtype` has two bytes, as the stored numbers."""
        self._pieces, self.shape, self.dtype = pieces, pieces.place.extent, np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def view(self, dtype: Any) -> PiecedArray:
        """The same bits as numbers of another type of two bytes."""
        return PiecedArray(self._pieces, dtype)

    def __getitem__(self, chosen: Any) -> Shaped[np.ndarray, "..."]:
        """The values of frames. Raises `IndexError` as arrays do, and for an index of more than frames."""
        if isinstance(chosen, tuple):
            raise IndexError("only frames can be chosen: read them first, then index the array")
        frames = np.arange(len(self))[chosen]
        return self._gather(np.ravel(frames)).reshape(*np.shape(frames), *self.shape[1:])

    def _gather(self, frames: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n *shape"]:
        out = np.empty((len(frames), *self.shape[1:]), self.dtype)
        numbers = frames // self._pieces.place.size
        for number, piece in zip(which := np.unique(numbers).tolist(), self._pieces.get(which), strict=True):
            here = numbers == number
            values = np.frombuffer(piece, self.dtype).reshape(-1, *self.shape[1:])
            out[here] = values[frames[here] - number * self._pieces.place.size]
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Shaped[np.ndarray, "frames *shape"]:
        if copy is False:
            raise ValueError("values in pieces cannot become an array without a copy")
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __reduce__(self) -> tuple:
        return np.asarray, (self[:],)


class PiecedEntries(Sequence):
    """Bytes of the frames of one clip. Only frames that are asked for are read: `x[3]`, `x[2:9]`; all by `list(x)`. Threads can
    share it. When it is pickled, it becomes a list.
    """

    def __init__(self, pieces: Pieces):
        self._pieces, lengths = pieces, pieces.place.extent
        self._ends = list(itertools.accumulate(lengths, initial=0))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, chosen: Any) -> Any:
        """Bytes of one frame, or a list of them for a slice. Raises `IndexError` as lists do."""
        found = range(len(self))[chosen]
        return self._entry(found) if isinstance(found, int) else [self._entry(frame) for frame in found]

    def _entry(self, frame: int) -> bytes:
        number = frame // self._pieces.place.size
        (piece,), before = self._pieces.get([number]), self._ends[number * self._pieces.place.size]
        return bytes(piece[self._ends[frame] - before : self._ends[frame + 1] - before])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # as lists

    def __reduce__(self) -> tuple:
        return list, (self[:],)


def in_pieces(record: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """A stored record with its fields that are in pieces; `read` is called when frames are asked for."""
    make = {ARRAY: PiecedArray, ENTRIES: PiecedEntries}
    found = {}
    for name, value in record.items():
        field = field_of(name)
        place = field != name and Place.from_numbers(value)
        found[field] = make[name.removeprefix(field)](Pieces(field, place, read)) if place else value
    return found
