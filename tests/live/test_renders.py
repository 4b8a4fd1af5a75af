"""Files of whole recordings from the live server, over real connections."""

from __future__ import annotations

import json
import pathlib
import threading
import time
from typing import Any

import pytest

from launch import _live_page
from tests.live.server import Server, asked, serving
from tests.sampling.conftest import make_image, make_sound
from xactor_jax.errors import UserError
from xactor_jax.live.engine import Busy, Engine
from xactor_jax.live.limits import Limits
from xactor_jax.live.renders import Renders
from xactor_jax.sampling.api import Pipeline
from xactor_jax.sampling.pipeline import make_settings

LIMITS = Limits(sessions=2, upload_bytes=100_000, seconds=1.0)


@pytest.fixture(scope="module")
def server(programs):
    with serving(Engine(programs, LIMITS), "secret", Renders(programs.models, LIMITS, "blazeface")) as running:
        yield running


@pytest.fixture
def files(tmp_path) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(make_image(tmp_path / "p.png")), pathlib.Path(make_sound(tmp_path / "a.wav", 0.5))


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    return asked(server, method, path, body, Authorization="Bearer secret")[:2]


def added(server: Server, image: bytes, sound: bytes, choices: str = "") -> dict[str, Any]:
    status, body = ask(server, "POST", f"/renders?crop=none&portrait_bytes={len(image)}&{choices}", image + sound)
    assert status == 202, body
    return json.loads(body)


def ended(server: Server, name: str) -> dict[str, Any]:
    """What the server says of a file when it is over."""
    while (said := json.loads(ask(server, "GET", f"/renders/{name}")[1]))["state"] in ("waiting", "running"):
        time.sleep(0.05)
    return said


def test_a_file_is_that_of_the_same_call_in_python(server, models, files, tmp_path):
    made = added(server, *(file.read_bytes() for file in files), "seed=3&emotion=happy&mark=AI&audio_guidance=2.5")
    assert ended(server, made["id"]) == {**made, "state": "done", "written": 13, "frames": 13}
    status, video = ask(server, "GET", f"/renders/{made['id']}/talking.mp4")
    record = json.loads(ask(server, "GET", f"/renders/{made['id']}/talking.json")[1])
    pipeline = Pipeline(models, make_settings(models, {"audio_guidance": 2.5}, {}))
    pipeline(*files, seed=3, emotion="happy", mark="AI", crop="none").save(tmp_path / "v.mp4")
    assert status == 200 and video == (tmp_path / "v.mp4").read_bytes()
    assert record["synthetic"] is True and record["arguments"]["mark"] == "AI" and record["seed"] == 3
    assert ask(server, "GET", f"/renders/{made['id']}/portrait")[0] == 404  # only what was made is given
    assert [ask(server, "DELETE", f"/renders/{made['id']}")[0] for _ in range(2)] == [204, 404]


def test_what_is_wrong_is_one_sentence(server, files, tmp_path):
    image, sound = (file.read_bytes() for file in files)
    for choices, said in {
        "portrait_bytes=0": "portrait_bytes=0 does not divide the body",
        "portrait_bytes=x": "portrait_bytes is not possible",
        f"portrait_bytes={len(image)}&steps=1000": "steps=1000 is not possible: use a whole number from 0 to 100",
        f"portrait_bytes={len(image)}&audio_guidance=1e9": "audio_guidance=1000000000.0 is not possible",
    }.items():
        status, body = ask(server, "POST", f"/renders?{choices}", image + sound)
        assert status == 400 and said in json.loads(body)["error"]
    long = pathlib.Path(make_sound(tmp_path / "long.wav", 1.1)).read_bytes()
    for parts, said in (((image, b"noise"), "voice cannot be read"), ((image, long), "lasts longer than 1 seconds")):
        assert ended(server, added(server, *parts)["id"])["state"] == "failed"
        assert said in ended(server, added(server, *parts)["id"])["error"]
    assert asked(server, "POST", "/renders?portrait_bytes=1", b"ab")[0] == 401
    assert ask(server, "POST", f"/renders?portrait_bytes={len(image)}", bytes(100_001))[0] == 413


def test_the_oldest_finished_file_makes_room_and_no_other(programs, files, monkeypatch):
    renders, held = Renders(programs.models, LIMITS, "blazeface"), threading.Event()
    monkeypatch.setattr(Renders, "_save", lambda *_: held.wait())
    inputs = [file.read_bytes() for file in files]
    first, second = (renders.add(*inputs, {}, {}) for _ in range(2))
    with pytest.raises(Busy, match="2 files are being made"):
        renders.add(*inputs, {}, {})
    held.set()
    while not second.over:
        time.sleep(0.01)
    third = renders.add(*inputs, {}, {})
    assert not first.folder.exists() and renders.find(second.name) is second and renders.find(third.name) is third
    with pytest.raises(UserError, match="no file"):
        renders.find(first.name)
    folder = second.folder.parent
    renders.stop()
    assert not folder.exists()


def test_a_file_that_nobody_wants_is_stopped(programs, files):
    renders = Renders(programs.models, LIMITS, "blazeface")
    render = renders.add(*(file.read_bytes() for file in files), {"crop": "none"}, {})
    renders.remove(render.name)
    while not render.over:
        time.sleep(0.01)
    renders.stop()
    assert render.state == "failed" and not render.folder.exists()


def test_examples_and_the_page_are_served(server, monkeypatch):
    monkeypatch.setattr(_live_page, "make_examples", lambda: {"person-0.png": b"picture", "voice.wav": b"sound"})
    said = json.loads(ask(server, "GET", "/examples")[1])
    assert said["voice"] == "examples/voice.wav" and [p["url"] for p in said["portraits"]] == ["examples/person-0.png"]
    assert [ask(server, "GET", f"/examples/{name}")[0] for name in ("person-0.png", "voice.wav", "none")] == [200, 200, 404]
    for name in ("", "app.js", "pcm.js", "style.css"):
        assert asked(server, "GET", f"/{name}")[0] == 200  # the page itself needs no token
