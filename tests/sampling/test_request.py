from __future__ import annotations

import pytest

from xactor_jax.errors import UserError
from xactor_jax.sampling.request import RenderRequest, Request, check_render_request, check_request
from xactor_jax.targets import check_target


def request_for(tmp_path, **changes) -> Request:
    return Request(**{"image": "p.png", "audio": "a.wav", "out": str(tmp_path / "v.mp4"), **changes})


def test_a_good_request_leaves_no_trace(tmp_path):
    check_request(request_for(tmp_path, emotion="happy@0.5:0-20,sad:20-", save_motion=str(tmp_path / "m.npz")))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"emotion": "bored"}, "no emotion 'bored': choose one of neutral, happy"),
        ({"emotion": "happy@2"}, "intensity 2 of happy is out of range"),
        ({"emotion": "happy:0-20,sad:10-"}, "overlap in the emotion track"),
        ({"crop": "face"}, "no crop 'face'"),
        ({"seed": -1}, "seed -1 is out of range"),
        ({"out": "v.avi"}, r"v.avi does not end in \.mp4"),
        ({"out": "nowhere/v.mp4"}, "the folder nowhere does not exist"),
        ({"save_motion": "nowhere/m.npz"}, "the folder nowhere does not exist"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        check_request(request_for(tmp_path, **changes))


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    (tmp_path / "v.mp4").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_target(tmp_path / "v.mp4", ".mp4")
    with pytest.raises(UserError, match="/proc cannot be written to"):
        check_target("/proc/v.mp4", ".mp4")


def test_emotions_are_numbered_and_unknown_is_minus_one(tmp_path):
    labels = lambda emotion: request_for(tmp_path, emotion=emotion).emotion_track.frames(0, 3)[0].tolist()
    assert labels("") == [-1, -1, -1]
    assert labels("surprised") == [4, 4, 4]
    assert labels("sad:0.04-0.08") == [-1, 2, -1]


def test_it_is_finished_when_the_json_is_there_too(tmp_path):
    request = request_for(tmp_path)
    (tmp_path / "v.mp4").write_bytes(b"x")
    assert not request.finished
    (tmp_path / "v.json").write_text("{}")
    assert not request.finished
    (tmp_path / "v.json").write_text('{"synthetic": true}')
    assert request.finished


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give either --motion_latents, saved motion, or --driving"),
        ({"motion_latents": "m.npz", "driving": "d.mp4"}, "give either --motion_latents, saved motion, or --driving"),
        ({"motion_latents": "m.npz", "driving_crop": "auto"}, "means nothing to --motion_latents"),
        ({"driving": "d.mp4", "driving_crop": "face"}, "no crop 'face'"),
        ({"motion_latents": "m.npz", "seed": 2**32}, "is out of range"),
    ],
)
def test_what_is_wrong_with_reenactment_is_said(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        check_render_request(RenderRequest(image="p.png", out=str(tmp_path / "v.mp4"), **changes))


@pytest.mark.parametrize("spelling", ["v.mp4", "./v.mp4", "link/v.mp4", "hard.mp4"])
def test_nothing_is_written_over_what_is_read(tmp_path, monkeypatch, spelling):
    """Files are compared, not how they are called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.mp4").write_bytes(b"a recording")
    (tmp_path / "hard.mp4").hardlink_to(tmp_path / "v.mp4")
    (tmp_path / "link").symlink_to(tmp_path)
    for changes in (
        {"driving": spelling},
        {"motion_latents": "m.npz", "audio": spelling},
        {"motion_latents": "m.npz", "image": spelling},
    ):
        with pytest.raises(UserError, match="would be written over"):
            check_render_request(RenderRequest(**{"image": "p.png", "out": str(tmp_path / "v.mp4"), **changes}))
    with pytest.raises(UserError, match="would be written over"):
        check_request(Request(image="p.png", audio=spelling, out="v.mp4"))
    assert (tmp_path / "v.mp4").read_bytes() == b"a recording"


def test_motion_and_the_json_are_not_written_over_what_is_read(tmp_path):
    place, motion = str(tmp_path / "v.mp4"), str(tmp_path / "m.npz")
    with pytest.raises(UserError, match="would be written over"):
        check_render_request(RenderRequest(image="p.png", out=place, motion_latents=motion, save_motion=motion))
    with pytest.raises(UserError, match=r"v\.json would be written over"):
        check_request(request_for(tmp_path, image=str(tmp_path / "v.json")))


@pytest.mark.parametrize("content", ["", "[1]", '{"image": "p.png"}'])
def test_a_json_of_another_origin_is_not_replaced(tmp_path, content):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(UserError, match=r"v\.json exists and is not the JSON file of a generated video"):
        check_request(request_for(tmp_path))
    (tmp_path / "v.json").write_text('{"synthetic": true}')
    check_request(request_for(tmp_path))


def test_endings_in_large_letters_are_endings(tmp_path):
    check_request(request_for(tmp_path, out=str(tmp_path / "V.MP4"), save_motion=str(tmp_path / "M.NPZ")))
