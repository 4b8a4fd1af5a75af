"""Processor time of a piece of work, for benchmarks of one core: other programs disturb it little."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[int], object], repeats: int) -> float:
    """Processor seconds of one call, the least of some; the first call warms up and is not counted."""
    work(0)
    times = []
    for i in range(repeats):
        start = time.process_time()
        work(i)
        times.append(time.process_time() - start)
    return min(times)
