"""Long performances are what a short one is, in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from data.performers.emotion import ACTED_EMOTIONS
from data.performers.long import iter_frames, iter_latents, make_long_performance, read_person
from data.performers.performance import LONG
from data.puppets import body
from xactor_jax.errors import UserError
from xactor_jax.labels import CONTROLS

SIZE = 32


@pytest.fixture(scope="module")
def minute():
    return make_long_performance(body, 3, 4, 1.0)


def test_it_lasts_as_long_as_asked_and_is_the_same_again(minute):
    assert minute.audio.shape == (60 * 16_000,) and minute.controls.shape == (1500, len(CONTROLS))
    again = make_long_performance(body, 3, 4, 1.0)
    np.testing.assert_array_equal(minute.audio, again.audio)
    np.testing.assert_array_equal(minute.controls, again.controls)
    assert not np.array_equal(minute.controls, make_long_performance(body, 3, 5, 1.0).controls)


def test_emotion_changes_over_time_and_is_known_of_every_frame(minute):
    label = minute.mood.label
    assert label.shape == (1500,) and set(label) <= set(range(len(ACTED_EMOTIONS))) and len(set(label)) >= 3
    changes = np.flatnonzero(np.diff(label))
    assert 5 <= len(changes) <= 20


def test_pieces_are_the_whole(minute):
    short = make_long_performance(body, 3, 4, 3 / 60)
    figure = body.make_figure(3, 4, LONG, short.acting)
    whole = figure.render(short.acting, SIZE)
    parts = list(iter_frames(figure, short, SIZE, piece=32))
    assert [len(part) for part in parts] == [32, 32, 11]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    encode = lambda frames: frames.reshape(len(frames), -1).mean(axis=1, keepdims=True).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(list(iter_latents(figure, short, SIZE, encode, piece=32))), encode(whole))


def test_probes_see_every_fifth_frame():
    seen = []
    encode = lambda frames: seen.append(frames) or np.zeros((len(frames), 2), np.float32)
    clip = read_person(body, 3, 4, SIZE, encode, 50, 5)
    whole = read_person(body, 3, 4, SIZE, encode, 50, 1)
    np.testing.assert_array_equal(seen[0], seen[1][::5])
    np.testing.assert_array_equal(clip.controls, whole.controls[::5])
    np.testing.assert_array_equal(clip.emotion, whole.emotion[::5])
    assert clip.latents.shape == (10, 2)


def test_less_than_a_second_is_refused():
    with pytest.raises(UserError, match="too short"):
        make_long_performance(body, 0, 0, 0.01)
