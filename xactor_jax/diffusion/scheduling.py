"""Scheduling matrices for sampling: the noise level of every chunk before and after every network call.

A matrix K has a column for each chunk, and rows 0 … M for M network calls; entries are times in [0, 1]. Call m moves each
column from K[m] to K[m + 1]; a column whose level does not change stays as it is. With S steps from noise to clean:

(1)  full sequence:    K[m, j] = 1 - m / S                                       all chunks together
(2)  pyramid:          K[m, j] = clip(S + u j - m, 0, S) / S                     each chunk u calls behind the one before
(3)  autoregressive:   (2) with u = S                                            each chunk starts when the last is done
(4)  rolling pyramid:  K[m, j] = clip(u (j + 1) - m, 0, S) / S,  m <= u,  j < ceil(S / u)
(5)  history:          k(age), non-increasing; age 0 is the newest finished chunk:
     constant          k0
     geometric         k0 gamma^age, 0 where that is below 0.001
     linear            k0 max(0, 1 - age / n)
     none              0

(1) to (3): Chen et al. 2024 (2407.01392). (4) is (2) in a window that moves by one chunk every u calls: if its last row is
moved by one chunk and a chunk of pure noise is appended, the result is its first row. (5) is the monotonically decreasing noise
over the historical motion context of X-Actor (2508.02944), whose formula is not published. The matrix of a window has the
levels (5) for history, the same in each row, followed by (1), (3) or (4) for the chunks in flight.

In a network where no chunk attends to a later one, (3) samples the joint distribution. (1) and (2) are approximations: they
ignore the influence that later chunks in flight should have on earlier ones.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int

Matrix = Float[np.ndarray, "rows chunks"]
SCHEDULES = ("autoregressive", "pyramid", "full_sequence")
"""Names of the sampling schedules of a window."""
HISTORY_SCHEDULES = ("constant", "geometric", "linear", "none")
"""Names of the history schedules of equation 5."""
CLEAN = 1e-3
"""A geometric level below this is set to 0, so that all chunks above some age are clean."""


def full_sequence(steps: int, chunks: int) -> Matrix:
    """All chunks are denoised together: [steps + 1, chunks] (equation 1)."""
    return np.repeat(np.linspace(1.0, 0.0, steps + 1)[:, None], chunks, axis=1)


def pyramid(steps: int, chunks: int, offset: int) -> Matrix:
    """Each chunk starts `offset` network calls after the one before: [steps + offset (chunks - 1) + 1, chunks] (equation 2)."""
    m = np.arange(steps + offset * (chunks - 1) + 1)[:, None]
    return np.clip(steps + offset * np.arange(chunks) - m, 0, steps) / steps


def autoregressive(steps: int, chunks: int) -> Matrix:
    """Each chunk starts when the one before is clean: [steps × chunks + 1, chunks] (equation 3)."""
    return pyramid(steps, chunks, steps)


def rolling_pyramid(steps: int, offset: int) -> Matrix:
    """The pyramid in a moving window, for one position of the window: [offset + 1, ceil(steps / offset)] (equation 4)."""
    m = np.arange(offset + 1)[:, None]
    return np.clip(offset * (np.arange(-(-steps // offset)) + 1) - m, 0, steps) / steps


def levels_at_ages(
    schedule: str, ages: Int[np.ndarray, "ages"], level: float, decay: float = 1.0, span: int = 1
) -> Float[np.ndarray, "ages"]:
    """Levels of finished chunks of the given ages (equation 5): k0 is `level`, gamma `decay` and n `span`, in chunks.

    Raises:
        ValueError: no history schedule has this name.
    """
    if schedule not in HISTORY_SCHEDULES:
        raise ValueError(f"no history schedule is called {schedule!r}; there are {', '.join(HISTORY_SCHEDULES)}")
    if schedule == "geometric":
        levels = level * decay ** ages.astype(np.float64)
        return np.where(levels < CLEAN, 0.0, levels)
    share = {"constant": np.ones(len(ages)), "linear": np.maximum(0.0, 1.0 - ages / span), "none": np.zeros(len(ages))}
    return level * share[schedule]


def history_levels(schedule: str, ages: int, level: float, decay: float = 1.0, span: int = 1) -> Float[np.ndarray, "chunks"]:
    """Levels of the `ages` newest finished chunks in the order of the window, oldest first (equation 5)."""
    return levels_at_ages(schedule, np.arange(ages)[::-1], level, decay, span)


def ages_that_change(schedule: str, level: float, decay: float = 1.0, span: int = 1) -> int:
    """The smallest n such that all chunks of age n and above have the same level; 0 if the level does not depend on age.

    The network needs to read a chunk again only while its level changes, that is until age n. After that its keys and values
    can be cached.
    """
    end = span if schedule == "linear" else 0
    if schedule == "geometric" and decay < 1.0 and level >= CLEAN:
        end = 1 if decay == 0.0 else math.ceil(math.log(CLEAN / level) / math.log(decay)) + 1
    levels = levels_at_ages(schedule, np.arange(end + 1), level, decay, span)
    return int(np.count_nonzero(levels != levels[-1]))


def per_frame(matrix: Matrix, chunk: int) -> Float[np.ndarray, "rows frames"]:
    """Repeats the level of each chunk for its frames."""
    return np.repeat(matrix, chunk, axis=1)


@dataclasses.dataclass(frozen=True)
class WindowSchedule:
    """Schedule of one call of the sampling window: `levels` of its chunks in flight, of which the first `advance` end clean.

    For the next call the window moves by `advance` chunks, and as many chunks of pure noise are appended.
    """

    levels: Matrix
    advance: int

    @property
    def active(self) -> int:
        """Number of chunks in flight."""
        return self.levels.shape[1]

    def with_history(self, history: Float[np.ndarray, "ages"]) -> Matrix:
        """Matrix of the whole window: first the history columns, oldest first, then the chunks in flight."""
        return np.concatenate([np.repeat(history[None], len(self.levels), axis=0), self.levels], axis=1)


def shown_levels(schedule: WindowSchedule, history: Float[np.ndarray, "ages"], chunks: int) -> Matrix:
    """Level of every chunk in every network call of a rollout, [calls, chunks]; NaN if the chunk is not in the window.

    The window consists of `history`, oldest first, and the chunks in flight. It moves over the sequence as in a rollout: chunks
    that are clean after one position of the window are history at the next.
    """
    window, ages = schedule.with_history(history)[:-1], len(history)
    turns = []
    for position in range(schedule.advance - schedule.active, chunks, schedule.advance):
        shown = position - ages + np.arange(window.shape[1])
        inside = (shown >= 0) & (shown < chunks)
        turn = np.full((len(window), chunks), np.nan)
        turn[:, shown[inside]] = window[:, inside]
        turns.append(turn)
    return np.concatenate(turns)


def window_schedule(name: str, steps: int, *, offset: int = 1, chunks: int = 1) -> WindowSchedule:
    """The schedule called `name`. Only the pyramid uses `offset`; only the full sequence uses `chunks`, its length."""
    if name == "full_sequence":
        return WindowSchedule(full_sequence(steps, chunks), chunks)
    if name == "pyramid":
        return WindowSchedule(rolling_pyramid(steps, offset), 1)
    if name == "autoregressive":
        return WindowSchedule(autoregressive(steps, 1), 1)
    raise ValueError(f"no schedule is called {name!r}; there are {', '.join(SCHEDULES)}")
