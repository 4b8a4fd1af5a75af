"""Progress of programs on stderr: a bar in a terminal, otherwise a line every 30 seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Count = Callable[[int, int], None]

SECONDS = 30.0
"""Shortest time between two lines."""


@contextlib.contextmanager
def counting(what: str) -> Iterator[Count]:
    """Yields a function that reports (done, total) of `what`. The bar vanishes at the end; short work prints no line."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> Count:
    last = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal last
        if (now := time.monotonic()) >= last + SECONDS:
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)
            last = now

    return count
