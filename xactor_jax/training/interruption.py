"""SIGTERM and Ctrl-C: the step in progress is finished and saved, and training returns before its last step.

In several processes JAX's preemption service passes SIGTERM on and makes all of them stop at the same step. It picks the number
after the largest that any of them has asked about, 0 before the first question: so the questions are numbered from 1, and not
by the steps, of which the first after a restart may be far beyond what was picked while the run was being restored.
The service looks for the signal once a second. Until then the steps go on, and a run that is done by then is done.
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
    """Gives a function () → whether to stop before the next step; call it at every step. A second Ctrl-C ends at once."""
    shared = jax.process_count() > 1
    asked = itertools.count(1)
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        received.append(number)
        if shared:
            os.kill(os.getpid(), signal.SIGTERM)

    watched = (signal.SIGINT,) if shared else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in watched}
    try:
        yield lambda: multihost_utils.reached_preemption_sync_point(next(asked)) if shared else bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
