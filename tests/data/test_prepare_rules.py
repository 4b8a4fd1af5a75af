"""Rules of preparation: segments, records, persons, splits, names, manifests and numbers, without a tree of files."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
from etils import epath

from data import prepare
from data.naming import person_namer
from data.prepare import PrepareSettings, assign_splits, clip_names
from data.prepare import prepare as prepare_clips
from data.prepare_video import Rejected, Scan, VideoSettings, choose_segment, cut_sound, record_lengths
from data.sources import Source
from tests.media import builders
from xactor_jax.errors import UserError
from xactor_jax.media.faces import FaceBox
from xactor_jax.media.track import Sample


def test_no_cell_of_a_manifest_is_run_by_a_spreadsheet(tmp_path):
    names = ['=HYPERLINK("http://host","a").mp4', "+1.mp4", "-1.mp4", "@a.mp4", "'a.mp4", "'=1.mp4", "plain.mp4"]
    rows = [{"file": name, "status": "kept", "person": f"=p{name}", "records": 1, "start": -1.5} for name in names]
    prepare.write_manifest(epath.Path(tmp_path / prepare.MANIFEST), rows)
    with (tmp_path / prepare.MANIFEST).open() as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row if cell]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@")) or (cell[0] == "-" and cell != "-1.5")]
    read = {row["file"]: row["person"] for row in prepare.read_manifest(tmp_path)}
    assert read == {name: f"=p{name}" for name in names}


def test_data_sets_from_before_there_were_formats_of_frames_are_known_again():
    """The key of a file with the default format is that of the settings without this one."""
    source, settings = Source(path="/v/a.mp4", relative="a.mp4", stamp="1-2"), VideoSettings()
    values = {name: value for name, value in vars(settings).items() if name != "frames"}
    text = json.dumps(["a.mp4", "1-2", values, ""])
    assert prepare.source_key(source, settings) == hashlib.sha256(text.encode()).hexdigest()[:24]
    assert prepare.source_key(source, dataclasses.replace(settings, frames="h264")) != prepare.source_key(source, settings)


def test_a_face_that_leaves_the_picture():
    face = FaceBox(10, 10, 50, 50)
    samples = [Sample(k / 5, [face] if 10 <= k <= 30 else []) for k in range(50)]
    segment, start, frames = choose_segment(Scan(samples, 250, 10.0, (100, 100, 3), 0.2), VideoSettings())
    assert start == pytest.approx(2.0) and frames == 100 and segment.several == 0
    with pytest.raises(Rejected, match="too short"):
        choose_segment(Scan(samples, 250, 10.0, (100, 100, 3), 0.2), VideoSettings(min_seconds=5.0))


def test_lengths_and_sound_of_records():
    assert record_lengths(1501, VideoSettings(max_seconds=20.0)) == [376, 375, 375, 375]
    assert record_lengths(500, VideoSettings(max_seconds=20.0)) == [500]
    cut = cut_sound(np.arange(2000, dtype=np.float32), 0.1, 2)
    assert cut.shape == (1280,) and cut[0] == 1600 and cut[399] == 1999 and not cut[400:].any()
    assert not cut_sound(None, 0.0, 3).any()


def test_persons(tmp_path):
    assert person_namer("folder")("a/b/c.mp4") == "b" and person_namer("folder")("c.mp4") is None
    assert person_namer("name")("a/b/c.d.mp4") == "c.d"
    assert person_namer(r"name:_(p\d+)_")("x/talk_p012_1.mp4") == "p012" and person_namer(r"name:_(p\d+)_")("y.mp4") is None
    (tmp_path / "p.csv").write_text("file,person\nvideos/a.mp4,ann\nb/x.mp4,bob\nc/x.mp4,cid\n")
    namer = person_namer(str(tmp_path / "p.csv"))
    assert [namer(file) for file in ("a.mp4", "b/x.mp4", "c/x.mp4", "x.mp4")] == ["ann", "bob", "cid", None]


def test_splits_are_by_person_and_stable():
    persons = [f"p{i}" for i in range(40)]
    splits = assign_splits(persons * 3, 0.1, 0.2)
    counts = {split: list(splits.values()).count(split) for split in prepare.SPLITS}
    assert counts == {"train": 28, "validation": 4, "test": 8}
    assert assign_splits(persons[::-1], 0.1, 0.2) == splits
    more = assign_splits([*persons, "new"], 0.1, 0.2)
    assert sum(more[person] != splits[person] for person in persons) <= 2
    assert set(assign_splits(["a", "b", "c"], 0.1, 0.1).values()) == set(prepare.SPLITS)
    assert set(assign_splits(["a", "b"], 0.1, 0.1).values()) == {"train"}


def test_clip_names_are_unique():
    assert clip_names(["a/x.mp4", "a/y.mp4", "a/y.avi"]) == {"a/x.mp4": "a__x", "a/y.mp4": "a__y.mp4", "a/y.avi": "a__y.avi"}
    names = clip_names(["a__b/c.mp4", "a/b__c.mp4", "a/b/c.mp4", "d.mp4"])
    assert len(set(names.values())) == 4 and names["d.mp4"] == "d"


def test_no_videos_and_none_that_can_be_used(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.txt").write_text("")
    base = {"out": str(tmp_path / "clips"), "videos": (str(tmp_path / "in"),), "processes": 0}
    base["video"] = VideoSettings(detector="opencv")
    with pytest.raises(UserError, match="no videos in"):
        prepare_clips(PrepareSettings(**base))
    builders.write_media(tmp_path / "in" / "x.mp4", builders.numbered_frames(75))
    with pytest.raises(UserError, match=r"none of 2 files can be used .*1 no face"):
        prepare_clips(PrepareSettings(**base))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "changed",
    [
        {"validation": math.nan},
        {"test": 1.0},
        {"timeout": math.nan},
        {"processes": -1},
        {"video": VideoSettings(detections=math.inf)},
        {"video": VideoSettings(max_seconds=math.inf)},
        {"video": VideoSettings(min_seconds=9.0, max_seconds=8.0)},
    ],
)
def test_numbers_that_make_no_sense_are_named(changed):
    (name,) = changed
    name = {"video": "(detections|max_seconds|min_seconds)"}.get(name, name)
    with pytest.raises(UserError, match=rf"^--{name}=\S+ is not possible: use a (whole )?number"):
        PrepareSettings(videos=("clips",), out="out", **changed).validate()
