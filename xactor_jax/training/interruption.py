"""SIGTERM and Ctrl-C: the current step is finished and saved, and training returns before its last step.

With several processes, JAX's preemption service passes SIGTERM on and makes all of them stop at the same step. It chooses the
number after the largest one that any process has asked about, or 0 before the first question. So the questions are numbered
from 1, and not by training steps: after a restart, the first training step may be far beyond the number that the service chose
while the run was being restored. The service checks for the signal once a second. Training continues until then, and may reach
its last step.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Returns a function () → whether to stop before the next step. Call it at every step. A second Ctrl-C ends at once."""
    shared = jax.process_count() > 1
    questions = itertools.count(1)
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        received.append(number)
        if shared:
            os.kill(os.getpid(), signal.SIGTERM)

    watched = (signal.SIGINT,) if shared else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in watched}
    try:
        yield lambda: multihost_utils.reached_preemption_sync_point(next(questions)) if shared else bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
