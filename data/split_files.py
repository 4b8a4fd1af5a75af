"""The files of one split of a record folder: its records in the order in which they lie in the files, and their pieces."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data.pieces import PieceFiles, Place, file_beside
from data.staging import StagedFolder


class SplitFiles:
    """The records of a split in file order. A remote record is read after its shard was copied to the local disk."""

    def __init__(self, path: epath.Path, split: str, staged: StagedFolder | None) -> None:
        """`staged` has the local copies of a remote folder. Raises `UserError` when the split does not fit into it."""
        builder = tfds.builder_from_directory(staged.path if staged else path)
        info = builder.info.splits[split]
        self._path, self._staged = path, staged
        self._pieces: dict[str, PieceFiles] = {}
        self._lock = threading.Lock()
        self._files = sorted(info.filenames)
        self._ends = list(itertools.accumulate(info.shard_lengths))
        if staged:
            staged.use(self._files)
        self._source = builder.as_data_source(split)
        if staged:
            staged.ahead(self._files)

    def file_of(self, position: int) -> str:
        """Name of the file that a record is in."""
        return self._files[min(bisect.bisect_right(self._ends, position), len(self._files) - 1)]

    def __getitem__(self, position: int) -> dict[str, Any]:
        if self._staged:
            self._staged.need(self.file_of(position))
        return self._source[position]

    def read_pieces(self, position: int, field: str, place: Place, which: Sequence[int]) -> list[bytes]:
        """Pieces of a field of the record at a position; `which` are their numbers within the clip."""
        return self._pieces_of(field).read(file_beside(self.file_of(position), field), place, which)

    def _pieces_of(self, field: str) -> PieceFiles:
        with self._lock:
            if field not in self._pieces:
                self._pieces[field] = PieceFiles(self._path, self._files, field, self._staged)
            return self._pieces[field]
