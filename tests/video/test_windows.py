from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.video.windows import SegmentPlan, iter_segments, join_windows, split_windows, stack_segments

PLANS = [
    SegmentPlan(window=4, overlap=2, windows=3, known=2),
    SegmentPlan(window=8, overlap=0, windows=2, known=0),
    SegmentPlan(window=5, overlap=4, windows=4, known=3),
    SegmentPlan(window=6, overlap=2, windows=1, known=1),
]


@pytest.mark.parametrize("plan", PLANS)
def test_predictions_of_windows_are_averaged(plan, rng):
    y = rng.normal(size=(2, plan.windows, plan.window, 3)).astype(np.float32)
    total, count = np.zeros((2, plan.length, 3)), np.zeros(plan.length)
    for w in range(plan.windows):
        for i in range(plan.window):
            frame = w * (plan.window - plan.overlap) + i
            total[:, frame] += y[:, w, i]
            count[frame] += 1
    assert count.min() >= 1
    np.testing.assert_allclose(join_windows(jnp.asarray(y), plan), total / count[:, None], rtol=1e-5)


@pytest.mark.parametrize("plan", PLANS)
def test_windows_of_one_sequence_join_to_it(plan, rng):
    x = rng.normal(size=(2, plan.length, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(join_windows(split_windows(jnp.asarray(x), plan), plan), x, rtol=1e-6)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 23])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_segments_cover_every_frame_once_however_it_comes(plan, frames, chunk):
    motion = np.arange(frames, dtype=np.float32)[:, None] + 1.0
    pieces = [motion[i : i + chunk] for i in range(0, frames, chunk)]
    segments = list(iter_segments([np.zeros((0, 1), np.float32), *pieces], plan))
    assert len(segments) == plan.segments(frames)
    emitted = np.concatenate([segment[plan.known : plan.known + count] for segment, count in segments])
    np.testing.assert_array_equal(emitted, motion)
    for (before, _), (after, _) in itertools.pairwise(segments):
        np.testing.assert_array_equal(after[: plan.known], before[plan.length - plan.known :])
    assert all(segment.shape == (plan.length, 1) for segment, _ in segments)
    np.testing.assert_array_equal(np.stack([s for s, _ in segments]), stack_segments(jnp.asarray(motion)[None], plan)[0])


def test_a_segment_is_given_out_as_soon_as_it_is_whole():
    plan, taken = PLANS[0], 0

    def stream():
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((1, 1), np.float32)

    segments = iter_segments(stream(), plan)
    for n in range(1, 4):
        next(segments)
        assert taken == n * plan.new


def test_no_motion_gives_no_segment():
    assert list(iter_segments([], PLANS[0])) == []


def test_impossible_plans_are_refused():
    for numbers in ((4, 4, 1, 0), (4, 2, 0, 0), (4, 2, 1, 4)):
        with pytest.raises(ValueError, match="impossible"):
            SegmentPlan(**dict(zip(("window", "overlap", "windows", "known"), numbers, strict=True)))
