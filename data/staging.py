"""Local copies of remote record folders, shard by shard, ahead of the reader, in a bounded folder on the local disk.

ArrayRecord cannot read gs://. Whoever reads a record first makes its shard be there; meanwhile a thread copies the others. The
order of records is that of the whole split shuffled by the seed, with copies or without, so a split must fit into the folder:
a smaller one would be copied again and again. Shards of data sets that no process has open give way, longest unused first.

Several processes may share the folder. A shard is copied under a lock of its own, to another name, and moved into place when
its size is right; locks are the kernel's, so none outlives its process.
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
    """Where copies are kept, and how much of them."""

    folder: str = ""
    """On the local disk; empty: `xactor_jax_records` in the system's folder for temporary files."""
    gib: float = 100.0
    """At most, over all data sets."""

    @property
    def root(self) -> pathlib.Path:
        return pathlib.Path(self.folder or pathlib.Path(tempfile.gettempdir()) / "xactor_jax_records")


def sizes_of(folder: epath.Path) -> dict[str, int]:
    """Name → bytes of every file of a folder, in one request."""
    files, path = fsspec.core.url_to_fs(str(folder))
    files.invalidate_cache(path)
    found = files.ls(path, detail=True)
    return {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in found if entry["type"] == "file"}


def is_data(name: str) -> bool:
    """Whether a file of a record folder is a shard, whole or in part, and none that says what the shards are."""
    return not name.endswith((".json", IN_USE, LOCK))


class StagedFolder:
    """The local copy of one writing of a remote record folder; it is in use as long as this object lives."""

    def __init__(self, remote: epath.Path, version: bytes, staging: Staging) -> None:
        """version: what tells this writing from others at the same address. Raises `UserError` where nothing can be written."""
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
        """Notes that the shards of a split are used. Raises `UserError` unless they are all there and fit into the folder."""
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
        """The local file, once it is there and whole; copied now if need be."""
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
        """Under the lock of the file."""
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
        """Reserves room for a shard: its file has its final size from now on. Raises `UserError` when there is not enough."""
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
        """Copies files in the background, every process beginning elsewhere. What fails fails again where it is needed."""
        first = os.getpid() % len(names)
        threading.Thread(target=self._copy_all, args=([*names[first:], *names[:first]],), daemon=True).start()

    def _copy_all(self, names: Sequence[str]) -> None:
        with contextlib.suppress(UserError):
            for name in names:
                self.need(name)


def _shards(root: pathlib.Path) -> dict[pathlib.Path, tuple[float, int]]:
    """Shard, whole or in part → (when it was copied or opened last, bytes), of all data sets."""
    found = {}
    for file in root.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            if is_data(file.name):
                found[file] = file.stat().st_mtime, file.stat().st_size
    return found


def _drop(files: Mapping[pathlib.Path, tuple[float, int]], wanted: int) -> int:
    """Removes shards of data sets that nobody has open, longest unused first, until so many bytes are free; gives the bytes."""
    freed = 0
    for file in sorted(files, key=lambda file: files[file][0]):
        if freed >= wanted:
            break
        with contextlib.suppress(BlockingIOError), locked(file.parent / IN_USE, fcntl.LOCK_EX | fcntl.LOCK_NB):
            file.unlink(missing_ok=True)
            freed += files[file][1]
    return freed
