"""The line that tells how far training is: a live one in a terminal, plain lines at log points elsewhere."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


def clock(seconds: float) -> str:
    """1:02:03 or 4:05."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclasses.dataclass
class Stopwatch:
    """Speed since the last log point: wall time and the part of it spent waiting for data, in seconds."""

    started: float = dataclasses.field(default_factory=lambda: time.monotonic())
    steps: int = 0
    waited: float = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time inside counts as waiting for data."""
        before = time.monotonic()
        yield
        self.waited += time.monotonic() - before

    def restart(self) -> None:
        """Forgets everything so far."""
        self.started, self.steps, self.waited = time.monotonic(), 0, 0.0

    def lap(self) -> dict[str, float]:
        """steps_per_second and data_wait (share of the time) since the last start, and a new start."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        result = {"steps_per_second": self.steps / elapsed, "data_wait": self.waited / elapsed}
        self.restart()
        return result


def describe(step: int, total: int, scalars: Mapping[str, float]) -> str:
    """step 20/1000 · loss 0.1234 · 3.21 steps/s · waiting for data 4 % · 5:06 left."""
    speed = scalars.get("steps_per_second", 0.0)
    left = clock((total - step) / speed) if speed else "?"
    return (
        f"step {step}/{total} · loss {scalars.get('loss', float('nan')):.4g} · {speed:.2f} steps/s · "
        f"waiting for data {100 * scalars.get('data_wait', 0.0):.0f} % · {left} left"
    )


@contextmanager
def progress(total: int, shown: bool) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Gives a function (step, scalars) to call at every log point; it does nothing unless `shown`."""
    console = Console(stderr=True)
    if not shown:
        yield lambda step, scalars: None
    elif not console.is_terminal:
        yield lambda step, scalars: print(describe(step, total, scalars), file=sys.stderr, flush=True)
    else:
        with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=console) as bar:
            task = bar.add_task("compiling", total=total)
            yield lambda step, scalars: bar.update(task, completed=step, description=describe(step, total, scalars))
