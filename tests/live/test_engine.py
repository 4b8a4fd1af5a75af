"""The scheduler: places, queues, and errors that stay with their session."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tests.live.conftest import run_to_end, speech, taken
from xactor_jax.errors import UserError
from xactor_jax.live import engine as module
from xactor_jax.live import slots
from xactor_jax.live.engine import Busy, Engine, Unknown
from xactor_jax.live.limits import Choices, Limits
from xactor_jax.live.pictures import parsed


class Hours:
    """A clock that the test turns."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_full_server_is_busy_until_a_place_is_free(engine, portrait):
    seats = [engine.open(Choices(), portrait) for _ in range(2)]
    with pytest.raises(Busy, match="all 2 places are taken"):
        engine.open(Choices(), portrait)
    engine.remove(seats[0].name)
    with pytest.raises(Unknown):
        engine.find(seats[0].name)
    assert engine.free == 1 and engine.open(Choices(), portrait)
    assert engine.measures.counts["refused"] == 1 and engine.measures.counts["finished"] == 1


def test_a_refused_session_leaves_its_place(engine, portrait):
    for _ in range(5):
        with pytest.raises(UserError, match="does not know the emotion"):
            engine.open(Choices(emotion="disgusted"), portrait)
    assert engine.free == 2 and engine.open(Choices(), portrait)


def test_a_slow_reader_loses_the_oldest_pictures(programs, portrait):
    engine = Engine(programs, Limits(sessions=2, queue_frames=5), Hours())
    slow, quick = (engine.open(Choices(), portrait) for _ in range(2))
    got = []
    for start in range(0, 640 * 20, 640):
        for seat in (slow, quick):
            seat.add(speech(640, seed=start).tobytes())
        while engine.tick():
            got += taken(quick)
    left = [parsed(message).number for message in taken(slow)]
    assert left == list(range(left[0], left[0] + 5)) and slow.dropped == left[0] > 0
    assert [parsed(message).number for message in got] == list(range(len(got))) and quick.dropped == 0


def test_an_error_ends_only_its_session(engine, portrait):
    bad, good = (engine.open(Choices(), portrait) for _ in range(2))
    bad.session.known = jnp.full_like(bad.session.known, np.nan)
    for seat in (bad, good):
        seat.add(speech(640 * 12).tobytes())
        seat.end()
    bad.session.stream.guide = bad.session.stream.guide._replace(reference=bad.session.stream.guide.reference * np.nan)
    run_to_end(engine, bad, good)
    assert bad.broken and "motion of frame 0 is not finite" in bad.reason
    assert not good.broken and good.reason == "the sound has ended" and len(taken(good)) == 12


def test_a_program_that_fails_ends_the_sessions_of_its_call(engine, portrait, monkeypatch):
    def fails(strides, mapped):
        raise MemoryError("no room")

    seat, other = (engine.open(Choices(), portrait) for _ in range(2))
    seat.add(speech(640 * 12).tobytes())
    monkeypatch.setattr(engine.programs, "advance", fails)
    engine.tick()
    assert seat.broken and "no room" in seat.reason and not other.reason


def test_sessions_end_when_nothing_comes_and_when_they_are_long(programs, portrait):
    clock = Hours()
    engine = Engine(programs, Limits(sessions=2, idle_seconds=10.0, seconds=0.4), clock)
    idle, long = (engine.open(Choices(), portrait) for _ in range(2))
    for _ in range(5):
        long.add(speech(6400).tobytes())
    run_to_end(engine, long)
    assert long.reason == "the session has had its 0.4 seconds" and len(taken(long)) == 10
    clock.now = 11.0
    engine.tick()
    assert idle.reason == "no sound came for 10 seconds" and engine.free == 2


def test_latency_is_counted_from_the_last_sound_of_a_frame(programs, portrait):
    clock = Hours()
    engine = Engine(programs, Limits(sessions=1), clock)
    seat = engine.open(Choices(), portrait)
    for count in range(1, 10):
        clock.now = count / 25
        seat.add(speech(640).tobytes())
        while engine.tick():
            pass
    first = parsed(seat.take())
    times = list(engine.measures.latency._values)
    assert first.number == 0 and len(times) == engine.measures.counts["frames"]
    # Motion of the first segment's last frame, 3, needs the first stride: 5 frames, 2 ahead, and 1 of sound after them.
    assert times[0] == pytest.approx(7 / 25)


def test_after_warm_up_nothing_is_left_and_nothing_is_compiled(engine, programs, portrait):
    engine.warm_up(portrait)
    assert engine.free == 2 and engine.measures.counts["frames"] == 0
    compiled = lambda: (slots._advance._cache_size(), slots._render._cache_size())
    before = compiled()
    seat = engine.open(Choices(seed=5, emotion="sad"), portrait)
    seat.add(speech(640 * 9).tobytes())
    engine.tick()
    other = Engine(programs, Limits(sessions=2))
    resumed = other.take_up("0" * 32, engine.state(seat.name))
    resumed.end()
    run_to_end(other, resumed)
    assert min(before) > 0 and compiled() == before


@pytest.mark.parametrize(
    ("load", "cost", "places"), [(1.0, 0.4, 2), (1.0, 0.24, 3), (1.0, 0.7, 1), (2.5, 0.7, 3), (1.0, 7.0, 1), (0.0, 7.0, 3)]
)
def test_there_are_as_many_places_as_the_machine_computes_in_real_time(programs, portrait, monkeypatch, load, cost, places):
    """Rendering a segment moves the clock, as if one session needed `cost` seconds of computing in a second."""
    clock, render = Hours(), programs.render

    def slowly(segments, mapped):
        clock.now += cost * len(segments) * programs.plan.new / 25
        return render(segments, mapped)

    monkeypatch.setattr(programs, "render", slowly)
    engine = Engine(programs, Limits(sessions=3, load=load), clock)
    engine.measure(portrait)
    assert (engine.cost, engine.places, engine.free) == (pytest.approx(cost), places, places)
    for _ in range(places):
        engine.open(Choices(), portrait)
    with pytest.raises(Busy, match=f"all {places} places are taken"):
        engine.open(Choices(), portrait)


def test_places_are_whole_groups(programs, portrait, monkeypatch):
    monkeypatch.setattr(programs, "together", 2)
    engine = Engine(programs, Limits(sessions=6))
    monkeypatch.setattr(engine, "_rehearse", lambda _, frames, count: 0.2 * count * frames / 25)
    engine.measure(portrait)
    assert engine.places == 4


def test_an_engine_in_its_thread_stops(engine, portrait):
    engine.start()
    seat = engine.open(Choices(), portrait)
    seat.add(speech(640 * 8).tobytes())
    seat.end()
    for _ in range(6000):
        if seat.reason:
            break
        engine._stopping.wait(module.PAUSE)
    engine.stop()
    assert seat.reason == "the sound has ended" and len(taken(seat)) == 8
