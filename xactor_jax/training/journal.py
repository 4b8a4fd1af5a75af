"""Reports the progress of a run: average metrics of its steps and its speed. Ends the run if a loss is not finite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from xactor_jax.errors import UserError
from xactor_jax.training import metrics as m
from xactor_jax.training.throughput import SECONDS, Clock, Completion, Work, device_memory, goodput, rates


class DivergedError(UserError, FloatingPointError):
    """A loss or gradient is not finite."""


class Journal:
    """Gathers the metrics of every step. Those of step n are read after step n + 1 is dispatched, so devices never wait."""

    def __init__(self, writers: m.Writers, show: Callable[[int, Mapping[str, float]], None], every: int, clock: Clock) -> None:
        self.clock = clock
        self._writers, self._show, self._every = writers, show, every
        self._pending: tuple[int, Mapping[str, jax.Array]] | None = None
        self._averages: m.Averages = {}
        self._work: Work | None = None
        self._compile_seconds = 0.0
        self._completion: Completion | None = None
        self._steps, self._lap = 0, dict(clock.totals)

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Counts the body's time as compilation. The body dispatches the first step, which waits until it is compiled."""
        before = self.clock.totals["compile"]
        with self.clock.doing("compile"):
            yield
        self._compile_seconds = self.clock.totals["compile"] - before

    def begin(self, work: Work) -> None:
        """Starts measuring speed, now that the work of a step is known."""
        self._work, self._lap = work, dict(self.clock.totals)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the body's time as waiting for data, except while the devices are still busy with the last step."""
        self.clock.charge("step")
        try:
            yield
        finally:
            if self._completion:
                self.clock.charge("step", until=self._completion.moment)
            self.clock.charge("data")

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Takes the metrics of a dispatched step (counted from 1), and reads those of the step before."""
        previous, self._pending = self._pending, (step, metrics)
        self._completion = Completion(metrics)
        self._take(previous)

    def settle(self, step: int) -> None:
        """Reads the remaining metrics and writes the line of `step`. Call it before the state is evaluated or saved."""
        pending, self._pending = self._pending, None
        self._take(pending)
        self._write(step)

    def close(self) -> None:
        """Waits for the thread that watches the devices, unless they do not respond."""
        if self._completion:
            self._completion.wait(5.0)

    def _take(self, entry: tuple[int, Mapping[str, jax.Array]] | None) -> None:
        if entry is None:
            return
        step, values = entry[0], m.to_host(entry[1])
        check_finite(step, values)
        self._averages = m.accumulate(self._averages, values)
        self._steps += 1
        if step % self._every == 0:
            self._write(step)

    def _write(self, step: int) -> None:
        if not self._averages:
            return
        scalars = {**m.compute(self._averages), **self._throughput()}
        self._averages = {}
        seconds = {f"{SECONDS}{kind}": spent for kind, spent in self.clock.totals.items()}
        self._writers.write(step, {f"train/{name}": value for name, value in scalars.items()} | seconds)
        self._show(step, scalars)

    def _throughput(self) -> dict[str, float]:
        """Speed since the last line, and the share of training steps in the time of the whole run."""
        self.clock.charge("step")
        spent = {kind: seconds - self._lap[kind] for kind, seconds in self.clock.totals.items()}
        steps, self._steps, self._lap = self._steps, 0, dict(self.clock.totals)
        speed = rates(steps, spent, self._work) if self._work else {}
        whole = {"compile_seconds": self._compile_seconds, "goodput": goodput(self.clock.totals)}
        return {**speed, **device_memory(jax.local_devices()), **whole}


def check_finite(step: int, values: Mapping[str, float]) -> None:
    """Raises `DivergedError` if the loss or the gradient norm of a step is not finite."""
    bad = [f"{name}={values[name]}" for name in ("loss", "grad_norm") if not np.isfinite(values[name])]
    if bad:
        raise DivergedError(f"training diverged at step {step}: {', '.join(bad)}")
