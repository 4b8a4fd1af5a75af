"""Records a window of steps by JAX's profiler into the folder `profile`, for XProf or Perfetto."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.paths import is_remote


def copy_tree(source: pathlib.Path, target: epath.Path) -> None:
    """Copies all files of a local folder and its subfolders."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        destination = target / str(file.relative_to(source))
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(file.read_bytes())


@contextmanager
def trace_to(folder: epath.Path) -> Iterator[None]:
    """Records the body. On gs://, the files are written locally first."""
    with tempfile.TemporaryDirectory() as temporary:
        local = temporary if is_remote(folder) else str(folder)
        with jax.profiler.trace(local):
            yield
        if is_remote(folder):
            copy_tree(pathlib.Path(temporary), folder)


@contextmanager
def profiler(config: ConfigDict, folder: epath.Path) -> Iterator[Callable[[int, Any], None]]:
    """Returns a function (next step, arrays to wait for) that starts and ends the window of `config.profile`."""
    window: list[Any] = []

    def stop(exception: BaseException | None = None) -> None:
        while window:
            window.pop().__exit__(type(exception) if exception else None, exception, None)

    def at(step: int, arrays: Any) -> None:
        if step == config.start + config.steps and window:
            jax.block_until_ready(arrays)
            stop()
        if step == config.start:
            window.append(trace_to(folder))
            window[0].__enter__()

    try:
        yield at
    finally:
        stop()
