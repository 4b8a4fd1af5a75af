"""Where clips are kept from the moment when their file is finished until all files are."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from etils import epath

from data.prepare_video import read_record
from xactor_jax.errors import UserError
from xactor_jax.paths import absolute, is_remote
from xactor_jax.unfinished import write_whole


def staging_folder(out: str, shared: bool = False) -> epath.Path:
    """A hidden folder beside the output. For gs:// it is in the system's temporary folder unless it is shared by machines."""
    if is_remote(out) and not shared:
        return epath.Path(tempfile.gettempdir()) / "xactor_jax_prepare" / hashlib.sha256(out.encode()).hexdigest()[:16]
    path = absolute(out)
    return path.parent / f".{path.name}.staging"


class Staging:
    """Results of finished files: KEY.0000.npz …, one per record, and KEY.json, written last to mark them complete."""

    def __init__(self, out: str, shared: bool = False):
        self.folder = staging_folder(out, shared)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{out} cannot be written to ({error}): choose a folder that you may write to.") from error

    def prefix(self, key: str) -> str:
        return str(self.folder / key)

    def rows(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Rows of those keys that are complete."""
        there = {file.name for file in self.folder.iterdir()}  # one request, where a store may take long for each file
        return {key: json.loads((self.folder / name).read_text()) for key in keys if (name := f"{key}.json") in there}

    def put(self, key: str, row: dict[str, Any]) -> None:
        write_whole(self.folder / f"{key}.json", json.dumps(row))

    def records(self, key: str, count: int) -> Iterator[dict[str, Any]]:
        for i in range(count):
            yield read_record(self.folder / f"{key}.{i:04d}.npz")

    @contextlib.contextmanager
    def kept_if_used(self) -> Iterator[None]:
        """Removes the folder after the body if nothing was staged."""
        try:
            yield
        finally:
            if not is_remote(self.folder):
                with contextlib.suppress(OSError, ValueError):  # it is not empty
                    self.folder.rmdir()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmtree(missing_ok=True)
