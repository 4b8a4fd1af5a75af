"""Programs of launch/ in this process: as programs of their own they would first import JAX for seconds, each time again."""

from __future__ import annotations

import contextlib
import io
import logging as python_logging
import pathlib
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from absl import flags, logging
from absl.testing import flagsaver

from launch import _flags  # noqa: F401  (defines --config once, which is no flag that a program leaves behind)

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def run_here(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What `python launch/PROGRAM ARGUMENTS` in the checkout ends with and prints."""
    path, out, err = REPOSITORY / "launch" / program, io.StringIO(), io.StringIO()
    command = [str(path), *map(str, arguments)]
    with _as_before(command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(str(path), run_name="__main__")
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
    return subprocess.CompletedProcess(command, int(status), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_before(command: list[str]) -> Iterator[None]:
    """Gives a program its command line, folder and path, and takes away afterwards what it has left in this process."""
    with pytest.MonkeyPatch.context() as patch, _no_flags_left(), _signals_as_before():
        patch.setattr(sys, "argv", command)
        patch.setattr(sys, "path", [str(pathlib.Path(command[0]).parent), *sys.path])
        patch.chdir(REPOSITORY)
        yield


@contextlib.contextmanager
def _signals_as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _no_flags_left() -> Iterator[None]:
    """absl keeps flags, their values and its handler of logs for a process: the next program defines them again."""
    root, level, imported = python_logging.getLogger(), python_logging.getLogger().level, _flags_of_imported_programs()
    for name in imported:
        delattr(flags.FLAGS, name)
    known = set(flags.FLAGS)
    try:
        with flagsaver.flagsaver():
            yield
    finally:
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)
        for name, flag in imported.items():
            flags.FLAGS[name] = flag
        flags.FLAGS.unparse_flags()
        root.removeHandler(logging.get_absl_handler())
        root.setLevel(level)


def _flags_of_imported_programs() -> dict[str, flags.Flag]:
    """Flags of programs that another test has imported, which the program itself would define a second time."""
    module = {name: flags.FLAGS.find_module_defining_flag(name) or "" for name in flags.FLAGS}
    return {name: flags.FLAGS[name] for name, of in module.items() if of.startswith("launch.") and of != _flags.__name__}
