"""Drift of long performances: motion is streamed to disk, then its quality and cost are measured minute by minute.

All people form one batch. Motion is appended to a file [T, B, D] of float32 as it is generated. It does not stay in memory, so
that the measured memory is that of the rollout itself. Quality: `xactor_jax.evaluation.motion_report`.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float, Int

from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.evaluation.motion_report import Curves, Ruler, trends_of
from xactor_jax.evaluation.report import finite
from xactor_jax.sampling.load import Stage
from xactor_jax.sampling.pipeline import sampling_keys
from xactor_jax.timing import FRAME_RATE
from xactor_jax.unfinished import write_whole

MINUTE = 60 * FRAME_RATE
SPAN = 2
"""Number of minutes at the beginning and at the end whose means are compared."""


class Cost(NamedTuple):
    """Cost of each minute of a rollout (the last may be incomplete): wall seconds per chunk, and the largest memory in MB.

    The first piece counts only in `first_seconds`, because the window is compiled for it.
    """

    first_seconds: float
    seconds_per_chunk: list[float]
    rss_mb: list[float]


def memory_mb() -> float:
    """Resident memory of the process in MB; on systems that do not report it, its maximum so far."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Meter:
    """Measures the cost of a rollout while it runs."""

    def __init__(self, chunk: int, clock: Callable[[], float] = time.perf_counter, memory: Callable[[], float] = memory_mb):
        self.chunk, self.clock, self.memory = chunk, clock, memory
        self.last, self.done, self.first = clock(), 0, float("nan")
        self.minutes: dict[int, list[tuple[float, float]]] = {}

    def piece(self, frames: int) -> None:
        """Records a piece of so many frames; call it as soon as the piece is there."""
        now = self.clock()
        seconds, self.last = now - self.last, now
        if not self.done:
            self.first = seconds
        else:
            per_chunk = seconds * self.chunk / frames
            self.minutes.setdefault(self.done // MINUTE, []).append((per_chunk, self.memory()))
        self.done += frames

    def cost(self) -> Cost:
        """Cost of all minutes so far."""
        chunks = [np.array(minute) for minute in self.minutes.values()]
        return Cost(self.first, [float(c[:, 0].mean()) for c in chunks], [float(c[:, 1].max()) for c in chunks])


def append(path: pathlib.Path, pieces: Iterable[Float[np.ndarray, "b n d"]], written: Callable[[int], None]) -> None:
    """Writes pieces one after another as float32 [T, B, D]. The file appears under its name when it is complete.

    `written` is called with the number of frames of each piece.
    """
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for piece in pieces:
            file.write(np.ascontiguousarray(np.moveaxis(np.asarray(piece, np.float32), 1, 0)).tobytes())
            written(piece.shape[1])
    part.replace(path)


def opened(path: pathlib.Path, people: int, dim: int) -> Float[np.ndarray, "b t d"]:
    """Opens a file of `append`, mapped into memory: frames are read from disk only when they are used."""
    return np.moveaxis(np.memmap(path, np.float32, "r").reshape(-1, people, dim), 0, 1)


def perform(
    actor: Stage,
    settings: RolloutSettings,
    features: Iterator[Float[np.ndarray, "b n a"]],
    reference: Float[np.ndarray, "b d"],
    emotion: Int[np.ndarray, "b t"] | None,
    seed: int,
) -> Iterator[Float[np.ndarray, "b n d"]]:
    """Generates motion of all people, piece by piece."""
    key = sampling_keys(seed)[0]
    pieces = actor.model.stream(actor.variables, key, features, reference, emotion, settings)
    return (np.asarray(piece) for piece in pieces)


def finished(path: pathlib.Path, mark: Mapping[str, Any]) -> bool:
    """Whether the file exists and has the same `mark`, which holds everything that its numbers depend on."""
    try:
        return json.loads(path.read_text())["mark"] == json.loads(json.dumps(mark))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_record(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file so that readers never see half of it."""
    path.parent.mkdir(exist_ok=True)
    write_whole(epath.Path(path), json.dumps(finite(content), indent=1) + "\n")


class Rulers(NamedTuple):
    """Two rulers: one for segments of some seconds, one for minutes."""

    segments: Ruler
    minutes: Ruler

    def measured(self, curves: Callable[[Ruler], Curves]) -> dict[str, Any]:
        """Curves and trends for both sizes of segments."""
        return {
            "segments": _measured(self.segments, curves(self.segments), 1),
            "minutes": _measured(self.minutes, curves(self.minutes), SPAN),
        }

    def true_motion(self, chunk: int) -> dict[str, Any]:
        return self.measured(lambda ruler: ruler.true_curves(chunk))

    def generated(self, motion: Float[np.ndarray, "b t d"], chunk: int) -> dict[str, Any]:
        return self.measured(lambda ruler: ruler.curves(motion, chunk))


def _measured(ruler: Ruler, curves: Curves, span: int) -> dict[str, Any]:
    report = {"seconds": ruler.segment / FRAME_RATE, "minutes": ruler.minutes, "emotion_chance": ruler.emotion_chance}
    return {**report, "curves": curves, "trends": trends_of(ruler.minutes, curves, span)}
