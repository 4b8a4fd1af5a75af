"""The scheduler: all sessions that have enough sound or motion take their next step together, call after call.

One call of `tick` gives every session its waiting sound, runs the actor and the renderer once for all sessions, and puts the
pictures into the sessions' queues. What one session does wrong ends only that session.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from xactor_jax.errors import UserError, first_line
from xactor_jax.live import pictures, saved
from xactor_jax.live.limits import Choices, Limits
from xactor_jax.live.measures import Measures
from xactor_jax.live.programs import Programs
from xactor_jax.live.saved import Saved
from xactor_jax.live.seat import Clock, Seat
from xactor_jax.live.session import Session
from xactor_jax.media.marks import draw_mark
from xactor_jax.sampling.portrait import Portrait
from xactor_jax.timing import FRAME_RATE, SAMPLES_PER_FRAME

log = logging.getLogger(__name__)

MEASURED_SEGMENTS = 3
"""Segments of the renderer over which `Engine.measure` takes the time."""

CORES = os.cpu_count() or 1
"""Threads that compute groups of sessions and compress pictures."""

PAUSE = 0.005
"""Seconds between two looks for work, when there is none."""


class Busy(UserError):
    """All places are taken."""


class Unknown(UserError):
    """There is no such session."""


class Taken(UserError):
    """There is a session of that name."""


class Engine:
    """The sessions of one server. `start` runs it in a thread of its own."""

    def __init__(self, programs: Programs, limits: Limits, clock: Clock = time.monotonic):
        self.programs, self.limits, self.clock, self.measures = programs, limits, clock, Measures()
        self.seats: dict[str, Seat] = {}
        self.cost = 0.0
        """Seconds of computing that one session needs in a second; 0 before `measure`."""
        self._set_places(limits.sessions)
        self._between = threading.Lock()  # held during a tick
        self._cores = concurrent.futures.ThreadPoolExecutor(CORES)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def free(self) -> int:
        """Places that are not taken."""
        return max(0, self.places - len(self.seats))

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def open(self, choices: Choices, portrait: Portrait) -> Seat:
        """A new session. Raises `Busy`, or `UserError` for choices that the stages cannot follow."""
        start = lambda: Saved(Session(self.programs, choices, portrait), np.zeros(0, np.int16), False, [])
        return self._seated(secrets.token_hex(16), start, "started")

    def take_up(self, name: str, data: bytes) -> Seat:
        """A session of saved bytes. Raises `Busy`, `Taken`, or `UserError` for bytes that are not such a session."""
        return self._seated(name, lambda: saved.from_bytes(self.programs, data), "resumed")

    def find(self, name: str) -> Seat:
        """The session of a name. Raises `Unknown`."""
        if (seat := self.seats.get(name)) is None:
            raise Unknown(f"there is no session {name[:40]}: make one with POST /sessions.")
        return seat

    def state(self, name: str) -> bytes:
        """The session as bytes; it goes on. Raises `Unknown`, or `UserError` if it has ended."""
        with self._between:
            if (seat := self.find(name)).reason:
                raise UserError(f"the session has ended ({seat.reason}): there is nothing to save.")
            return saved.to_bytes(seat.saved())

    def remove(self, name: str, reason: str = "it was ended by its client") -> None:
        """Ends a session and frees its place. Unknown names are ignored."""
        if (seat := self.seats.pop(name, None)) is not None:
            seat.close(reason)
            self.measures.counts["broken" if seat.broken else "finished"] += 1
            self.measures.counts["dropped"] += seat.dropped
            self._free.release()

    def tick(self) -> bool:
        """One step of all sessions that have work. Returns whether any had."""
        with self._between:
            started, seats = self.clock(), [seat for seat in list(self.seats.values()) if not seat.reason]
            for seat in seats:
                with self._isolated(seat):
                    seat.feed()
            worked = [self._moved(seats), self._drawn(seats)]
            if any(worked):
                self.measures.tick.add([self.clock() - started])
            self._tidied(seats)
            return any(worked)

    def warm_up(self, portrait: Portrait) -> None:
        """Compiles everything that a session needs: one session of noise, to its end. Call it before `start`."""
        plan, window = self.programs.plan, self.programs.window
        self._rehearse(portrait, plan.new + window.needed + window.stride)

    def measure(self, portrait: Portrait) -> None:
        """Measures `cost` and sets the number of places: as many sessions as `load` allows, at least one group.

        Call it after `warm_up` and before `start`. It performs as many sessions as are computed at the same time.
        """
        frames, together = MEASURED_SEGMENTS * self.programs.plan.new, self.programs.together
        count = min(self.limits.sessions, together * CORES)
        self.cost = self._rehearse(portrait, frames, count) * FRAME_RATE / frames / count
        if load := self.limits.load:
            places = max(together, int(load / self.cost) // together * together)
            self._set_places(min(self.limits.sessions, places))

    def _rehearse(self, portrait: Portrait, frames: int, count: int = 1) -> float:
        """Performs `count` sessions of noise, to their ends. Returns how many seconds it took."""
        noise = np.random.default_rng(0).integers(-3000, 3000, frames * SAMPLES_PER_FRAME)
        seats, started = [self.open(Choices(), portrait) for _ in range(count)], self.clock()
        for seat in seats:
            seat.session.push(noise.astype(np.int16))
            seat.end()
        while not all(seat.reason for seat in seats):
            self.tick()
        for seat in seats:
            self.remove(seat.name)
        self.measures = Measures()
        return self.clock() - started

    def _set_places(self, count: int) -> None:
        self.places, self._free = count, threading.Semaphore(count)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends all sessions and the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in list(self.seats):
            self.remove(name, "the server stops")
        self._cores.shutdown()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self.tick():
                self._stopping.wait(PAUSE)

    def _seated(self, name: str, start: Callable[[], Saved], how: str) -> Seat:
        if not self._free.acquire(blocking=False):
            self.measures.counts["refused"] += 1
            raise Busy(f"all {self.places} places are taken: try again later.")
        try:
            seat = Seat(name, start(), self.limits, self.clock)
            if self.seats.setdefault(name, seat) is not seat:
                raise Taken(f"there is already a session {name}: choose another name.")
        except BaseException:
            self._free.release()
            raise
        self.measures.counts[how] += 1
        return seat

    def _moved(self, seats: Sequence[Seat]) -> bool:
        """One call of the actor for every session that has enough sound."""
        wanting = self._inputs([seat for seat in seats if seat.session.motion_ready], lambda seat: seat.session.next_stride())
        for seat, (call, _), result in self._results(wanting, self.programs.advance, lambda pair: pair[1]):
            with self._isolated(seat):
                seat.session.took_stride(call, *result)
        return bool(wanting)

    def _drawn(self, seats: Sequence[Seat]) -> bool:
        """One call of the renderer for every session that has enough motion."""
        wanting = self._inputs([seat for seat in seats if seat.session.segment_ready], lambda seat: seat.session.next_segment())
        for seat, _, result in self._results(wanting, self.programs.render, lambda segment: segment):
            with self._isolated(seat):
                self._give(seat, seat.session.frames, seat.session.took_segment(*result))
        return bool(wanting)

    def _inputs(self, seats: Sequence[Seat], inputs: Callable[[Seat], Any]) -> list[tuple[Seat, Any]]:
        found = []
        for seat in seats:
            with self._isolated(seat):
                found.append((seat, inputs(seat)))
        return found

    def _results(
        self, wanting: Sequence[tuple[Seat, Any]], program: Callable[..., list], argument: Callable[[Any], Any]
    ) -> Iterator[tuple[Seat, Any, Any]]:
        """(session, its inputs, its result). If the program itself fails, all sessions of the call end."""
        try:
            results = program([argument(inputs) for _, inputs in wanting], self._cores.map) if wanting else []
        except Exception as error:
            for seat, _ in wanting:
                self._failed(seat, error)
            return
        yield from ((seat, inputs, result) for (seat, inputs), result in zip(wanting, results, strict=True))

    def _give(self, seat: Seat, first: int, frames: np.ndarray) -> None:
        """Draws the mark, compresses pictures, in all cores, and queues them."""
        choices = seat.session.choices
        one = lambda item: pictures.message(item[1], first + item[0], choices.codec, choices.quality)
        latencies = seat.give(list(self._cores.map(one, enumerate(draw_mark(frames, choices.mark)))), first)
        allowed = self.programs.delay_seconds + self.limits.buffer_seconds
        self.measures.latency.add(latencies)
        self.measures.counts["frames"] += len(latencies)
        self.measures.counts["late"] += sum(latency > allowed for latency in latencies)

    def _tidied(self, seats: Sequence[Seat]) -> None:
        """Ends what is done or idle, and removes what has ended without a client."""
        for seat in seats:
            if not seat.reason and seat.session.done:
                whole = seat.samples >= self.limits.samples
                seat.close(f"the session has had its {self.limits.seconds:g} seconds" if whole else "the sound has ended")
            elif not seat.reason and self.clock() - seat.active_at > self.limits.idle_seconds and not seat.over:
                seat.close(f"no sound came for {self.limits.idle_seconds:g} seconds")
        for seat in list(self.seats.values()):
            if seat.reason and not seat.attached and self.clock() - seat.active_at > self.limits.idle_seconds:
                self.remove(seat.name)

    @contextlib.contextmanager
    def _isolated(self, seat: Seat) -> Iterator[None]:
        """An error ends only this session, with its sentence."""
        try:
            yield
        except Exception as error:
            self._failed(seat, error)

    def _failed(self, seat: Seat, error: Exception) -> None:
        if not isinstance(error, UserError):
            log.error("session %s failed", seat.name, exc_info=error)
        seat.close(str(error) if isinstance(error, UserError) else f"the session failed ({first_line(error)})", broken=True)
