"""The load generator: its numbers by hand, and against a server."""

from __future__ import annotations

import json

import pytest

from launch.benchmark.live import Spoken, Used, row
from tests.launch.programs import run_here
from tests.live.conftest import models, portrait, programs, settings  # noqa: F401
from tests.live.server import serving
from tests.sampling.conftest import image, sound  # noqa: F401
from tests.tiny import tiny  # noqa: F401
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Limits


def test_numbers_of_a_measurement():
    spoken = Spoken(sent=[0.0, 0.04, 0.08, 0.12], came={0: 0.5, 1: 0.54, 3: 0.92})  # latencies 0.5, 0.5 and 0.8
    spoken.first_used = Used(102.5, 5.2)
    numbers = row([spoken], allowed=0.7, before=Used(100.0, 5.0), after=Used(103.0, 5.4))
    assert (numbers["pictures"], numbers["lost"], numbers["late"]) == (3, 1, 1)
    assert numbers["p50 ms"] == pytest.approx(500) and numbers["max ms"] == pytest.approx(800)
    assert numbers["fps each"] == pytest.approx(3 / 0.42) and numbers["more MB"] == 3.0
    assert (numbers["first MB"], numbers["MB"]) == (102.5, 103.0)
    assert numbers["CPU"] == pytest.approx(0.4 / 0.16)


def test_sessions_are_measured(programs, portrait, image, sound, tmp_path):
    engine = Engine(programs, Limits(sessions=2))
    engine.warm_up(portrait)  # whose compiling the program would not wait for
    with serving(engine) as server:
        options = ["--sessions=1,2", "--minutes=0.01", "--speed=20", "--crop=none", f"--json={tmp_path}/n.json"]
        ended = run_here(
            "benchmark/live.py", f"--image={image}", f"--audio={sound}", f"--url=http://{server.address}", *options
        )
    assert ended.returncode == 0, ended.stderr
    rows = json.loads((tmp_path / "n.json").read_text())
    assert [(r["sessions"], r["pictures"], r["lost"]) for r in rows] == [(1, 15, 0), (2, 30, 0)]
    assert all(r["first MB"] >= 0 for r in rows)  # not NaN: it was read on the way


def test_impossible_numbers_of_sessions_are_refused(image, sound):
    ended = run_here("benchmark/live.py", f"--image={image}", f"--audio={sound}", "--sessions=0,1")
    assert ended.returncode == 2 and "--sessions=0,1 is not possible" in ended.stderr
