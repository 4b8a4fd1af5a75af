"""A session in a server: the queues between it and its client, and the times of what passes through them.

The client's thread adds sound and takes pictures; the engine's thread does the opposite. Every counter is written by one of the
two only, and a deque's `append` and `popleft` are atomic, so neither waits for the other.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sequence

import numpy as np

from xactor_jax.live.limits import Limits
from xactor_jax.live.pictures import number_of
from xactor_jax.live.saved import Saved
from xactor_jax.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

Clock = Callable[[], float]


class Seat:
    """One session, its queues and its clock."""

    def __init__(self, name: str, saved: Saved, limits: Limits, clock: Clock = time.monotonic):
        self.name, self.session, self.limits, self.clock = name, saved.session, limits, clock
        self.reason, self.broken = "", False
        """Why the session has ended, as a sentence; empty while it lasts. `broken`: by an error."""
        self.over = saved.over
        """Whether the client said that no more sound comes."""
        self.attached = False
        """Whether a client is connected."""
        self.wake: Callable[[], None] = lambda: None
        """Called when pictures were added or the session ended."""
        self.dropped = 0
        self._sound, self._pictures = collections.deque([saved.pending]), collections.deque(saved.unsent)
        self._taken = saved.session.sound.samples
        self._added = self._taken + len(saved.pending)
        self._arrivals = collections.deque([(self._added, clock())])
        self.active_at = clock()
        """When sound last came or was used."""

    @property
    def samples(self) -> int:
        """Samples that have arrived, used or not."""
        return self._added

    @property
    def waiting(self) -> int:
        """Samples that have arrived and are not used yet."""
        return self._added - self._taken

    @property
    def pending(self) -> bool:
        """Whether pictures wait for the client."""
        return bool(self._pictures)

    @property
    def next_frame(self) -> int:
        """Number of the next picture that the client will get."""
        return number_of(self._pictures[0]) if self._pictures else self.session.frames

    def add(self, pcm: bytes) -> None:
        """Adds sound of the client. Beyond the longest session it is cut, and the session ends as if the client ended it."""
        self.active_at = self.clock()
        samples = np.frombuffer(pcm, "<i2").astype(np.int16)[: max(0, self.limits.samples - self._added)]
        if self.over or not len(samples):
            self.over = True
            return
        self._sound.append(samples)
        self._added += len(samples)
        self._arrivals.append((self._added, self.active_at))

    def end(self) -> None:
        """The client has no more sound."""
        self.over = True

    def feed(self) -> None:
        """Gives the session the sound that waits, at most a second of it."""
        over, taken = self.over, 0  # read before the sound: what was added before the end is used before the end
        while self._sound and taken < SAMPLE_RATE:
            piece = self._sound.popleft()
            taken += len(piece)
            self.session.push(piece)
            self._taken += len(piece)
            self.active_at = self.clock()
        if over and not self._sound:
            self.session.end()

    def give(self, messages: Sequence[bytes], first: int) -> list[float]:
        """Adds pictures for the client, from number `first` on. Returns the latency of each in seconds."""
        for message in messages:
            self._pictures.append(message)
            if len(self._pictures) > self.limits.queue_frames:
                self._drop()
        self.wake()
        return [self._latency(first + i) for i in range(len(messages))]

    def take(self) -> bytes | None:
        """The oldest picture that waits for the client; None if there is none."""
        try:
            return self._pictures.popleft()
        except IndexError:
            return None

    def close(self, reason: str, broken: bool = False) -> None:
        """Ends the session. Only the first reason counts."""
        if not self.reason:
            self.reason, self.broken = reason, broken
        self.wake()

    def saved(self) -> Saved:
        """What `saved.to_bytes` writes. Between two calls of the engine only."""
        pending = list(self._sound)
        return Saved(self.session, np.concatenate([np.zeros(0, np.int16), *pending]), self.over, list(self._pictures))

    def _drop(self) -> None:
        if self.take() is not None:
            self.dropped += 1

    def _latency(self, frame: int) -> float:
        """Seconds since the last sound of a frame arrived."""
        end = (frame + 1) * SAMPLES_PER_FRAME
        while len(self._arrivals) > 1 and self._arrivals[0][0] < end:
            self._arrivals.popleft()
        return self.clock() - self._arrivals[0][1]
