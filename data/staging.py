"""Local copies of remote record folders, made shard by shard ahead of the reader, in a local folder of bounded size.

ArrayRecord cannot read gs://. A reader of a record copies its shard first, if it is missing; meanwhile a thread copies the
other shards. The whole split is shuffled by the seed, with or without copies, so records come from all shards in turn. A split
must therefore fit into the folder: in a smaller one, shards would be copied again and again. To make room, shards of data sets
that no process has open are removed, the longest unused first.

Several processes may share the folder. A shard is copied under its own lock, to a temporary name, and renamed when its
size is right. The locks are the kernel's, so none outlives its process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence

import fsspec
from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.locks import locked

GIB = 2**30
IN_USE, LOCK, PART = ".in_use", ".lock", ".part"


@dataclasses.dataclass(frozen=True)
class Staging:
    """Where local copies are kept, and how much space they may use."""

    folder: str = ""
    """A folder on the local disk; empty: `xactor_jax_records` in the system's folder for temporary files."""
    gib: float = 100.0
    """Largest size of all data sets together, GiB."""

    @property
    def root(self) -> pathlib.Path:
        return pathlib.Path(self.folder or pathlib.Path(tempfile.gettempdir()) / "xactor_jax_records")


def sizes_of(folder: epath.Path) -> dict[str, int]:
    """Name → bytes of every file of a folder, by one request."""
    files, path = fsspec.core.url_to_fs(str(folder))
    files.invalidate_cache(path)
    found = files.ls(path, detail=True)
    return {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in found if entry["type"] == "file"}


def is_data(name: str) -> bool:
    """Whether a file of a record folder is a shard, complete or partial (not an index, a lock or a marker)."""
    return not name.endswith((".json", IN_USE, LOCK))


class StagedFolder:
    """The local copy of one version of a remote record folder. It counts as in use as long as this object lives."""

    def __init__(self, remote: epath.Path, version: bytes, staging: Staging) -> None:
        """`version` identifies what is stored at the address. Raises `UserError` where the local folder cannot be written."""
        self.remote, self._staging, self._sizes = remote, staging, sizes_of(remote)
        self.path = staging.root / hashlib.sha256(str(remote).encode() + version).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._in_use = (self.path / IN_USE).open("ab")
        except OSError as error:
            raise UserError(f"cannot write to {staging.root} ({error.strerror}): name another data.stage_dir.") from None
        fcntl.flock(self._in_use, fcntl.LOCK_SH)
        for name in self._sizes:
            if not is_data(name):
                self.need(name)

    def use(self, shards: Sequence[str]) -> None:
        """Marks the shards of a split as used. Raises `UserError` if one is missing, or if they do not fit into the folder."""
        missing = [name for name in shards if name not in self._sizes]
        if missing:
            raise UserError(f"{self.remote} lacks {missing[0]}: the data set is damaged, copy or make it again.")
        needed = sum(self._sizes[name] for name in shards)
        if needed > self._staging.gib * GIB:
            raise self._too_small(needed)
        for name in shards:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.path / name)

    def _too_small(self, needed: int) -> UserError:
        return UserError(
            f"{self.remote} cannot be copied to {self._staging.root}, which may hold {self._staging.gib:.3g} GiB: set "
            f"data.stage_gib to at least {needed / GIB:.3g}, on a disk that has as much."
        )

    def need(self, name: str) -> pathlib.Path:
        """Path of a complete local file. It is copied first where it is missing."""
        file = self.path / name
        if not self._is_whole(file):
            with locked(self.path / f"{name}{LOCK}"):
                if not self._is_whole(file):
                    self._copy(name)
        return file

    def _is_whole(self, file: pathlib.Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return file.stat().st_size == self._sizes[file.name]
        return False

    def _copy(self, name: str) -> None:
        """Copies a file. The caller holds the file's lock."""
        part = self.path / f"{name}{PART}"
        try:
            if is_data(name):
                self._make_room(part, self._sizes[name])
            with (self.remote / name).open("rb") as source, part.open("r+b" if part.exists() else "wb") as target:
                shutil.copyfileobj(source, target, 1 << 23)
                copied = target.tell()
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UserError(f"{self.remote / name} cannot be copied to {self.path} ({error}): look at both ends.") from error
        if copied != self._sizes[name]:
            part.unlink()
            raise UserError(f"{self.remote / name} has {copied} bytes and not {self._sizes[name]}: the data set has changed.")
        part.replace(self.path / name)

    def _make_room(self, part: pathlib.Path, size: int) -> None:
        """Reserves space for a shard by a file of its final size. Raises `UserError` when there is not enough."""
        root = self._staging.root
        with locked(root / LOCK):
            part.unlink(missing_ok=True)
            files = _shards(root)
            missing = sum(bytes_ for _, bytes_ in files.values()) + size - int(self._staging.gib * GIB)
            if missing > 0 and (left := missing - _drop(files, missing)) > 0:
                raise self._too_small(left + int(self._staging.gib * GIB))
            with part.open("wb") as file:
                file.truncate(size)

    def ahead(self, names: Sequence[str]) -> None:
        """Copies files in the background; each process starts at another one. An error here is raised again by `need`."""
        first = os.getpid() % len(names)
        threading.Thread(target=self._copy_all, args=([*names[first:], *names[:first]],), daemon=True).start()

    def _copy_all(self, names: Sequence[str]) -> None:
        with contextlib.suppress(UserError):
            for name in names:
                self.need(name)


def _shards(root: pathlib.Path) -> dict[pathlib.Path, tuple[float, int]]:
    """Shard, complete or partial → (when it was last copied or opened, bytes), of all data sets."""
    found = {}
    for file in root.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            if is_data(file.name):
                found[file] = file.stat().st_mtime, file.stat().st_size
    return found


def _drop(files: Mapping[pathlib.Path, tuple[float, int]], wanted: int) -> int:
    """Removes shards of data sets not in use, longest unused first, until `wanted` bytes are free; returns the bytes freed."""
    freed = 0
    for file in sorted(files, key=lambda file: files[file][0]):
        if freed >= wanted:
            break
        with contextlib.suppress(BlockingIOError), locked(file.parent / IN_USE, fcntl.LOCK_EX | fcntl.LOCK_NB):
            file.unlink(missing_ok=True)
            freed += files[file][1]
    return freed
