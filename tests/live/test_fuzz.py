"""Broken requests beside a good session: none may harm another session, or leave a place taken."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
from collections.abc import Callable

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.live.conftest import speech
from tests.live.server import Server, asked, made, received, serving, stream
from tests.live.test_server import picture  # noqa: F401
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Limits
from xactor_jax.live.pictures import parsed

LIMITS = Limits(sessions=2, upload_bytes=50_000, message_bytes=4096, queue_frames=40, upload_seconds=2.0, idle_seconds=60.0)

Broken = Callable[[Server, random.Random, bytes], None]


def raw(server: Server, data: bytes, abrupt: bool = True) -> None:
    """Bytes on a connection, which then breaks."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        if abrupt:  # closing resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            connection.sendall(data)


def garbage(server: Server, rng: random.Random, _: bytes) -> None:
    raw(server, rng.randbytes(rng.randrange(1, 3000)), rng.random() < 0.5)


def half_a_request(server: Server, rng: random.Random, body: bytes) -> None:
    head = f"POST /sessions?crop=none HTTP/1.1\r\nHost: localhost\r\nContent-Length: {rng.randrange(1, 60_000)}\r\n\r\n"
    whole = head.encode() + body
    raw(server, whole[: rng.randrange(1, len(whole))])


def wrong_upload(server: Server, rng: random.Random, body: bytes) -> None:
    damaged = bytearray(body)
    for _ in range(rng.randrange(1, 50)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    data = rng.choice([b"", bytes(50_001), bytes(damaged[: rng.randrange(len(body))]), rng.randbytes(999)])
    path = rng.choice(["/sessions?crop=none", f"/sessions/{rng.randbytes(16).hex()}/state", "/sessions?seed=-1", "/sessions/"])
    status, answer, _ = asked(server, rng.choice(["POST", "PUT"]), path, data)
    said = json.loads(answer)
    if status == 201:  # the damage was small
        status = asked(server, "DELETE", f"/sessions/{said['id']}")[0] + 200
    assert 400 <= status < 500


def unknown(server: Server, rng: random.Random, _: bytes) -> None:
    path = rng.choice(["/sessions/x/state", "/sessions/%00/state", "/state", f"/sessions/{'f' * 32}/state", "/%ff"])
    assert asked(server, rng.choice(["GET", "DELETE", "PATCH"]), path)[0] in (404, 405)
    with pytest.raises(InvalidHandshake):
        stream(server, rng.choice(["/sessions/x/stream", "/info", f"/sessions/{'f' * 32}/stream"]))


def wrong_message(server: Server, rng: random.Random, body: bytes) -> None:
    session = made(server, body)
    kinds = [b"", b"1", rng.randbytes(4097), "{", '{"type": "end", "x": 1}', "\x00" * 50, rng.randbytes(9)]
    with contextlib.suppress(ConnectionClosed), stream(server, session["stream"]) as connection:
        connection.send(speech(2000).tobytes())
        connection.send(rng.choice(kinds))
        received(connection)
    asked(server, "DELETE", f"/sessions/{session['id']}")


def abrupt_end(server: Server, rng: random.Random, body: bytes) -> None:
    """The connection is reset in the midst of sound."""
    session = made(server, body)
    connection = stream(server, session["stream"])
    with contextlib.suppress(ConnectionClosed, OSError):
        for _ in range(rng.randrange(4)):
            connection.send(speech(2000).tobytes())
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    assert asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 204


def no_reader(server: Server, rng: random.Random, body: bytes) -> None:
    """Sound without reading a picture."""
    session = made(server, body, "codec=png")
    with contextlib.suppress(ConnectionClosed), stream(server, session["stream"]) as connection:
        for _ in range(rng.randrange(1, 10)):
            connection.send(speech(2000).tobytes())
        assert asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 204


def flood(server: Server, rng: random.Random, body: bytes) -> None:
    """Messages without a pause."""
    session = made(server, body)
    with contextlib.suppress(ConnectionClosed), stream(server, session["stream"]) as connection:
        for _ in range(600):
            connection.send(b"\0\0")
        received(connection)
    asked(server, "DELETE", f"/sessions/{session['id']}")


KINDS: list[Broken] = [
    garbage,
    half_a_request,
    wrong_upload,
    unknown,
    wrong_message,
    abrupt_end,
    no_reader,
    flood,
]


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_broken_requests_harm_no_other_session(programs, picture, count):
    rng, stop, sent = random.Random(count), threading.Event(), []
    with serving(Engine(programs, LIMITS)) as server:
        good = made(server, picture, "seed=4")

        def speak(connection) -> None:
            while not stop.is_set():
                connection.send(speech(640, seed=len(sent)).tobytes())
                sent.append(640)
                stop.wait(0.1)
            connection.send('{"type": "end"}')

        with stream(server, good["stream"]) as connection:
            connection.recv()
            speaker = threading.Thread(target=speak, args=[connection])
            speaker.start()
            pictures: list[bytes] = []
            listener = threading.Thread(target=lambda: pictures.extend([*received(connection)[0]]))
            listener.start()
            try:
                for _ in range(count):
                    rng.choice(KINDS)(server, rng, picture)
            finally:
                stop.set()
                speaker.join()
                listener.join()
        assert [parsed(message).number for message in pictures] == list(range(len(sent)))
        assert json.loads(asked(server, "GET", "/info")[1])["free"] == 2
        assert asked(server, "GET", "/healthz")[0] == 200
