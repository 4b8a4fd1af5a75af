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


def test_history_falls_with_age_and_stands_beside_the_window() -> None:
    levels = scheduling.history_levels(3, 0.08, 0.5)
    np.testing.assert_allclose(levels, [0.02, 0.04, 0.08])
    np.testing.assert_array_equal(scheduling.history_levels(3, 0.0, 0.5), 0)
    matrix = scheduling.window_schedule("autoregressive", 2).with_history(levels)
    np.testing.assert_allclose(matrix, [[0.02, 0.04, 0.08, 1], [0.02, 0.04, 0.08, 0.5], [0.02, 0.04, 0.08, 0]])
    np.testing.assert_allclose(scheduling.per_frame(matrix, 2)[0], [0.02, 0.02, 0.04, 0.04, 0.08, 0.08, 1, 1])
