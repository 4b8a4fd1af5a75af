"""Folders of videos become cases."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from tests.media.builders import numbered_frames, read_number, write_media
from tests.scoring.videos import write_clip
from xactor_jax.errors import UserError
from xactor_jax.media.scan import scan
from xactor_jax.scoring import files
from xactor_jax.scoring.files import Pair


def test_videos_are_named_by_their_paths_and_hidden_files_do_not_count(tmp_path):
    written = write_clip(tmp_path / "a" / "x.mp4")
    for other in ("b/x.MKV", "y.avi", ".y.mp4", ".cache/z.mp4", "notes.txt"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        shutil.copy(written, tmp_path / other)
    assert files.list_videos(tmp_path) == {name: f"{tmp_path}/{name}{end}" for name, end in
                                           (("a/x", ".mp4"), ("b/x", ".MKV"), ("y", ".avi"))}  # fmt: skip
    shutil.copy(written, tmp_path / "y.mov")
    with pytest.raises(UserError, match="two videos called y: keep one"):
        files.list_videos(tmp_path)


@pytest.mark.parametrize(("folder", "message"), [("missing", "there is no folder"), ("", "there are no videos in")])
def test_a_folder_without_videos_is_refused(tmp_path, folder, message):
    with pytest.raises(UserError, match=message):
        files.list_videos(tmp_path / folder)


def test_files_are_paired_by_path_or_else_by_file_name_and_the_rest_is_listed():
    truth = {"a/x": "t1", "b/x": "t2", "c/y": "t3", "z": "t4"}
    pairing = files.pair("ours", {"b/x": "g1", "y": "g2", "w": "g3"}, truth)
    assert pairing.pairs == [Pair("ours", "b/x", "g1", "t2"), Pair("ours", "c/y", "g2", "t3")]
    assert pairing.without_truth == ["w"] and pairing.unused_truth == ["a/x", "z"]
    assert files.pair("ours", {"w": "g3"}, None).pairs == [Pair("ours", "w", "g3")]


@pytest.mark.parametrize(
    ("generated", "truth", "message"),
    [
        ({"x": ""}, {"a/x": "", "b/x": ""}, "several videos are called x (a/x, b/x)"),
        ({"a/x": "", "b/x": ""}, {"x": ""}, "several videos are called x (a/x, b/x)"),
        ({"x": ""}, {"y": ""}, "no video of ours has the name of a true one (x"),
    ],
)
def test_names_that_lead_nowhere_are_one_sentence(generated, truth, message):
    with pytest.raises(UserError, match=re.escape(message)):
        files.pair("ours", generated, truth)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {"fps": 30}),
        ("a.mkv", {"times": [0.0, 0.05, 0.2, 0.26, 0.31, 0.4]}),
        ("a.avi", {"fps": 10, "video_codec": "mpeg4"}),
        ("a.mpg", {"fps": 25, "video_codec": "mpeg1video"}),
    ],
)
def test_frames_are_counted_as_decoding_counts_them(tmp_path, name, how):
    path = write_media(tmp_path / name, numbered_frames(6), **how)
    assert files.count_frames(path) == round(25 * scan(path, lambda *_: []).seconds)


def test_a_pair_has_one_size_and_one_length(tmp_path):
    generated = write_clip(tmp_path / "g.mp4", count=10, side=32)
    truth = write_clip(tmp_path / "t.mp4", count=12, side=64, sound=True, shift=3)
    case = files.open_case(Pair("ours", "g", str(generated), str(truth)))
    for video in case.generated, case.truth:
        frames = np.stack(list(video.read()))
        assert frames.shape == (10, 32, 32, 3) == (video.count, *video.side, 3)
        assert list(map(read_number, video.read())) == list(map(read_number, frames))  # it is read again
        assert video.waveform.shape == (6400,) and np.std(video.waveform) > 0.01  # the truth's, for both
    assert [read_number(frame) for frame in case.truth.read()] == list(range(3, 13))
    assert files.open_case(Pair("ours", "g", str(generated), str(truth)), sound=False).truth.waveform is None


def test_another_shape_is_refused(tmp_path):
    generated = write_clip(tmp_path / "g.mp4", side=32)
    truth = write_media(tmp_path / "t.mp4", numbered_frames(3, height=48, width=64))
    with pytest.raises(UserError, match="g is 32×32, its truth 64×48: crop both alike"):
        files.open_case(Pair("ours", "g", str(generated), str(truth)))
