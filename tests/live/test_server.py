"""The live server over real connections."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import PIL.Image
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from launch._live_guard import Guard
from launch._live_stream import BrokenRule, Rate
from tests.live.conftest import offline, pixels, speech
from tests.live.server import asked, made, received, serving, stream
from xactor_jax.live.engine import Engine
from xactor_jax.live.limits import Choices, Limits
from xactor_jax.live.pictures import HEADER, parsed
from xactor_jax.media.image_io import decoded_image
from xactor_jax.media.marks import draw_mark
from xactor_jax.media.video_io import SYNTHETIC
from xactor_jax.sampling.portrait import cropped


@pytest.fixture(scope="module")
def server(programs):
    with serving(Engine(programs, Limits(sessions=2, upload_bytes=100_000, idle_seconds=60.0))) as running:
        yield running


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(5).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("mark", ["", "AI"])
def test_a_recorded_session_equals_the_offline_video(server, models, settings, picture, mark):
    session, sound = made(server, picture, f"seed=3&codec=png&emotion=happy&mark={mark}"), speech(640 * 11 + 400)
    assert session["synthetic"] is True and session["size"] == models.sides[1]
    with stream(server, session["stream"]) as socket:
        assert json.loads(socket.recv()) == {"type": "start", **session}
        for start in range(0, len(sound), 1500):
            socket.send(sound[start : start + 1500].tobytes())
        socket.send('{"type": "end"}')
        pictures, end = received(socket)
    assert end == {"type": "end", "reason": "the sound has ended", "frames": 12, "dropped": 0}
    choices, portrait = Choices(seed=3, emotion="happy"), cropped(decoded_image(picture, ""), "", models.sides, "none")
    expected = draw_mark(offline(models, settings, portrait, sound, choices), mark)
    np.testing.assert_array_equal(np.stack([pixels(message) for message in pictures]), expected)
    assert asked(server, "GET", f"/sessions/{session['id']}/state")[0] == 404  # its place is free


@pytest.mark.parametrize("codec", ["jpeg", "webp", "png"])
def test_every_picture_says_that_it_is_synthetic(programs, portrait, codec):
    from xactor_jax.live.pictures import message

    one = message(portrait.for_video, 7, codec, 90)
    assert one[:4] == b"XAF1" and one[5] & 1 and int.from_bytes(one[6:8], "little") == HEADER.size == 24
    assert int.from_bytes(one[8:12], "little") == 7 and int.from_bytes(one[12:20], "little") == 7 * 640
    image = PIL.Image.open(io.BytesIO(one[24:]))
    comment = image.info.get("comment") or image.info.get("Comment") or image.getexif().get(0x010E)
    assert image.format.lower() == codec and SYNTHETIC in (comment.decode() if isinstance(comment, bytes) else comment)


def test_a_session_moves_to_another_server(server, programs, picture):
    session, sound = made(server, picture, "codec=png"), speech(640 * 14)
    with stream(server, session["stream"]) as socket:
        socket.recv()
        socket.send(sound[: 640 * 8].tobytes())
        first = socket.recv()
    status, state, _ = asked(server, "GET", f"/sessions/{session['id']}/state")
    assert status == 200 and asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 204
    with serving(Engine(programs, Limits(sessions=1))) as other:
        assert asked(other, "PUT", f"/sessions/{session['id']}/state", state[:-1])[0] == 400
        status, body, _ = asked(other, "PUT", f"/sessions/{session['id']}/state", state)
        described = json.loads(body)
        assert status == 201 and described["samples"] == 640 * 8 and described["id"] == session["id"]
        assert asked(other, "PUT", f"/sessions/{session['id']}/state", state)[0] == 503
        with stream(other, described["stream"]) as socket:
            socket.recv()
            socket.send(sound[640 * 8 :].tobytes())
            socket.send('{"type": "end"}')
            pictures, end = received(socket)
    assert parsed(first).number == 0 and parsed(pictures[-1]).number == 13 and end["frames"] == 14
    assert [parsed(p).number for p in pictures] == list(range(described["next_frame"], 14))


def test_places_are_those_that_were_measured(programs, picture, portrait, monkeypatch):
    engine = Engine(programs, Limits(sessions=2))
    monkeypatch.setattr(engine, "_rehearse", lambda _, frames, count: 0.7 * count * frames / 25)
    engine.measure(portrait)
    with serving(engine) as running:
        made(running, picture)
        info = json.loads(asked(running, "GET", "/info")[1])
        assert (info["sessions"], info["free"], info["session_cost"], info["limits"]["load"]) == (1, 0, 0.7, 1.0)
        assert asked(running, "POST", "/sessions?crop=none", picture)[0] == 503
        lines = asked(running, "GET", "/metrics")[1].decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert float(values["xactor_live_places"]) == 1
        assert float(values["xactor_live_session_cost"]) == pytest.approx(0.7)


def test_a_full_server_says_when_to_come_again(server, picture):
    sessions = [made(server, picture) for _ in range(2)]
    status, body, headers = asked(server, "POST", "/sessions?crop=none", picture)
    assert status == 503 and headers["Retry-After"] == "10" and "places are taken" in json.loads(body)["error"]
    assert json.loads(asked(server, "GET", "/info")[1])["free"] == 0
    for session in sessions:
        asked(server, "DELETE", f"/sessions/{session['id']}")
    assert json.loads(asked(server, "GET", "/info")[1])["free"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/sessions?crop=none", b"no picture", 400, "portrait cannot be read"),
        ("/sessions?crop=none", bytes(100_001), 413, "more than 100000 bytes"),
        ("/sessions?crop=auto", None, 400, "no face was found"),
        ("/sessions?crop=odd", None, 400, "there is no crop 'odd'"),
        ("/sessions?seed=-1", None, 400, "session.seed=-1"),
        ("/sessions?seed=one", None, 400, "seed is not possible"),
        ("/sessions?codec=gif", None, 400, "use jpeg, webp or png"),
        ("/sessions?crop=none&emotion=joyous", None, 400, "there is no emotion 'joyous'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(server, picture, path, body, status, said):
    answer = asked(server, "POST", path, picture if body is None else body)
    assert answer[0] == status and said in json.loads(answer[1])["error"]
    assert json.loads(asked(server, "GET", "/info")[1])["free"] == 2


def test_unknown_sessions_and_second_clients_are_refused(server, picture):
    with pytest.raises(InvalidStatus, match="403"):
        stream(server, f"/sessions/{'0' * 32}/stream")
    session = made(server, picture)
    with stream(server, session["stream"]), pytest.raises(InvalidStatus, match="403"):
        stream(server, session["stream"])
    assert asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 204
    assert asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 404
    assert asked(server, "PUT", "/sessions/me/state", b"")[0] == 400


def test_a_client_may_come_back(server, picture):
    session = made(server, picture)
    with stream(server, session["stream"]) as socket:
        socket.recv()
        socket.send(speech(6400).tobytes())
    for _ in range(200):  # the server sees the end of the first connection a little later
        try:
            again = stream(server, session["stream"])
            break
        except InvalidStatus:
            time.sleep(0.02)
    with again as socket:
        assert json.loads(socket.recv())["samples"] == 6400
        socket.send('{"type": "end"}')
        assert received(socket)[1]["frames"] == 10


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        (b"123", 1008, "3 bytes"),
        (b"", 1008, "0 bytes"),
        ("hello", 1008, "text message"),
        ('{"type": "stop"}', 1008, "text message"),
        ("[" * 900, 1008, "text message"),
    ],
)
def test_a_broken_message_ends_its_session(server, picture, message, code, said):
    session = made(server, picture)
    with stream(server, session["stream"]) as socket:
        socket.recv()
        socket.send(message)
        assert said in received(socket)[1]["reason"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd.code == code
    assert asked(server, "DELETE", f"/sessions/{session['id']}")[0] == 404


def test_a_message_that_is_too_large_ends_its_session(server, picture):
    session = made(server, picture)
    with stream(server, session["stream"]) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv()
        socket.send(bytes(1 + Limits().message_bytes))
        socket.recv()
    assert closed.value.rcvd.code == 1009
    for _ in range(200):
        if (status := asked(server, "GET", f"/sessions/{session['id']}/state")[0]) == 404:
            break
        time.sleep(0.02)
    assert status == 404


def test_the_metrics_have_quantiles_and_places(server):
    text = asked(server, "GET", "/metrics")[1].decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["xactor_live_places"]) == 2 and float(values["xactor_live_frames_total"]) > 0
    assert float(values['xactor_live_latency_seconds{quantile="0.99"}']) > 0
    assert "process_resident_memory_bytes" in values


def test_too_many_messages_break_the_rule():
    now = [0.0]
    rate = Rate(10.0, lambda: now[0])
    for _ in range(20):
        rate.count()
    with pytest.raises(BrokenRule, match="more than 10 messages"):
        rate.count()
    now[0] = 1.0
    for _ in range(9):
        rate.count()


@pytest.mark.parametrize(
    ("token", "path", "headers", "status"),
    [
        ("", "/info", {"host": "localhost:1"}, None),
        ("", "/info", {"host": "[::1]:1"}, None),
        ("", "/info", {"host": "evil.example:1"}, 403),
        ("", "/info", {"host": "127.0.0.1:1", "origin": "http://evil.example"}, 403),
        ("", "/info", {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, None),
        ("s3cret", "/info", {"host": "face.example"}, 401),
        ("s3cret", "/sessions/1/stream", {"host": "face.example", "authorization": "Bearer wrong"}, 401),
        ("s3cret", "/sessions/1/stream", {"host": "face.example", "authorization": "Bearer s3cret"}, None),
        ("s3cret", "/metrics?token=s3cret", {"host": "face.example"}, None),
        ("s3cret", "/", {"host": "face.example"}, None),
        ("s3cret", "/healthz", {"host": "face.example"}, None),
    ],
)
def test_who_may_ask(token, path, headers, status):
    path, _, query = path.partition("?")
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    refusal = Guard(None, token).refusal({"type": "http", "path": path, "query_string": query.encode(), "headers": encoded})
    assert (refusal and refusal[0]) == status
