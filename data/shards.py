"""Writes a data set in shards, so that processes can share the work and a stop costs a shard at most.

A shard is a fixed number of consecutive records of one split, whatever the number of processes. Each shard is first a record
folder of its own, in a hidden folder beside the output; process i of n writes the shards i, i + n, …. The first process waits
until all are there and joins them. So the result does not depend on the number of processes, and when all are started again
after one was lost, they write what is missing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from etils import epath

from data import storage
from xactor_jax.errors import UserError
from xactor_jax.paths import absolute

RECORDS_PER_SHARD = 64
POLL_SECONDS = 1.0

Write = Callable[[epath.Path, str, range], None]
"""Writes the records of a split with these indices as a record folder."""


def place() -> tuple[int, int]:
    """(index of this process, number of processes)"""
    return jax.process_index(), jax.process_count()


class Shard(NamedTuple):
    """Consecutive records of a split."""

    split: str
    which: range
    folder: epath.Path

    @property
    def is_there(self) -> bool:
        """Whether it is written."""
        return storage.is_prepared(self.folder)


class Shards:
    """The shards of one data set, and which of them this process writes."""

    def __init__(
        self, out: epath.PathLike, lengths: Mapping[str, int], metadata: Mapping[str, Any], kind: storage.Kind, version: str
    ):
        """
        Args:
            lengths: number of records of each split.
            metadata: of the data set; shards of other metadata are not used.
            version: identifies what the records are made of; shards of another version are not used.

        Raises:
            UserError: `out` is not empty, or there is no record.
        """
        self._out, self._metadata, self._kind = absolute(out), json.loads(json.dumps(metadata)), kind
        self._index, self._count = place()
        self._finished = self._count > 1 and self._is_out()  # the others were started again after the first had joined
        if not self._finished:
            storage.require_free(self._out)
        mark = hashlib.sha256(json.dumps([self._metadata, dict(lengths), version], sort_keys=True).encode()).hexdigest()[:16]
        self._folder = self._out.parent / f".{self._out.name}.shards" / mark
        self._all = [
            self._shard(split, start, length) for split, length in sorted(lengths.items()) for start in _starts(length)
        ]
        if not self._all:
            raise UserError(f"there is no clip to write to {self._out}: check the input folder.")

    def _shard(self, split: str, start: int, length: int) -> Shard:
        which = range(start, min(start + RECORDS_PER_SHARD, length))
        return Shard(split, which, self._folder / f"{split}-{start:08d}")

    def _is_out(self) -> bool:
        """Whether the data set is there already."""
        return storage.is_prepared(self._out) and storage.read_index(self._out, self._kind)["metadata"] == self._metadata

    @property
    def first(self) -> bool:
        """Whether this is the process that joins the shards."""
        return self._index == 0

    @property
    def _mine(self) -> list[Shard]:
        return [] if self._finished else [shard for shard in self._all[self._index :: self._count] if not shard.is_there]

    @property
    def left(self) -> int:
        """Number of records that this process has to write."""
        return sum(len(shard.which) for shard in self._mine)

    def write(self, write: Write) -> None:
        """Writes this process's shards; the first process then joins all."""
        try:
            for shard in self._mine:
                write(shard.folder, shard.split, shard.which)
        finally:
            self._remove_if_empty()
        if self.first and not self._finished:
            self._join()

    def _join(self) -> None:
        while not all(shard.is_there for shard in self._all):
            time.sleep(POLL_SECONDS)
        parts: dict[str, list[epath.Path]] = {}
        for shard in self._all:
            parts.setdefault(shard.split, []).append(shard.folder)
        storage.join_records(self._out, parts, self._kind, self._metadata)
        self._folder.parent.rmtree(missing_ok=True)

    def _remove_if_empty(self) -> None:
        """Removes the folder of the shards if none was written."""
        for folder in (self._folder, self._folder.parent):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _starts(length: int) -> range:
    return range(0, length, RECORDS_PER_SHARD)
