"""What a run tells while it goes on: averages of the steps' metrics, speed, and an end when a number is no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np

from xactor_jax.errors import UserError
from xactor_jax.training import metrics as m
from xactor_jax.training.progress import Stopwatch


class DivergedError(UserError, FloatingPointError):
    """A loss or gradient is not finite."""


class Journal:
    """Gathers metrics of every step. Those of step n are read after step n + 1 is dispatched, so the device never waits."""

    def __init__(self, writers: m.Writers, show: Callable[[int, Mapping[str, float]], None], every: int) -> None:
        self.stopwatch = Stopwatch()
        self._writers, self._show, self._every = writers, show, every
        self._pending: tuple[int, Mapping[str, jax.Array]] | None = None
        self._averages: m.Averages = {}
        self._started = False

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Takes the metrics of a dispatched step (counted from 1) and reads those of the one before."""
        previous, self._pending = self._pending, (step, metrics)
        self._take(previous)

    def settle(self, step: int) -> None:
        """Reads what is left and writes it as the line of `step`. Called before anything is done with the state."""
        pending, self._pending = self._pending, None
        self._take(pending)
        self._write(step)

    def _take(self, entry: tuple[int, Mapping[str, jax.Array]] | None) -> None:
        if entry is None:
            return
        step, values = entry[0], m.to_host(entry[1])
        check_finite(step, values)
        self._averages = m.accumulate(self._averages, values)
        self._count()
        if step % self._every == 0:
            self._write(step)

    def _count(self) -> None:
        """The first step is compiled while it runs, so the watch starts after it."""
        if self._started:
            self.stopwatch.steps += 1
        else:
            self.stopwatch.restart()
        self._started = True

    def _write(self, step: int) -> None:
        if not self._averages:
            return
        scalars = {**m.compute(self._averages), **self.stopwatch.lap()}
        self._averages = {}
        self._writers.write(step, {f"train/{name}": value for name, value in scalars.items()})
        self._show(step, scalars)


def check_finite(step: int, values: Mapping[str, float]) -> None:
    """Raises `DivergedError` when loss or gradient norm of a step is not finite."""
    bad = [f"{name}={values[name]}" for name in ("loss", "grad_norm") if not np.isfinite(values[name])]
    if bad:
        raise DivergedError(f"training diverged at step {step}: {', '.join(bad)}")
