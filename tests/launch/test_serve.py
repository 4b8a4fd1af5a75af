"""launch/serve.py: what it refuses, and the program itself."""

from __future__ import annotations

import json
import pathlib
import re
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request

import pytest
from websockets.sync.client import connect

from launch import serve
from tests.launch.programs import REPOSITORY, run_here
from tests.live.conftest import speech
from tests.live.server import SECONDS
from tests.sampling.conftest import image  # noqa: F401
from tests.tiny import tiny  # noqa: F401


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host=0.0.0.0"], "0.0.0.0 can be reached from other machines: give a --token"),
        (["--port=0"], "--port=0 is not possible: use a whole number from 1 to 65535"),
        (["--sessions=0"], "live.sessions=0 is not possible"),
        (["--together=0"], "--together=0 is not possible"),
        (["--detector=eyes"], "there is no face detector 'eyes'"),
    ],
)
def test_impossible_options_are_refused(options, said, monkeypatch):
    monkeypatch.delenv("XACTOR_TOKEN", raising=False)
    ended = run_here("serve.py", *options)
    assert ended.returncode == 2 and said in ended.stderr and ended.stderr.count("\n") == 1


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = run_here("serve.py")
    assert ended.returncode == 2 and "pip install -r requirements-live.txt" in ended.stderr


@pytest.mark.parametrize(("cost", "slow"), [(0.67, False), (1.4, True)])
def test_it_says_whether_a_session_is_in_real_time(cost, slow):
    engine = types.SimpleNamespace(cost=cost, places=1, programs=types.SimpleNamespace(delay_seconds=1.16))
    said = serve.summary(engine)
    assert said.startswith(f"delay 1.16 s, places 1, a session takes {cost:.2f} s")
    assert ("too slow for real time" in said) == slow


@pytest.mark.slow  # quick: tests/live/test_server.py, in one process
def test_a_face_speaks_through_the_program(tiny, image):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stages = [f"--{name}={folder}" for name, folder in tiny.items()]
    command = [sys.executable, str(REPOSITORY / "launch" / "serve.py"), f"--port={port}", "--sessions=2", *stages]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        started = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in started and re.search(r"places [12], a session takes \d+\.\d\d s", started)
        session = json.loads(posted(f"http://127.0.0.1:{port}/sessions?crop=none", pathlib.Path(image).read_bytes()))
        with connect(f"ws://127.0.0.1:{port}{session['stream']}", open_timeout=SECONDS) as connection:
            connection.send(speech(640 * 10).tobytes())
            connection.send('{"type": "end"}')
            messages = list(connection)
        assert len([m for m in messages if isinstance(m, bytes)]) == json.loads(messages[-1])["frames"] == 10
    finally:
        process.terminate()
        assert process.wait(SECONDS) in (0, -15, 143)


def posted(url: str, body: bytes) -> bytes:
    """The answer; the port opens some moments after the address is printed."""
    for _ in range(600):
        try:
            return urllib.request.urlopen(urllib.request.Request(url, body), timeout=SECONDS).read()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    raise AssertionError("the port did not open")
