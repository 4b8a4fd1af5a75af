"""A long performance, streamed to disk and measured: does minute 60 look like minute 1, and at what cost?

All people are one batch. What a rollout gives is appended to a file [T, B, D] of float32, so that its own memory can be seen
not to grow. Measures: `xactor_jax.evaluation.motion_report`.
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
"""Minutes at either end whose mean is compared with that at the other."""


class Cost(NamedTuple):
    """Of each minute of a rollout (the last may be a part): wall seconds for a chunk, and the process's largest memory, MB.

    The first piece, for which the window is compiled, counts in `first_seconds` alone.
    """

    first_seconds: float
    seconds_per_chunk: list[float]
    rss_mb: list[float]


def memory_mb() -> float:
    """Resident memory of the process; where the system does not say, the largest that it has been."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Meter:
    """Gathers the cost of a rollout while its pieces come."""

    def __init__(self, chunk: int, clock: Callable[[], float] = time.perf_counter, memory: Callable[[], float] = memory_mb):
        self.chunk, self.clock, self.memory = chunk, clock, memory
        self.last, self.done, self.first = clock(), 0, float("nan")
        self.minutes: dict[int, list[tuple[float, float]]] = {}

    def piece(self, frames: int) -> None:
        """Told of each piece when it is there."""
        now = self.clock()
        seconds, self.last = now - self.last, now
        if not self.done:
            self.first = seconds
        else:
            per_chunk = seconds * self.chunk / frames
            self.minutes.setdefault(self.done // MINUTE, []).append((per_chunk, self.memory()))
        self.done += frames

    def cost(self) -> Cost:
        """Of all minutes so far."""
        chunks = [np.array(minute) for minute in self.minutes.values()]
        return Cost(self.first, [float(c[:, 0].mean()) for c in chunks], [float(c[:, 1].max()) for c in chunks])


def append(path: pathlib.Path, pieces: Iterable[Float[np.ndarray, "b n d"]], told: Callable[[int], None]) -> None:
    """Writes pieces one after another as float32 [T, B, D], and tells of the frames of each; the file is there once whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for piece in pieces:
            file.write(np.ascontiguousarray(np.moveaxis(np.asarray(piece, np.float32), 1, 0)).tobytes())
            told(piece.shape[1])
    part.replace(path)


def opened(path: pathlib.Path, people: int, dim: int) -> Float[np.ndarray, "b t d"]:
    """What `append` wrote, on disk until it is looked at."""
    return np.moveaxis(np.memmap(path, np.float32, "r").reshape(-1, people, dim), 0, 1)


def perform(
    actor: Stage,
    settings: RolloutSettings,
    features: Iterator[Float[np.ndarray, "b n a"]],
    reference: Float[np.ndarray, "b d"],
    emotion: Int[np.ndarray, "b t"] | None,
    seed: int,
) -> Iterator[Float[np.ndarray, "b n d"]]:
    """The rollout of all people, piece by piece."""
    key = sampling_keys(seed)[0]
    pieces = actor.model.stream(actor.variables, key, features, reference, emotion, settings)
    return (np.asarray(piece) for piece in pieces)


def finished(path: pathlib.Path, mark: Mapping[str, Any]) -> bool:
    """Whether the file is there and holds what was measured under this very mark: all that its numbers depend on."""
    try:
        return json.loads(path.read_text())["mark"] == json.loads(json.dumps(mark))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_record(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """A JSON file that is never seen half written."""
    path.parent.mkdir(exist_ok=True)
    write_whole(epath.Path(path), json.dumps(finite(content), indent=1) + "\n")


class Rulers(NamedTuple):
    """For segments of some seconds and for minutes."""

    segments: Ruler
    minutes: Ruler

    def measured(self, curves: Callable[[Ruler], Curves]) -> dict[str, Any]:
        """Curves and trends in both sizes of segment."""
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
