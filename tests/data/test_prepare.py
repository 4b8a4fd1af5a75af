"""A tree of all kinds of files becomes a data set, and every file is accounted for."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from etils import epath

from data import prepare, prepare_video, records
from data.frames import decode_frames
from data.naming import emotion_namer
from data.prepare import PrepareSettings
from data.prepare import prepare as prepare_clips
from data.prepare_video import VideoSettings
from tests.gcs import gcs_bucket  # noqa: F401
from tests.launch.programs import run_here
from tests.media import builders
from xactor_jax.errors import UserError, verdict
from xactor_jax.faces import components
from xactor_jax.media.faces import FaceBox
from xactor_jax.paths import readable

BOX = (16, 8, 48, 40)  # in pictures of 64 x 48


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    """Where eyes and mouth are is looked at less often, which is most of the work and tested in tests/faces."""
    monkeypatch.setattr(components, "EVERY", 50)


def with_square(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Numbered frames with a bright red square where the "face" is."""
    frames = builders.numbered_frames(count, height, width)
    frames[:, BOX[1] : BOX[3], BOX[0] : BOX[2], 0] = 250
    return frames


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> pathlib.Path:
    """Six videos that can be kept, of four persons, and one file of every kind that cannot."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("anna", "ben", "carl", "dora"):
        (root / name).mkdir()
    click = builders.click_track(3.0, 44100, [1.0])
    write = builders.write_media
    write(root / "anna" / "a.mp4", with_square(75), audio=click, audio_rate=44100)
    write(root / "anna" / "b.avi", with_square(36), fps=12, video_codec="mpeg4")
    write(root / "ben" / "a.mov", with_square(150), fps=50, audio=click, audio_rate=44100, layout="mono")
    write(root / "carl" / "a.webm", with_square(90), fps=30, video_codec="libvpx", audio_codec="libopus", audio=click[:96000])
    times = np.cumsum([0, *([0.02, 0.06] * 40)])
    write(root / "dora" / "vfr.mkv", with_square(80), times=times, audio=np.zeros(140000, np.float32))
    write(
        root / "dora" / "long.mpg", with_square(250), video_codec="mpeg1video", audio_codec="mp2", audio=click, audio_rate=44100
    )
    write(root / "nobody.mp4", with_square(75))
    write(root / "pair.mp4", with_square(75))
    write(root / "short.mp4", with_square(20))
    write(root / "glimpse.mp4", with_square(100))
    (root / "broken.mp4").write_bytes((root / "anna" / "a.mp4").read_bytes()[:3000])
    (root / "zero.mp4").write_bytes(b"")
    (root / "notes.txt").write_text("about these videos")
    write(root / "talk.mkv", audio=builders.click_track(3.0, 48000, [1.0]))
    _write_boxes(root.parent / "boxes.csv")
    return root


def _write_boxes(path: pathlib.Path) -> None:
    kept = ["anna/a.mp4", "anna/b.avi", "ben/a.mov", "carl/a.webm", "dora/vfr.mkv", "dora/long.mpg", "pair.mp4", "short.mp4"]
    lines = ["file,time,x0,y0,x1,y1"]
    for file in kept:
        lines += [f"{file},{k / 5},{','.join(map(str, BOX))}" for k in range(60)]
    lines += [f"pair.mp4,{k / 5},0,0,30,30" for k in range(0, 60)]
    lines += [f"glimpse.mp4,{k / 5},{','.join(map(str, BOX))}" for k in range(6)]
    path.write_text("\n".join(lines) + "\n")


def settings_for(tree: pathlib.Path, out: pathlib.Path, video: dict | None = None, **fields) -> PrepareSettings:
    options = VideoSettings(size=32, detector=f"csv:{tree.parent / 'boxes.csv'}", max_seconds=4.0, **(video or {}))
    return PrepareSettings(
        **{"videos": (str(tree),), "out": str(out), "video": options, "persons": "folder", "processes": 0, **fields}
    )


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory) -> tuple[pathlib.Path, dict[str, dict]]:
    out = tmp_path_factory.mktemp("out") / "clips"
    _, worked = prepare_clips(settings_for(tree, out, processes=2, persons="name"))
    assert worked
    return out, {row["file"]: row for row in prepare.read_manifest(out)}


def clips_of(out: pathlib.Path) -> dict[str, dict]:
    found = {}
    for split in prepare.SPLITS:
        source = records.open_clips(out, split)
        found |= {source[i]["clip"]: {**source[i], "split": split} for i in range(len(source))}
    return found


def test_every_file_is_accounted_for(tree, prepared):
    _, rows = prepared
    assert set(rows) == {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    reasons = {file: row["reason"] for file, row in rows.items() if row["status"] == "rejected"}
    assert reasons == {
        "nobody.mp4": "no face",
        "pair.mp4": "several faces",
        "short.mp4": "too short",
        "glimpse.mp4": "too short",
        "broken.mp4": "unreadable",
        "zero.mp4": "unreadable",
        "notes.txt": "not a video",
        "talk.mkv": "not a video",
    }
    kept = {
        file: (int(row["records"]), int(row["frames"]), row["sound"]) for file, row in rows.items() if row["status"] == "kept"
    }
    assert kept == {
        "anna/a.mp4": (1, 75, "yes"),
        "anna/b.avi": (1, 75, "none"),
        "ben/a.mov": (1, 75, "yes"),
        "carl/a.webm": (1, 75, "yes"),
        "dora/long.mpg": (3, 250, "yes"),
        "dora/vfr.mkv": (1, kept["dora/vfr.mkv"][1], "silent"),
    }
    assert abs(kept["dora/vfr.mkv"][1] - 80) <= 1
    assert float(rows["ben/a.mov"]["fps_in"]) == pytest.approx(50) and rows["ben/a.mov"]["width_in"] == "64"


def test_records_hold_what_the_file_showed(prepared):
    out, _ = prepared
    clips = clips_of(out)
    assert len(clips) == 8
    for name, clip in clips.items():
        frames = len(clip["frames"])
        assert clip["audio"].shape == (640 * frames,) and clip["controls"].shape == (0, 14)
        assert set(clip["emotion"]) == {-1} and set(clip["emotion_intensity"]) == {1.0} and len(clip["emotion"]) == frames
        assert clip["component_boxes"].shape == (frames, 2, 4)
        first = decode_frames(clip["frames"], [0])[0]
        assert first.shape == (32, 32, 3), name
    # 25 of 50 frames a second; brightness tells the number of the source frame
    shown = [builders.read_number(frame[:2]) for frame in decode_frames(clips["ben__a_0000"]["frames"], range(20))]
    np.testing.assert_allclose(shown, 2 * np.arange(20), atol=1)
    held = [builders.read_number(frame[:2]) for frame in decode_frames(clips["anna__b_0000"]["frames"], range(40))]
    np.testing.assert_allclose(held, np.arange(40) / 25 * 12, atol=1.1)


@pytest.mark.parametrize("clip", ["anna__a_0000", "ben__a_0000", "carl__a_0000"])
def test_sound_keeps_its_time(prepared, clip):
    samples = clips_of(prepared[0])[clip]["audio"] / 32767
    expected = 1.0 if clip != "carl__a_0000" else 44100 / 48000  # written at another rate
    assert builders.onset(samples) == pytest.approx(expected, abs=0.004)


def test_long_clips_become_consecutive_records(prepared):
    clips = clips_of(prepared[0])
    parts = [clips[f"dora__long_{i:04d}"] for i in range(3)]
    assert [len(part["frames"]) for part in parts] == [84, 83, 83]
    assert len({part["person"] for part in parts}) == 1
    numbers = [builders.read_number(frame[:2]) for part in parts for frame in decode_frames(part["frames"])]
    np.testing.assert_allclose(numbers[:200], np.arange(200) % 50, atol=1)
    samples = np.concatenate([part["audio"] for part in parts]) / 32767
    assert builders.onset(samples) == pytest.approx(1.0, abs=0.04)


def test_the_crop_is_that_of_a_portrait(prepared):
    from xactor_jax.media.crop import component_boxes, crop_square, portrait_box

    clip = clips_of(prepared[0])["anna__a_0000"]
    face = FaceBox(*map(float, BOX))
    expected = crop_square(with_square(1)[0], portrait_box(face, (48, 64, 3)), 32)
    got = decode_frames(clip["frames"], [0])[0]
    assert np.abs(got.astype(int) - expected).mean() < 8
    np.testing.assert_allclose(clip["component_boxes"][5], component_boxes(face, portrait_box(face, (48, 64, 3))), atol=1e-5)


def test_staging_is_removed_and_a_second_run_does_nothing(tree, prepared):
    out, _ = prepared
    assert [path.name for path in out.parent.iterdir()] == ["clips"]
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    rows, worked = prepare_clips(settings_for(tree, out, persons="name"))
    assert not worked and len(rows) == 14
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(UserError, match="other files or settings"):
        prepare_clips(settings_for(tree, out, {"min_seconds": 1.0}, persons="name"))


def test_goes_on_where_it_was_stopped(tree, tmp_path, monkeypatch):
    settings, seen = settings_for(tree, tmp_path / "clips"), []

    def stop(done, total, row):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_clips(settings, stop)
    assert not (tmp_path / "clips").exists()
    work = prepare_video.prepare_video
    monkeypatch.setattr(prepare_video, "prepare_video", lambda job: seen.append(job.relative) or work(job))
    prepare_clips(settings)
    videos = [path for path in tree.rglob("*") if path.suffix != ".txt" and path.parent != tree]
    assert 0 < len(seen) <= len(videos) + 7 - 4 and len(clips_of_persons(tmp_path / "clips")) == 4


def one_video(tmp_path: pathlib.Path, name: str = "x.mp4") -> PrepareSettings:
    """Three seconds of one face."""
    (tmp_path / "in").mkdir()
    builders.write_media(tmp_path / "in" / "plain.mp4", with_square(75))
    os.rename(tmp_path / "in" / "plain.mp4", tmp_path / "in" / name)
    file = readable(name)
    (tmp_path / "boxes.csv").write_text("file,time,x0,y0,x1,y1\n" + "".join(f"{file},{k / 5},16,8,48,40\n" for k in range(15)))
    video = VideoSettings(size=32, detector=f"csv:{tmp_path / 'boxes.csv'}")
    return PrepareSettings(videos=(str(tmp_path / "in"),), out=str(tmp_path / "clips"), video=video)


def test_frames_are_stored_as_h264_where_that_is_wanted(tmp_path):
    settings = dataclasses.replace(one_video(tmp_path), processes=0)
    prepare_clips(settings)
    settings = dataclasses.replace(
        settings, out=str(tmp_path / "h264"), video=dataclasses.replace(settings.video, frames="h264")
    )
    prepare_clips(settings)
    jpeg, h264 = (records.open_clips(tmp_path / name, "train")[0]["frames"] for name in ("clips", "h264"))
    assert len(jpeg) == len(h264) and sum(map(len, h264)) < 0.6 * sum(map(len, jpeg))
    assert np.abs(decode_frames(jpeg).astype(float) - decode_frames(h264)).mean() < 6
    assert records.clips_metadata(tmp_path / "h264")["settings"]["frames"] == "h264"


CAFE = os.fsdecode(b"caf\xe9.mp4")


NAMES = [("10:30.mp4", 0), ("x.MP4", 0), (CAFE, 0), pytest.param(CAFE, 1, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("name", "processes"), NAMES)
def test_odd_names_are_names(tmp_path, name, processes):
    rows, _ = prepare_clips(dataclasses.replace(one_video(tmp_path, name), processes=processes))
    assert [(row["file"], row["status"]) for row in rows] == [(readable(name), "kept")]
    assert records.open_clips(tmp_path / "clips", "train")[0]["person"] == readable(name)[:-4]


@pytest.mark.parametrize("processes", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_run_and_not_the_file(tmp_path, processes):
    """A file is not said to be unreadable for it, and the same command goes on."""
    settings = dataclasses.replace(one_video(tmp_path), processes=processes)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises((UserError, OSError), match="File too large") as raised:
            prepare_clips(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verdict(raised.value)[0] == 1 and not list(prepare.staging_folder(settings.out).glob("*.npz"))
    assert prepare_clips(settings)[0][0]["status"] == "kept"


def clips_of_persons(out: pathlib.Path) -> set[str]:
    return {clip["person"] for clip in clips_of(out).values()}


def test_same_data_set_however_many_processes(tree, prepared, tmp_path):
    prepare_clips(settings_for(tree, tmp_path / "clips", persons="name"))
    ours, theirs = clips_of(tmp_path / "clips"), clips_of(prepared[0])
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name]["frames"] == theirs[name]["frames"] and ours[name]["split"] == theirs[name]["split"]
        np.testing.assert_array_equal(ours[name]["audio"], theirs[name]["audio"])


def test_sound_where_it_is_needed(tree, tmp_path):
    prepare_clips(settings_for(tree, tmp_path / "clips", {"need_sound": True}))
    rows = {row["file"]: row for row in prepare.read_manifest(tmp_path / "clips")}
    assert rows["anna/b.avi"]["reason"] == rows["dora/vfr.mkv"]["reason"] == "no sound"
    assert rows["anna/a.mp4"]["status"] == "kept"


@pytest.mark.parametrize("beside", ["x.flac", "x.WAV"])
def test_sound_beside_the_video(tmp_path, beside):
    (tmp_path / "in").mkdir()
    builders.write_media(tmp_path / "in" / "x.mp4", with_square(75), audio=builders.click_track(3.0, 48000, [0.5]))
    soundfile.write(tmp_path / "in" / beside, builders.click_track(3.0, 48000, [2.0]), 48000)
    (tmp_path / "boxes.csv").write_text("file,time,x0,y0,x1,y1\n" + "".join(f"x.mp4,{k / 5},16,8,48,40\n" for k in range(15)))
    for sidecar, expected in ((False, 0.5), (True, 2.0)):
        out = tmp_path / f"clips_{sidecar}"
        video = VideoSettings(size=32, detector=f"csv:{tmp_path / 'boxes.csv'}", sidecar_audio=sidecar)
        rows, _ = prepare_clips(PrepareSettings(videos=(str(tmp_path / "in"),), out=str(out), video=video, processes=0))
        assert builders.onset(records.open_clips(out, "train")[0]["audio"] / 32767) == pytest.approx(expected, abs=0.004)
        assert {row["file"]: row["status"] for row in rows}[beside] == ("used" if sidecar else "rejected")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"videos": ("/nowhere",)}, "there is no folder"),
        ({"persons": "guess"}, "--persons"),
        ({"persons": "name:("}, "regular expression"),
        ({"persons": "/nowhere.csv"}, "no csv of persons"),
        ({"emotions": "guess"}, "--emotions"),
        ({"emotions": "path:("}, "regular expression"),
        ({"emotions": "path:(.*)"}, "there is no emotion"),
        ({"persons": "path:("}, "regular expression"),
        ({"persons": "path:^(id)"}, "names nobody in 13 videos"),
        ({"layout": "lrs3"}, "no layout 'lrs3'"),
        ({"validation": 0.7, "test": 0.3}, "leave some to train"),
        ({"video": VideoSettings(size=31)}, "even number"),
        ({"video": VideoSettings(frames="png")}, "--frames png is not possible: use jpeg or h264"),
        ({"video": VideoSettings(detector="yunet:/nowhere.onnx")}, "no YuNet model"),
        ({"video": VideoSettings(min_seconds=30.0)}, "--min_seconds"),
        ({"out": "{folder}/file/x"}, "cannot be written"),
        ({"out": "{folder}/full"}, "not an empty folder"),
    ],
)
def test_mistakes_end_in_one_sentence_and_leave_nothing(tree, tmp_path, change, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    before = sorted(tmp_path.rglob("*"))
    change = {"video": settings_for(tree, tmp_path).video, **change}
    out = change.pop("out", "{folder}/clips").format(folder=tmp_path)
    with pytest.raises(UserError, match=message):
        prepare_clips(PrepareSettings(**{"videos": (str(tree),), "out": out, "persons": "folder", "processes": 0, **change}))
    assert sorted(tmp_path.rglob("*")) == before


def test_command_line(tree, repository, tmp_path):
    options = ["--videos", str(tree / "anna"), str(tree / "ben"), "--out", str(tmp_path / "clips")]
    (tmp_path / "boxes.csv").write_text((tree.parent / "boxes.csv").read_text())
    options += ["--size", "32", "--detector", f"csv:{tmp_path / 'boxes.csv'}", "--persons", "folder", "--processes", "0"]
    command = [sys.executable, "launch/prepare.py", *options]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, env={**os.environ, "COLUMNS": "160"})
    assert run.returncode == 0, run.stderr
    assert "train" in run.stdout and "manifest.csv" in run.stdout
    with open(tmp_path / "clips" / "manifest.csv") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["anna/a.mp4", "anna/b.avi", "ben/a.mov"]
    again = run_here("prepare.py", *options)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    wrong = run_here("prepare.py", *options, "--size", "33")
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: --size 33")


def test_remote_folders(tree, tmp_path, gcs_bucket):
    source, out = epath.Path(f"{gcs_bucket}/prepare/in"), epath.Path(f"{gcs_bucket}/prepare/clips")
    for file in ("anna/a.mp4", "ben/a.mov"):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes((tree / file).read_bytes())
    settings = settings_for(tree, out, videos=(str(source),))
    rows, worked = prepare_clips(settings)
    assert worked and [row["status"] for row in rows] == ["kept", "kept"]
    assert [row["file"] for row in prepare.read_manifest(out)] == ["anna/a.mp4", "ben/a.mov"]
    clip = records.open_clips(out, "train")[0]
    assert clip["person"] == "anna" and len(clip["frames"]) == 75
    assert not prepare.staging_folder(str(out)).exists() and not prepare_clips(settings)[1]


def test_emotions_are_given_by_a_table_or_by_paths(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "felt.csv"
    table.write_text('file,emotion\na/x.mp4,happy@0.5\ny.mp4,"sad:0-1,angry:1-"\nz.mp4,\n')
    named = emotion_namer(str(table))
    expected = ["happy@0.5", "sad:0-1,angry:1-", "", ""]
    assert [str(named(file)) for file in ("a/x.mp4", "b/y.mp4", "z.mp4", "else.mp4")] == expected
    by_path = emotion_namer(r"path:_(ANG|FEA|NEU)_")
    assert [str(by_path(file)) for file in ("1001_DFA_ANG_XX.flv", "1001_IEO_FEA_HI.flv", "x.mp4")] == ["angry", "afraid", ""]
    assert str(emotion_namer("path:front/([a-z]+)/")("M003/video/front/contempt/level_1/001.mp4")) == "contemptuous"
    assert str(emotion_namer("")("a.mp4")) == ""
    with pytest.raises(UserError, match=r"--emotions, bored/b\.mp4: there is no emotion 'bored'"):
        emotion_namer(r"path:(\w+)/")("bored/b.mp4")


def test_records_have_the_emotions_of_their_own_seconds(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The longest file becomes three records, whose labels change where the track of the whole file does."""
    table = tmp_path / "felt.csv"
    table.write_text('file,emotion\nlong.mpg,"happy@0.25:0-4,disgusted:4-"\nben/a.mov,sad\n')
    rows, _ = prepare_clips(settings_for(tree, tmp_path / "clips", emotions=str(table)))
    start = round(next(row["start"] for row in rows if row["file"] == "dora/long.mpg") * 25)
    clips = clips_of(tmp_path / "clips")
    parts = [clips[f"dora__long_{i:04d}"] for i in range(3)]
    label = np.concatenate([part["emotion"] for part in parts])
    np.testing.assert_array_equal(label, np.where(start + np.arange(250) < 100, 1, 6))
    intensity = np.concatenate([part["emotion_intensity"] for part in parts])
    np.testing.assert_array_equal(intensity, np.where(label == 1, np.float32(0.25), 1))
    assert set(clips["ben__a_0000"]["emotion"]) == {2} and set(clips["anna__b_0000"]["emotion"]) == {-1}
    assert {row["file"]: row["emotion"] for row in rows if row["status"] == "kept"}["ben/a.mov"] == "sad"
