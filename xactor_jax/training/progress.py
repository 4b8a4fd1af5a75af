"""Shows the progress of training: a live line in a terminal, else a plain line at each log point."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


def clock(seconds: float) -> str:
    """Seconds as text, such as 1:02:03 or 4:05."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def describe(step: int, total: int, scalars: Mapping[str, float]) -> str:
    """step 20/1000 · loss 0.1234 · 3.21 steps/s · 41 % of the peak · waiting for data 4 % · 5:06 left.

    The share of the peak is left out if it is unknown.
    """
    speed = scalars.get("steps_per_second", 0.0)
    left = clock((total - step) / speed) if speed else "?"
    peak = f"{100 * scalars['utilisation']:.0f} % of the peak · " if "utilisation" in scalars else ""
    return (
        f"step {step}/{total} · loss {scalars.get('loss', float('nan')):.4g} · {speed:.2f} steps/s · {peak}"
        f"waiting for data {100 * scalars.get('data_wait', 0.0):.0f} % · {left} left"
    )


@contextmanager
def progress(total: int, shown: bool) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Returns a function (step, scalars) to call at every log point. It does nothing unless `shown`."""
    console = Console(stderr=True)
    if not shown:
        yield lambda step, scalars: None
    elif not console.is_terminal:
        yield lambda step, scalars: print(describe(step, total, scalars), file=sys.stderr, flush=True)
    else:
        with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=console) as bar:
            task = bar.add_task("compiling", total=total)
            yield lambda step, scalars: bar.update(task, completed=step, description=describe(step, total, scalars))
