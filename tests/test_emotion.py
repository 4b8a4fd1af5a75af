"""Tracks mean what they say, and what they cannot mean is refused in one sentence."""

from __future__ import annotations

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.emotion import Emotion, EmotionTrack, Segment, frames_of, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS

INF = float("inf")


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("  ", []),
        ("neutral", [("neutral", 1.0, 0.0, INF)]),
        ("happy@0.6", [("happy", 0.6, 0.0, INF)]),
        ("sad@0", [("sad", 0.0, 0.0, INF)]),
        ("sad@1.0", [("sad", 1.0, 0.0, INF)]),
        ("angry@.25", [("angry", 0.25, 0.0, INF)]),
        ("happy:0-20,sad:20-40", [("happy", 1.0, 0.0, 20.0), ("sad", 1.0, 20.0, 40.0)]),
        ("happy@0.5:0-20,sad:20-", [("happy", 0.5, 0.0, 20.0), ("sad", 1.0, 20.0, INF)]),
        ("surprised:1.5-2.25", [("surprised", 1.0, 1.5, 2.25)]),
        (" happy @ 0.5 : 0 - 20 , sad : 30 - ", [("happy", 0.5, 0.0, 20.0), ("sad", 1.0, 30.0, INF)]),
        ("sad:20-,happy:0-20", [("happy", 1.0, 0.0, 20.0), ("sad", 1.0, 20.0, INF)]),
        ("happy@1:0-", [("happy", 1.0, 0.0, INF)]),
    ],
)
def test_a_track_is_read_and_written(text, segments):
    track = parse_emotion(text)
    assert [(s.name, s.intensity, s.start, s.end) for s in track.segments] == segments
    assert parse_emotion(str(track)) == track and hash(parse_emotion(str(track))) == hash(track)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("happy", "happy"),
        ("happy@1.00:0-", "happy"),
        ("sad : 20.50 -, happy@.50:0-20", "happy@0.5:0-20,sad:20.5-"),
        ("sad@0.00001:123456789.125-", "sad@0.00001:123456789.125-"),
        ("happy:0.1-0.30", "happy:0.1-0.3"),
    ],
)
def test_a_track_is_written_in_one_way(text, written):
    assert str(parse_emotion(text)) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bored", "no emotion 'bored': choose one of neutral, happy, sad"),
        ("Happy", "no emotion 'Happy'"),
        ("happy:0-20,bored:20-", "no emotion 'bored'"),
        ("happy,", "no emotion ''"),
        (",", "no emotion ''"),
        ("@0.5", "no emotion ''"),
        ("happy sad", "no emotion 'happy sad'"),
        ("happy@1.5", "intensity 1.5 of happy is out of range: give a number from 0 to 1"),
        ("happy@-0.5", "intensity of happy, '-0.5', is not possible: give a number from 0 to 1"),
        ("happy@", "intensity of happy, '', is not possible"),
        ("happy@half", "'half'"),
        ("happy@nan", "'nan'"),
        ("happy@1e-3", "'1e-3'"),
        ("happy@0.5@0.6", "'0.5@0.6'"),
        ("happy:", "time of happy, '', is not possible: give seconds from 0 on, as in 0-20"),
        ("happy:20", "time of happy, '20'"),
        ("happy:-20", "time of happy, '-20'"),
        ("happy:-5-10", "time of happy, '-5-10'"),
        ("happy:0--10", "time of happy, '-10'"),
        ("happy:0-10-20", "time of happy, '10-20'"),
        ("happy:a-b", "time of happy, 'a'"),
        ("happy:0-inf", "time of happy, 'inf'"),
        ("happy:0:20", "time of happy, '0:20'"),
        ("happy:20-10", "happy ends at 10 s and starts at 20 s: let it end after its start"),
        ("happy:5-5", "happy ends at 5 s and starts at 5 s"),
        ("happy,sad", "happy and sad overlap in the emotion track: give each its own time"),
        ("happy:0-20,sad:19.9-30", "happy:0-20 and sad:19.9-30 overlap"),
        ("sad:30-40,happy@0.5:20-", "happy@0.5:20- and sad:30-40 overlap"),
        ("happy:0-10,happy:0-10", "overlap"),
    ],
)
def test_what_is_no_track_is_refused(text, message):
    with pytest.raises(UserError) as error:
        parse_emotion(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    "wrong", [{"label": len(EMOTIONS)}, {"label": -1}, {"label": 1, "intensity": float("nan")}, {"label": 1, "start": -1.0}]
)
def test_segments_made_by_hand_are_checked_too(wrong):
    with pytest.raises(UserError):
        Segment(**wrong)


def truth(segments: list[tuple[int, float, int, int]], frame: int) -> tuple[int, float]:
    """Label and intensity of a frame in exact arithmetic: times are hundredths of a second, of which a frame lasts four."""
    inside = [(label, s) for label, s, start, end in segments if start <= 4 * frame < end]
    return inside[0] if inside else (-1, 1.0)


