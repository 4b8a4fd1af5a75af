"""Sessions against the offline video, and saved sessions against those that were not interrupted."""

from __future__ import annotations

import numpy as np
import pytest
from flax import serialization

from tests.live.conftest import offline, pixels, run_to_end, speech, taken
from xactor_jax.errors import UserError
from xactor_jax.live import saved
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Choices, Limits
from xactor_jax.live.pictures import parsed
from xactor_jax.live.programs import Programs
from xactor_jax.sealing import opened, sealed

CHOICES = [Choices(seed=1, codec="png", emotion="happy:0-0.4,sad:0.4-"), Choices(seed=2, codec="png")]


def test_sessions_that_start_and_end_at_different_times_equal_their_offline_videos(engine, models, settings, portrait):
    sounds = [speech(640 * 21 + 319, seed=1), speech(640 * 13 + 320, seed=2)]
    first = engine.open(CHOICES[0], portrait)
    first.add(sounds[0][:7000].tobytes())
    engine.tick()
    engine.tick()
    second = engine.open(CHOICES[1], portrait)
    for start in range(7000, len(sounds[0]), 999):
        first.add(sounds[0][start : start + 999].tobytes())
        engine.tick()
        second.add(sounds[1][(start - 7000) : (start - 7000) + 999].tobytes())
    second.add(sounds[1][start - 7000 + 999 :].tobytes())
    first.end()
    second.end()
    run_to_end(engine, first, second)
    for seat, sound, choices in zip((first, second), sounds, CHOICES, strict=True):
        messages = taken(seat)
        pictures = [parsed(message) for message in messages]
        expected = offline(models, settings, portrait, sound, choices)
        assert [p.number for p in pictures] == list(range(len(expected)))
        assert [p.samples for p in pictures] == [640 * i for i in range(len(expected))]
        np.testing.assert_array_equal(np.stack([pixels(message) for message in messages]), expected)


@pytest.mark.slow  # quick: tests/live/test_slots.py
def test_sessions_computed_at_the_same_time_equal_their_offline_videos(models, settings, portrait):
    engine = Engine(Programs(models, settings, together=2), Limits(sessions=2))
    seats = [engine.open(choices, portrait) for choices in CHOICES]
    sounds = [speech(640 * frames, seed=frames) for frames in (12, 17)]
    for seat, sound in zip(seats, sounds, strict=True):
        seat.add(sound.tobytes())
        seat.end()
    run_to_end(engine, *seats)
    for seat, sound, choices in zip(seats, sounds, CHOICES, strict=True):
        frames = np.stack([pixels(message) for message in taken(seat)]).astype(int)
        assert np.abs(frames - offline(models, settings, portrait, sound, choices)).max() <= 1


@pytest.mark.parametrize("cut", [640, 640 * 11 + 100])
def test_a_saved_session_goes_on_elsewhere_bit_for_bit(engine, programs, models, settings, portrait, cut):
    sound = speech(640 * 17, seed=3)
    seat = engine.open(CHOICES[0], portrait)
    seat.add(sound[:cut].tobytes())
    for _ in range(4):
        engine.tick()
    seat.add(sound[cut : cut + 100].tobytes())  # which waits
    data = engine.state(seat.name)
    other = Engine(programs, Limits(sessions=1))
    resumed = other.take_up("0" * 32, data)
    assert resumed.samples == cut + 100
    assert other.state(resumed.name) == data
    resumed.add(sound[cut + 100 :].tobytes())
    resumed.end()
    run_to_end(other, resumed)
    frames = np.stack([pixels(message) for message in taken(resumed)])
    np.testing.assert_array_equal(frames, offline(models, settings, portrait, sound, CHOICES[0]))


@pytest.fixture(scope="module")
def state(programs, portrait) -> bytes:
    engine = Engine(programs, Limits(sessions=1))
    seat = engine.open(Choices(), portrait)
    seat.add(speech(640 * 12).tobytes())
    for _ in range(3):
        engine.tick()
    return engine.state(seat.name)


def changed(state: bytes, **values: object) -> bytes:
    """A sealed state with other values."""
    tree = serialization.msgpack_restore(opened(saved.MARK, state))
    return sealed(saved.MARK, serialization.msgpack_serialize({**tree, **values}))


def test_a_damaged_state_is_refused(programs, state):
    damaged = state[:300] + bytes([state[300] ^ 1]) + state[301:]
    for data in (b"", state[:-1], damaged, sealed(saved.MARK, b"\xff"), sealed(saved.MARK, b"\x80")):
        with pytest.raises(UserError, match="damaged: start a new session"):
            saved.from_bytes(programs, data)


@pytest.mark.parametrize(
    "values",
    [
        {"segments": 10**6},
        {"segments": -1},
        {"sound": {"waiting": np.zeros(9, np.float32), "samples": 640 * 12, "frames": -(10**9)}},
        {"sound": {"waiting": np.zeros(9, np.float32), "samples": 640 * 12, "frames": 11}},
        {"motion": np.zeros((5, 3), np.float32)},
        {"motion": np.zeros((50, 8), np.float32)},
        {"motion": np.full((4, 8), np.nan, np.float32)},
        {"known": np.zeros((1, 1, 1), np.float32)},
        {"stream": b"something else"},
        {"portrait": {"for_motion": np.zeros((2, 2, 3), np.uint8), "for_video": np.zeros((32, 32, 3), np.uint8)}},
        {"choices": {"seed": -1}},
        {"unsent": {"0": b"no picture"}},
        {"pending": np.zeros(3, np.float64)},
    ],
)
def test_an_impossible_state_is_refused(programs, state, values):
    with pytest.raises(UserError):
        saved.from_bytes(programs, changed(state, **values))


def test_a_state_of_other_checkpoints_is_refused(programs, state):
    with pytest.raises(UserError, match="other checkpoints or settings"):
        saved.from_bytes(programs, changed(state, made_with="{}"))


def test_the_delay_is_what_the_slowest_picture_needs(engine, programs, portrait):
    """Sound frame by frame: no picture needs more than the delay, and one needs all of it."""
    seat, sound, waited = engine.open(Choices(), portrait), speech(640), []
    for frames in range(1, 30):
        seat.add(sound.tobytes())
        while engine.tick():
            pass
        waited += [640 * frames - parsed(message).samples for message in taken(seat)]
    assert max(waited) == round(16_000 * programs.delay_seconds)
