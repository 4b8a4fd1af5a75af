"""The live server in this process, on a real port, and a client for it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import uvicorn
from websockets.sync.client import ClientConnection, connect

from launch._live_app import make_app
from xactor_jax.live.engine import Engine
from xactor_jax.live.renders import Renders

SECONDS = 120.0
"""The longest wait for an answer: the machine may be slow."""


class NoFaces:
    """A detector that finds nothing."""

    def detect(self, image: np.ndarray) -> list:
        """No faces."""
        return []


class Server(uvicorn.Server):
    """A server whose address is known when it has started."""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"


@contextlib.contextmanager
def serving(engine: Engine, token: str = "", renders: Renders | None = None) -> Iterator[Server]:
    """A running server around an engine."""
    app = make_app(engine, NoFaces(), token, renders)
    options = {"ws_max_size": engine.limits.message_bytes, "ws_ping_interval": None, "timeout_graceful_shutdown": 2}
    server = Server(uvicorn.Config(app, port=0, log_level="critical", **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield server
    finally:
        server.should_exit = True
        thread.join()


class Proxy:
    """Forwards a port to another one, and breaks its connections when asked: a network that fails for a moment."""

    def __init__(self, address: str):
        host, port = address.split(":")
        self.target, self.pairs = (host, int(port)), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def broken(self) -> int:
        """Breaks all connections that are open. Returns their number."""
        pairs, self.pairs = self.pairs, []
        for one in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        return len(pairs)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                pair = (self.listener.accept()[0], socket.create_connection(self.target))
                self.pairs.append(pair)
                for one, other in (pair, pair[::-1]):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    @staticmethod
    def _forward(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def asked(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """(status, body, headers) of an answer."""
    request = urllib.request.Request(f"http://{server.address}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def made(server: Server, picture: bytes, choices: str = "") -> dict[str, Any]:
    """A new session."""
    status, body, _ = asked(server, "POST", f"/sessions?crop=none&{choices}", picture)
    assert status == 201, body
    return json.loads(body)


def stream(server: Server, path: str, **options: Any) -> ClientConnection:
    """A connection to a session."""
    return connect(f"ws://{server.address}{path}", open_timeout=SECONDS, close_timeout=SECONDS, **options)


def received(socket: ClientConnection) -> tuple[list[bytes], dict[str, Any]]:
    """All pictures until the end, and the end."""
    pictures = []
    while isinstance(message := socket.recv(timeout=SECONDS), bytes):
        pictures.append(message)
    return pictures, json.loads(message)
