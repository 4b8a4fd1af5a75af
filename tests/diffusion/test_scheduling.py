"""Scheduling matrices: written out by hand, and the rolling window against the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest

from xactor_jax.diffusion import scheduling


def test_matrices_by_hand() -> None:
    np.testing.assert_allclose(scheduling.full_sequence(2, 3), [[1, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(scheduling.autoregressive(2, 2), [[1, 1], [0.5, 1], [0, 1], [0, 0.5], [0, 0]])
    np.testing.assert_allclose(scheduling.pyramid(2, 3, 1), [[1, 1, 1], [0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5], [0, 0, 0]])


def one_by_one(steps: int, chunks: int, offset: int) -> np.ndarray:
    """The pyramid by counting: chunk j makes its i-th step in call offset × j + i."""
    rows = [np.ones(chunks)]
    for call in range(steps + offset * (chunks - 1)):
        row = rows[-1].copy()
        for j in range(chunks):
            if offset * j <= call < offset * j + steps:
                row[j] -= 1 / steps
        rows.append(row)
    return np.stack(rows)


@pytest.mark.parametrize(("steps", "offset"), [(6, 2), (6, 6), (5, 2), (4, 1), (7, 3)])
def test_rolling_the_window_is_the_whole_pyramid(steps: int, offset: int) -> None:
    """Calls of the window, laid side by side at their chunks, give the matrix of a long sequence."""
    chunks = 7
    want = one_by_one(steps, chunks, offset)
    np.testing.assert_allclose(scheduling.pyramid(steps, chunks, offset), want, atol=1e-12)
    window = scheduling.window_schedule("pyramid", steps, offset=offset)
    assert window.advance == 1 and window.active == -(-steps // offset)
    rows = []
    for first in range(1 - window.active, chunks):
        for row in window.levels[:-1]:
            whole = np.where(np.arange(chunks) < first, 0.0, 1.0)
            for j, level in enumerate(row):
                if 0 <= first + j < chunks:
                    whole[first + j] = level
            rows.append(whole)
    # With steps that the offset does not divide, the window waits before its first chunk starts.
    rows = rows[window.active * offset - steps :]
    np.testing.assert_allclose(rows[: len(want)], want[: len(rows)], atol=1e-12)
    np.testing.assert_allclose(window.levels[-1, 1:], window.levels[0, :-1], atol=1e-12)


@pytest.mark.parametrize("name", ["autoregressive", "pyramid", "full_sequence"])
def test_every_chunk_goes_from_noise_to_clean_in_its_steps(name: str) -> None:
    steps, window = 8, scheduling.window_schedule(name, 8, offset=3, chunks=4)
    assert (window.levels[0, -window.advance :] == 1).all() and (window.levels[-1, : window.advance] == 0).all()
    assert (np.diff(window.levels, axis=0) <= 0).all() and (np.diff(window.levels, axis=1) >= 0).all()
    moved = (np.diff(window.levels, axis=0) != 0).sum()
    assert moved == steps * window.advance


def test_history_falls_with_age_and_precedes_the_window() -> None:
    levels = scheduling.history_levels("geometric", 3, 0.08, 0.5)
    np.testing.assert_allclose(levels, [0.02, 0.04, 0.08])
    matrix = scheduling.window_schedule("autoregressive", 2).with_history(levels)
    np.testing.assert_allclose(matrix, [[0.02, 0.04, 0.08, 1], [0.02, 0.04, 0.08, 0.5], [0.02, 0.04, 0.08, 0]])
    np.testing.assert_allclose(scheduling.per_frame(matrix, 2)[0], [0.02, 0.02, 0.04, 0.04, 0.08, 0.08, 1, 1])


HISTORY = {  # settings → levels, newest first
    ("constant", 0.1, 0.5, 2): [0.1, 0.1, 0.1, 0.1, 0.1],
    ("geometric", 0.004, 0.5, 2): [0.004, 0.002, 0.001, 0, 0],
    ("geometric", 0.1, 1.0, 2): [0.1, 0.1, 0.1, 0.1, 0.1],
    ("geometric", 0.1, 0.0, 2): [0.1, 0, 0, 0, 0],
    ("linear", 0.1, 0.5, 4): [0.1, 0.075, 0.05, 0.025, 0],
    ("linear", 0.1, 0.5, 1): [0.1, 0, 0, 0, 0],
    ("none", 0.1, 0.5, 2): [0, 0, 0, 0, 0],
    ("geometric", 0.0, 0.5, 2): [0, 0, 0, 0, 0],
}


@pytest.mark.parametrize("schedule", HISTORY)
def test_schedules_of_history_by_hand(schedule: tuple) -> None:
    name, level, decay, span = schedule
    np.testing.assert_allclose(scheduling.history_levels(name, 5, level, decay, span)[::-1], HISTORY[schedule], atol=1e-12)


SETTINGS = [
    *HISTORY,
    *[("geometric", level, decay, 1) for level in (0.9, 0.05, 0.001, 0.0009) for decay in (0.05, 0.1, 0.5, 0.9, 0.99)],
    *[("linear", level, 0.5, span) for level in (0.3, 0.0) for span in (1, 3, 7)],
]


@pytest.mark.parametrize("schedule", SETTINGS)
def test_ages_that_change_end_where_the_level_is_constant(schedule: tuple) -> None:
    """Looked for among the levels of 2,000 ages, the last of which stands for all older ones."""
    name, level, decay, span = schedule
    levels = scheduling.history_levels(name, 2000, level, decay, span)[::-1]
    assert (np.diff(levels) <= 0).all()
    n = scheduling.ages_that_change(name, level, decay, span)
    assert (levels[n:] == levels[-1]).all() and (n == 0 or levels[n - 1] != levels[-1])


def test_a_schedule_that_does_not_exist_is_refused() -> None:
    for ask in (lambda: scheduling.history_levels("cubic", 3, 0.1), lambda: scheduling.ages_that_change("cubic", 0.1)):
        with pytest.raises(ValueError, match="constant, geometric, linear, none"):
            ask()


def test_what_is_shown_by_hand() -> None:
    """Two steps a chunk, the next one call later; two chunks of history at 0.2 and 0.1."""
    window = scheduling.window_schedule("pyramid", 2, offset=1)
    shown = scheduling.shown_levels(window, np.array([0.1, 0.2]), 4)
    x = np.nan
    want = [[1, x, x, x], [0.5, 1, x, x], [0.2, 0.5, 1, x], [0.1, 0.2, 0.5, 1], [x, 0.1, 0.2, 0.5]]
    np.testing.assert_allclose(shown, want)


@pytest.mark.parametrize("name", scheduling.SCHEDULES)
def test_what_is_shown_is_the_whole_matrix_where_history_is_clean(name: str) -> None:
    steps, chunks = 6, 4
    window = scheduling.window_schedule(name, steps, offset=2, chunks=chunks)
    shown = scheduling.shown_levels(window, np.zeros(chunks), chunks)
    offset = {"pyramid": 2, "autoregressive": steps}.get(name, 0)
    want = one_by_one(steps, chunks, offset)[: len(shown)]
    np.testing.assert_allclose(np.where(np.isnan(shown), 1.0, shown), want, atol=1e-12)
    assert len(shown) == steps + offset * (chunks - 1)
