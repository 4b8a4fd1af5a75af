"""Names of the faces that speak."""

from __future__ import annotations

import pytest

from xactor_jax.errors import UserError
from xactor_jax.media.faces import FaceBox
from xactor_jax.sampling.cast import from_left, numbers_of, parse_faces


def test_names_and_recordings_are_read_in_their_order():
    assert list(parse_faces("right=b.wav,left=a.wav").items()) == [("right", "b.wav"), ("left", "a.wav")]
    assert parse_faces("2=rain, again.wav,1=gs://b/a=b.wav") == {"2": "rain, again.wav", "1": "gs://b/a=b.wav"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.wav", "'a.wav' is no face with a recording: write --faces as in left=a.wav,right=b.wav"),
        ("left=", "'left=' is no face with a recording"),
        ("left=a.wav,centre=b.wav", "no face 'centre': use left, middle, right, or a number from the left, from 1 on"),
        ("0=a.wav", "no face '0'"),
        ("-1=a.wav", "no face '-1'"),
        ("left=a.wav,left=b.wav", "names left twice"),
    ],
)
def test_what_is_no_list_of_faces_is_said(text, message):
    with pytest.raises(UserError, match=message):
        parse_faces(text)


def test_faces_are_numbered_from_the_left():
    found = [FaceBox(60, 0, 90, 30), FaceBox(0, 0, 20, 20), FaceBox(30, 0, 50, 20)]
    assert [face.x0 for face in from_left(found)] == [0, 30, 60]
    assert numbers_of(["right", "left"], 3, "p.png") == [2, 0]
    assert numbers_of(["middle"], 3, "p.png") == [1] == numbers_of(["2"], 4, "p.png")
    assert numbers_of(["left"], 1, "p.png") == [0] == numbers_of(["middle"], 1, "p.png")


@pytest.mark.parametrize(
    ("names", "count", "message"),
    [
        (["left", "right"], 1, r"2 faces are named, but 1 found in p\.png: give a picture that shows all of them"),
        (["left"], 0, "1 face is named, but 0 found"),
        (["3"], 2, r"no face 3 in p\.png: 2 were found"),
        (["middle"], 2, r"no face in the middle of p\.png: 2 were found"),
        (["1", "left"], 2, r"1 and left are one face of p\.png: name each face once"),
        (["right", "middle", "3"], 3, "right and 3 are one face"),
    ],
)
def test_faces_that_are_not_there_are_said(names, count, message):
    with pytest.raises(UserError, match=message):
        numbers_of(names, count, "p.png")