def test_frames_belong_to_the_segment_they_begin_in():
    """Boundaries in hundredths of a second, a quarter of them on frames; some of those that 25 times a float misses."""
    rng = np.random.default_rng(0)
    for k in range(200):
        cuts = np.sort(rng.choice(np.arange(1, 4000), 3, replace=False)) if k else np.array([28, 56, 116])
        a, b, c = (f"{cut / 100:.2f}" for cut in cuts)
        segments = [(1, 0.5, 0, cuts[0]), (2, 1.0, cuts[0], cuts[1]), (4, 0.25, cuts[2], 10_000)]
        track = parse_emotion(f"happy@0.5:0-{a},sad:{a}-{b},surprised@0.25:{c}-")
        labels, intensities = track.frames(0, 1010)
        want = [truth(segments, i) for i in range(1010)]
        np.testing.assert_array_equal(labels, [label for label, _ in want])
        np.testing.assert_array_equal(intensities, np.float32([s for _, s in want]))


def test_a_boundary_on_a_frame_gives_the_frame_to_what_begins():
    labels, intensities = parse_emotion("happy@0.5:0-0.08,sad:0.08-0.2,angry:0.28-0.30").frames(0, 9)
    np.testing.assert_array_equal(labels, [1, 1, 2, 2, 2, -1, -1, 3, -1])
    np.testing.assert_array_equal(intensities, np.float32([0.5, 0.5] + [1] * 7))
    assert labels.dtype == np.int32 and intensities.dtype == np.float32


def test_frames_do_not_depend_on_where_one_starts_to_read():
    track = parse_emotion("happy@0.5:0.3-2,sad:2.5-")
    whole = track.frames(0, 200)
    for start in (0, 7, 50, 63, 150):
        for x, part in zip(whole, track.frames(start, 40), strict=True):
            np.testing.assert_array_equal(part, x[start : start + 40])
    late, _ = track.frames(10**9, 3)  # 463 days
    np.testing.assert_array_equal(late, [2, 2, 2])
    assert np.all(EmotionTrack().frames(0, 5)[0] == -1)


def assert_frames(got: Emotion, labels, intensities) -> None:
    assert isinstance(got, Emotion) and isinstance(got.label, jax.Array) and isinstance(got.intensity, jax.Array)
    assert got.label.dtype == np.int32 and got.intensity.dtype == np.float32
    np.testing.assert_array_equal(got.label, labels)
    np.testing.assert_array_equal(got.intensity, np.float32(intensities))


def test_nothing_is_unknown():
    assert_frames(frames_of(None, 2, 5, 3), np.full((2, 3), -1), np.ones((2, 3)))


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_labels_without_intensities_have_full_intensity(array):
    assert_frames(frames_of(array([2, -1]), 2, 7, 3), [[2] * 3, [-1] * 3], np.ones((2, 3)))
    each = array([[0, 1, 2, 3], [4, 3, 2, 1]])
    assert_frames(frames_of(each, 2, 2, 4), [[2, 3, 3, 3], [2, 1, 1, 1]], np.ones((2, 4)))
    assert_frames(frames_of(each, 2, 9, 2), [[3, 3], [1, 1]], np.ones((2, 2)))


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_the_last_emotion_lasts(array):
    whole = Emotion(array([1, 2]), array([0.5, 0.25]))
    assert_frames(frames_of(whole, 2, 3, 2), [[1, 1], [2, 2]], [[0.5, 0.5], [0.25, 0.25]])
    each = Emotion(array([[1, 2, 3]]), array([[0.5, 0.25, 0.125]]))
    assert_frames(frames_of(each, 1, 1, 4), [[2, 3, 3, 3]], [[0.25, 0.125, 0.125, 0.125]])


def test_tracks_are_one_for_all_or_one_for_each():
    a, b = parse_emotion("happy@0.5:0-0.08,sad:0.08-"), parse_emotion("angry:0.12-")
    assert_frames(frames_of(a, 2, 1, 3), [[1, 2, 2]] * 2, [[0.5, 1, 1]] * 2)
    for tracks in ([a, b], (a, b)):
        assert_frames(frames_of(tracks, 2, 1, 3), [[1, 2, 2], [-1, -1, 3]], [[0.5, 1, 1], [1, 1, 1]])
        assert_frames(frames_of(tracks, 2, 1000, 1), [[2], [3]], [[1], [1]])
    with pytest.raises(ValueError, match="2 emotion tracks for 3 examples"):
        frames_of([a, b], 3, 0, 1)


def test_arrays_may_be_traced():
    emotion = Emotion(jnp.array([[1, 2, 3]]), jnp.array([[0.5, 0.25, 0.125]]))
    run = jax.jit(lambda e: frames_of(e, 1, 2, 3))
    assert_frames(run(emotion), [[3, 3, 3]], [[0.125] * 3])
    assert_frames(jax.jit(lambda x: frames_of(x, 2, 2, 2))(jnp.array([4, 0])), [[4, 4], [0, 0]], np.ones((2, 2)))
    track = parse_emotion("happy:0-0.04")
    assert_frames(jax.jit(lambda: frames_of(track, 1, 0, 2))(), [[1, -1]], [[1, 1]])


def test_every_label_has_a_track():
    for index, name in enumerate(EMOTIONS):
        np.testing.assert_array_equal(parse_emotion(name).frames(0, 2)[0], [index, index])
