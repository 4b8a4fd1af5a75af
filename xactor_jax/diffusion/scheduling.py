"""Scheduling matrices for sampling: the noise level of every chunk before and after every network call.

A matrix K has a row for each moment and a column for each chunk; entries are times in [0, 1]. Call m moves each column from
K[m] to K[m + 1], and leaves alone the columns whose level does not change. With S steps from noise to clean:

(1)  full sequence:    K[m, j] = 1 - m / S                                       all chunks together
(2)  pyramid:          K[m, j] = clip(S + u j - m, 0, S) / S                     each chunk u calls behind the one before
(3)  autoregressive:   (2) with u = S                                            each chunk starts when the last is done
(4)  rolling pyramid:  K[m, j] = clip(u (j + 1) - m, 0, S) / S,  m <= u,  j < ceil(S / u)
(5)  history:          k(age), age 0 the youngest finished chunk, never rises with age:
     constant          k0
     geometric         k0 gamma^age, 0 where that is below 0.001
     linear            k0 max(0, 1 - age / n)
     none              0

(1) to (3): Chen et al. 2024 (2407.01392). (4) is (2) seen through a window that moves by one chunk every u calls: its last
row, moved by one chunk and joined by a fresh one, is its first. (5) is the monotonically decreasing noise over the historical
motion context of X-Actor (2508.02944), whose law is not published. A window's matrix is (5), constant over its rows, beside one
of (1), (3), (4).

Of a network in which no chunk sees a later one, (3) samples the joint distribution; (1) and (2) are approximations, since a
chunk in flight ought to be moved by the later ones that are in flight beside it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int

Matrix = Float[np.ndarray, "rows chunks"]
SCHEDULES = ("autoregressive", "pyramid", "full_sequence")
"""Names of what a window can do."""
HISTORY_LAWS = ("constant", "geometric", "linear", "none")
"""Names of (5)."""
CLEAN = 1e-3
"""Level below which a geometric history counts as clean, so that it is so from some age on."""


def full_sequence(steps: int, chunks: int) -> Matrix:
    """(1): [steps + 1, chunks]."""
    return np.repeat(np.linspace(1.0, 0.0, steps + 1)[:, None], chunks, axis=1)


def pyramid(steps: int, chunks: int, offset: int) -> Matrix:
    """(2): [steps + offset (chunks - 1) + 1, chunks]; `offset` in network calls."""
    m = np.arange(steps + offset * (chunks - 1) + 1)[:, None]
    return np.clip(steps + offset * np.arange(chunks) - m, 0, steps) / steps


def autoregressive(steps: int, chunks: int) -> Matrix:
    """(3): [steps × chunks + 1, chunks]."""
    return pyramid(steps, chunks, steps)


def rolling_pyramid(steps: int, offset: int) -> Matrix:
    """(4): [offset + 1, ceil(steps / offset)], one turn of the window."""
    m = np.arange(offset + 1)[:, None]
    return np.clip(offset * (np.arange(-(-steps // offset)) + 1) - m, 0, steps) / steps


def law_levels(
    law: str, ages: Int[np.ndarray, "ages"], level: float, decay: float = 1.0, span: int = 1
) -> Float[np.ndarray, "ages"]:
    """(5) at the given ages: k0 is `level`, gamma `decay`, n `span`, in chunks. `ValueError` for another name."""
    if law not in HISTORY_LAWS:
        raise ValueError(f"no history law is called {law!r}; there are {', '.join(HISTORY_LAWS)}")
    if law == "geometric":
        levels = level * decay ** ages.astype(np.float64)
        return np.where(levels < CLEAN, 0.0, levels)
    share = {"constant": np.ones(len(ages)), "linear": np.maximum(0.0, 1.0 - ages / span), "none": np.zeros(len(ages))}
    return level * share[law]


def history_levels(law: str, ages: int, level: float, decay: float = 1.0, span: int = 1) -> Float[np.ndarray, "chunks"]:
    """(5) of the `ages` youngest finished chunks in the order of the window, oldest first."""
    return law_levels(law, np.arange(ages)[::-1], level, decay, span)


def ages_that_change(law: str, level: float, decay: float = 1.0, span: int = 1) -> int:
    """The smallest n such that all chunks of age n and above have the same level.

    A chunk is presented anew, at a level of its own, until it is n old, and never again: what was computed of it then may be
    kept. 0 where the level does not depend on age.
    """
    end = span if law == "linear" else 0
    if law == "geometric" and decay < 1.0 and level >= CLEAN:
        end = 1 if decay == 0.0 else math.ceil(math.log(CLEAN / level) / math.log(decay)) + 1
    levels = law_levels(law, np.arange(end + 1), level, decay, span)
    return int(np.count_nonzero(levels != levels[-1]))


def per_frame(matrix: Matrix, chunk: int) -> Float[np.ndarray, "rows frames"]:
    """Every frame's level: that of its chunk."""
    return np.repeat(matrix, chunk, axis=1)


@dataclasses.dataclass(frozen=True)
class WindowSchedule:
    """What one call of the sampling window does: `levels` over its chunks in flight, of which the first `advance` end clean.

    The next call sees the window moved by `advance` chunks, as many fresh ones at its end.
    """

    levels: Matrix
    advance: int

    @property
    def active(self) -> int:
        """Chunks in flight."""
        return self.levels.shape[1]

    def with_history(self, history: Float[np.ndarray, "ages"]) -> Matrix:
        """The whole window's matrix: history columns, oldest first, then the chunks in flight."""
        return np.concatenate([np.repeat(history[None], len(self.levels), axis=0), self.levels], axis=1)


def shown_levels(schedule: WindowSchedule, history: Float[np.ndarray, "ages"], chunks: int) -> Matrix:
    """What the network is shown in every call while a sequence is made, [calls, chunks]; NaN: the chunk is not in the window.

    The window, of `history`, oldest first, and the chunks in flight, moves over the sequence as in a rollout: what is clean
    after one turn is history in the next.
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
    """The schedule called `name`; `offset` is the pyramid's, `chunks` how many the full sequence denoises together."""
    if name == "full_sequence":
        return WindowSchedule(full_sequence(steps, chunks), chunks)
    if name == "pyramid":
        return WindowSchedule(rolling_pyramid(steps, offset), 1)
    if name == "autoregressive":
        return WindowSchedule(autoregressive(steps, 1), 1)
    raise ValueError(f"no schedule is called {name!r}; there are {', '.join(SCHEDULES)}")
