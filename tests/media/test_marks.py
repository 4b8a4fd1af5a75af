"""Marks of generated videos: text in the pictures, and a signed manifest."""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import pytest

from xactor_jax.errors import UserError
from xactor_jax.media.marks import Marks, check_marks, draw_mark, manifest, parse_marks
from xactor_jax.media.video_io import VideoWriter, read_frames
from xactor_jax.sampling.request import Request, Wanted

TEXT = "AI-generated"


def write(path: pathlib.Path, frames: np.ndarray, marks: Marks | None = None) -> list[np.ndarray]:
    """The pictures of a video, as they are read again."""
    with VideoWriter(path, frames.shape[1], marks=marks) as writer:
        writer.write(frames)
    return [pixels for _, pixels in read_frames(path)]


@pytest.mark.parametrize("side", [64, 128, 512])
def test_text_is_white_on_a_plate_of_half_the_light_in_the_corner(side):
    frames = np.full((2, side, side, 3), 200, np.uint8)
    marked = draw_mark(frames, TEXT)
    changed = np.argwhere((marked != frames).any(axis=(0, 3)))
    (top, left), last = changed.min(axis=0), changed.max(axis=0)
    plate = marked[0, top:, left:]
    assert tuple(last) == (side - 1, side - 1) and left >= 0 and side / 18 <= side - top <= max(14, side / 11)
    assert (marked[:, :top] == 200).all() and (marked[:, :, :left] == 200).all()
    assert plate.min() == 100 and plate.max() > 220 and 0.05 < (plate > 180).mean() < 0.5
    np.testing.assert_array_equal(marked[0], marked[1])
    assert draw_mark(frames, "") is frames


def test_text_survives_another_encoding(tmp_path, rng):
    smooth = np.repeat(np.repeat(rng.integers(0, 256, (25, 8, 8, 3), dtype=np.uint8), 16, axis=1), 16, axis=2)
    once = np.stack(write(tmp_path / "a.mp4", smooth, Marks(TEXT)))
    twice = np.stack(write(tmp_path / "b.mp4", once))
    corner, mark = np.s_[:, -10:, -70:], draw_mark(np.zeros_like(smooth), TEXT)
    assert np.corrcoef(twice[corner].mean(axis=0).ravel(), mark[corner].mean(axis=0).ravel())[0, 1] > 0.8


@pytest.mark.parametrize("text", ["AI-generated", "généré par IA", "wygenerowane przez SI", "генерирано от ИИ", "από ΤΝ", ""])
def test_languages_of_the_union_can_be_drawn(text):
    check_marks(Marks(text))


@pytest.mark.parametrize(
    ("text", "said"), [("生成", "its font has no '生'"), ("two\nlines", "no '.n'"), ("x" * 41, "41 characters")]
)
def test_text_that_cannot_be_drawn_is_refused(text, said):
    with pytest.raises(UserError, match=said):
        check_marks(Marks(text))


@pytest.mark.parametrize("c2pa", ["cert.pem", "a,b,c", "a,"])
def test_two_files_sign(c2pa):
    with pytest.raises(UserError, match="give the certificate and its key"):
        parse_marks("", c2pa)


def test_the_library_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UserError, match=r"install requirements-c2pa\.txt"):
        check_marks(parse_marks("", "cert.pem,key.pem"))


def test_a_manifest_says_whether_all_of_the_picture_is_generated():
    """By IPTC's terms (cv.iptc.org/newscodes/digitalsourcetype)."""
    terms = [manifest("v.mp4", of)["assertions"][0]["data"]["actions"][0]["digitalSourceType"] for of in (False, True)]
    assert [term.split("/")[-1] for term in terms] == ["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
    plain, whole = (Wanted(image="p.png", out="v.mp4", paste_back=back).marks.composite for back in (False, True))
    assert whole and not plain and Request(image="p.png", out="v.mp4", faces="left=a.wav").marks.composite


def test_a_signed_video_says_to_others_that_it_was_created_by_a_trained_algorithm(tmp_path, rng):
    """It is read as others read it, who trust the authority of the test's certificate."""
    c2pa = pytest.importorskip("c2pa")
    from tests.media.certificates import write_certificates

    marks, frames = parse_marks("", write_certificates(tmp_path)), rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    check_marks(marks)
    np.testing.assert_array_equal(write(tmp_path / "v.mp4", frames, marks), write(tmp_path / "plain.mp4", frames))
    trust = {"trust": {"trust_anchors": (tmp_path / "authority.pem").read_text()}, "verify": {"verify_trust": True}}

    def state() -> tuple[str, dict]:
        with c2pa.Context.from_dict(trust) as context, c2pa.Reader(str(tmp_path / "v.mp4"), context=context) as reader:
            return reader.get_validation_state(), json.loads(reader.json())

    trusted, said = state()
    (assertion,) = [a for a in said["manifests"][said["active_manifest"]]["assertions"] if a["label"] == "c2pa.actions.v2"]
    (action,) = assertion["data"]["actions"]
    assert trusted == "Trusted" and action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/digitalsourcetype/trainedAlgorithmicMedia")
    damaged = bytearray((tmp_path / "v.mp4").read_bytes())
    damaged[damaged.rindex(b"mdat") + 100] ^= 1
    (tmp_path / "v.mp4").write_bytes(damaged)
    assert state()[0] == "Invalid"


def test_a_key_of_another_certificate_leaves_no_video(tmp_path):
    pytest.importorskip("c2pa")
    from tests.media.certificates import write_certificates

    (tmp_path / "other").mkdir()
    mixed = Marks("", write_certificates(tmp_path).split(",")[0], write_certificates(tmp_path / "other").split(",")[1])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"chain\.pem"):
        write(tmp_path / "v.mp4", np.zeros((1, 32, 32, 3), np.uint8), mixed)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(UserError, match=r"cannot sign .*give a certificate chain and its key"):
        check_marks(Marks("", str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")))
