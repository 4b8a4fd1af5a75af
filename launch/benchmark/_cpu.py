"""Processor time, for benchmarks of one core. Unlike wall time, it hardly depends on other programs."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[int], object], repeats: int) -> float:
    """Processor seconds of one call: the minimum of `repeats` calls, after a first call as a warm-up."""
    work(0)
    times = []
    for i in range(repeats):
        start = time.process_time()
        work(i)
        times.append(time.process_time() - start)
    return min(times)
