"""The conversation of one WebSocket: sound in, pictures out (docs/live.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from xactor_jax.live.engine import PAUSE, Engine
from xactor_jax.live.seat import Seat

FINISHED, STOPPING, BROKEN_RULE, TOO_LARGE, FAILED = 1000, 1001, 1008, 1009, 1011
"""Codes with which WebSockets are closed."""

PROTOCOL = (1002, 1007, TOO_LARGE)
"""Codes with which the server itself closes for bytes that are no WebSocket, text that is no UTF-8, and very large messages."""

BURST = 2.0
"""Seconds over which the rate of messages is averaged."""


class BrokenRule(Exception):
    """The client sent what it may not send: a sentence, and the code of the end."""

    def __init__(self, sentence: str, code: int = BROKEN_RULE):
        super().__init__(sentence)
        self.code = code


class Rate:
    """A bucket that holds `BURST` seconds of messages and is filled at the allowed rate."""

    def __init__(self, per_second: float, clock: Any):
        self.per_second, self.clock = per_second, clock
        self.left, self.at = BURST * per_second, clock()

    def count(self) -> None:
        """One message. Raises `BrokenRule` if there were too many."""
        now = self.clock()
        self.left = min(BURST * self.per_second, self.left + (now - self.at) * self.per_second) - 1
        self.at = now
        if self.left < 0:
            raise BrokenRule(f"more than {self.per_second:g} messages per second came: send longer ones.")


class Conversation:
    """One connected client of a session."""

    def __init__(self, socket: WebSocket, engine: Engine, seat: Seat, described: dict[str, Any]):
        self.socket, self.engine, self.seat, self.described = socket, engine, seat, described
        self.rate = Rate(engine.limits.messages_per_second, seat.clock)
        self.code, self.news = FINISHED, asyncio.Event()

    async def run(self) -> None:
        """Talks until the session ends or the connection breaks. After a break the session stays for a while."""
        loop = asyncio.get_running_loop()
        self.seat.wake = lambda: loop.call_soon_threadsafe(self.news.set)
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.seat.wake = lambda: None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        """Takes what comes, until the connection breaks; not more than the session may have waiting."""
        seat, limits = self.seat, self.engine.limits
        while (message := await self.socket.receive())["type"] != "websocket.disconnect":
            try:
                self._take(message)
            except BrokenRule as rule:
                self.code = rule.code
                seat.close(str(rule), broken=True)
            while seat.waiting > limits.ahead and not seat.reason:
                await asyncio.sleep(PAUSE)
        if message.get("code") in PROTOCOL:
            seat.close("a message was too large or against the protocol", broken=True)
            self.engine.remove(seat.name)

    def _take(self, message: dict[str, Any]) -> None:
        """One message: sound, or the end. Nothing counts after the session's end."""
        if self.seat.reason:
            return
        self.rate.count()
        if (sound := message.get("bytes")) is None:
            return self._command(message.get("text") or "")
        if len(sound) > self.engine.limits.message_bytes:
            raise BrokenRule(f"a message had {len(sound)} bytes: send at most {self.engine.limits.message_bytes}.", TOO_LARGE)
        if not sound or len(sound) % 2:
            raise BrokenRule(f"a message had {len(sound)} bytes: send samples of 16 bits, at least one.")
        self.seat.add(sound)

    def _command(self, text: str) -> None:
        try:
            said = json.loads(text[:1_000])
        except ValueError:
            said = None
        if said != {"type": "end"}:
            raise BrokenRule('a text message is not {"type": "end"}: send sound as bytes.')
        self.seat.end()

    async def _send(self) -> None:
        """Sends pictures as they come, and the end. A client that does not take them for long ends its session."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the connection is gone: `_listen` ends as well
            await self.socket.send_json({"type": "start", **self.described})
            while not (self.seat.reason and (self.seat.broken or not self.seat.pending)):
                self.news.clear()
                while not self.seat.broken and (picture := self.seat.take()) is not None:
                    await self._sent(picture)
                if not self.seat.reason:
                    await self.news.wait()
            await self._end()

    async def _sent(self, picture: bytes) -> None:
        seconds = self.engine.limits.idle_seconds
        try:
            await asyncio.wait_for(self.socket.send_bytes(picture), seconds)
        except TimeoutError:
            self.seat.close(f"the pictures were not read for {seconds:g} seconds", broken=True)

    async def _end(self) -> None:
        """Says why the session ended, frees its place and closes."""
        seat = self.seat
        self.engine.remove(seat.name)
        code = self.code if self.code != FINISHED else FAILED if seat.broken else FINISHED
        code = STOPPING if self.engine.stopping else code
        facts = {"type": "end", "reason": seat.reason, "frames": seat.session.frames, "dropped": seat.dropped}
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.socket.send_json(facts), BURST)
        await self.socket.close(code, seat.reason[:100])
