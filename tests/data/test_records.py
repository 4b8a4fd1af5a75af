"""Records survive the disk, in order; what a person can get wrong ends in one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import resource
import shutil
import sys
import tempfile
import zlib

import grain
import numpy as np
import pytest

from data import encoded, records, storage
from data.frames import decode_frames, encode_frames
from tests.gcs import gcs_bucket  # noqa: F401
from xactor_jax.errors import UserError, verdict
from xactor_jax.scratch import LOCK


def make_clip(person: str, clip: str, frames: int = 4, labelled: bool = True, kind: str = "jpeg") -> records.Clip:
    rng = np.random.default_rng(zlib.crc32(f"{person}/{clip}/{frames}".encode()))
    ramp = np.linspace(0, 200, 32 * 24).reshape(32, 24, 1)
    pictures = np.clip(ramp + rng.uniform(0, 50, (frames, 1, 1, 3)), 0, 255).astype(np.uint8)
    return records.Clip(
        person=person,
        clip=clip,
        frames=encode_frames(pictures, kind),
        audio=rng.integers(-(2**15), 2**15, frames * 640).astype(np.int16),
        emotion=np.full(frames, 2 if labelled else -1, np.int32),
        emotion_intensity=rng.uniform(size=frames).astype(np.float32),
        controls=rng.normal(size=(frames if labelled else 0, 14)).astype(np.float32),
        component_boxes=rng.uniform(size=(frames, 2, 4)).astype(np.float32),
    )


def assert_same(record: dict, clip: records.Clip | encoded.EncodedClip) -> None:
    given = {name: value for name, value in vars(clip).items() if value is not None}
    assert record.keys() == given.keys()
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            assert record[name].dtype == value.dtype, name
            np.testing.assert_array_equal(record[name], value)
        else:
            assert record[name] == value


def test_clips_round_trip_sorted(tmp_path):
    clips = [make_clip(p, c, n, known) for p, c, n, known in (("b", "2", 3, True), ("a", "9", 5, False), ("b", "1", 7, True))]
    records.write_clips(tmp_path / "d", {"train": iter(clips), "test": [make_clip("z", "0")]}, metadata={"size": 32})
    source = records.open_clips(tmp_path / "d", "train")
    assert len(source) == 3
    for i, clip in enumerate((clips[1], clips[2], clips[0])):
        assert_same(source[i], clip)
    assert (source.persons, source.clips, source.num_frames) == (["a", "b", "b"], ["9", "1", "2"], [5, 7, 3])
    assert records.clips_metadata(tmp_path / "d") == {"size": 32}


def test_records_of_both_formats_of_frames_are_one_data_set(tmp_path):
    clips = [make_clip("a", str(i), 11, kind=kind) for i, kind in enumerate(("jpeg", "h264"))]
    records.write_clips(tmp_path / "d", {"train": clips})
    source = records.open_clips(tmp_path / "d", "train")
    assert source.num_frames == [11, 11]
    for record, clip in zip(source, clips, strict=True):
        assert_same(record, clip)
        np.testing.assert_array_equal(decode_frames(record["frames"], [9, 3]), decode_frames(clip.frames)[[9, 3]])


def test_order_holds_for_many_clips(tmp_path):
    clips = [make_clip(f"p{i % 7}", f"{i:03d}", 1) for i in range(60)]
    records.write_clips(tmp_path / "d", {"train": clips})
    source = records.open_clips(tmp_path / "d", "train")
    assert [(r["person"], r["clip"]) for r in source] == sorted((c.person, c.clip) for c in clips)


def test_records_go_to_disk_as_they_come(tmp_path, monkeypatch):
    """A data set may be larger than memory."""
    monkeypatch.setattr(storage, "RECORDS_PER_FILE", 2)
    clips = [make_clip("p", f"{i}", 2) for i in (3, 1, 4, 0, 2)]

    def source():
        yield from clips[:4]
        assert len(list(tmp_path.glob("**/*.array_record-*"))) == 2
        yield clips[4]

    records.write_clips(tmp_path / "d", {"train": source()})
    assert len(list((tmp_path / "d").glob("*.array_record-*"))) == 3
    for i, record in enumerate(records.open_clips(tmp_path / "d", "train")):
        assert_same(record, next(clip for clip in clips if clip.clip == f"{i}"))


def test_grain_reads_and_pickle_carries_the_source(tmp_path):
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", f"{i}") for i in range(5)]})
    source = records.open_clips(tmp_path / "d", "train")
    seen = {record["clip"] for record in grain.MapDataset.source(source).shuffle(seed=1)}
    assert seen == set("01234")
    assert pickle.loads(pickle.dumps(source))[3]["clip"] == "3"


def test_no_tensorflow(tmp_path):
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0")]})
    records.open_clips(tmp_path / "d", "train")[0]
    assert "tensorflow" not in sys.modules


def test_empty_split_is_left_out_and_unknown_split_is_named(tmp_path):
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0")], "validation": iter(())})
    with pytest.raises(UserError, match="no split 'validation': it has train"):
        records.open_clips(tmp_path / "d", "validation")


def test_unprepared_path_names_the_command(tmp_path):
    for path in (tmp_path / "nothing", tmp_path, ""):
        with pytest.raises(UserError, match=r"launch/prepare\.py"):
            records.open_clips(path, "train")
    with pytest.raises(UserError, match=r"launch/encode\.py"):
        encoded.open_encoded(tmp_path, "train")


def test_clips_and_encoded_records_are_distinguished(tmp_path):
    records.write_clips(tmp_path / "clips", {"train": [make_clip("a", "0")]})
    encoded.write_encoded(tmp_path / "encoded", {"train": [encoded_clip(4)]}, metadata={"motion_hash": "x"})
    with pytest.raises(UserError, match=r"encoded holds other records than clips: name a folder made with .*prepare\.py"):
        records.open_clips(tmp_path / "encoded", "train")
    with pytest.raises(UserError, match=r"clips holds other records than motion latents .*: name a folder .*encode\.py"):
        encoded.encoded_metadata(tmp_path / "clips")


SHARD = "clips-train.array_record-00000"


def flip(file) -> None:
    """A bit of the text of a file, or of its first record."""
    content = bytearray(file.read_bytes())
    content[len(content) // 3 if file.suffix == ".json" else 200] ^= 1
    file.write_bytes(content)


def cut(file) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def exchange_clips(file) -> None:
    """As if the index belonged to another writing that had no hashes."""
    index = json.loads(file.read_text())
    index.pop("hashes")
    index["splits"]["train"]["position"].reverse()
    file.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "name, damage, reason",
    [
        (SHARD, flip, rf"{SHARD}, clip a/0: .*hash mismatch"),
        (SHARD, cut, rf"{SHARD}, clip a/0: .*"),
        (SHARD, lambda file: file.unlink(), rf".*{SHARD}"),
        ("index.json", flip, r"index\.json.*"),
        ("index.json", cut, r"index\.json: JSONDecodeError.*"),
        ("index.json", exchange_clips, rf"{SHARD}, clip a/0: .*another clip is in its place"),
        ("features.json", flip, r"features\.json.*"),
        ("features.json", cut, r"features\.json: JSONDecodeError.*"),
        ("dataset_info.json", cut, r"dataset_info\.json is not as it was written"),
    ],
)
def test_a_damaged_folder_is_named_with_file_and_clip(tmp_path, name, damage, reason):
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0"), make_clip("b", "1")]})
    damage(tmp_path / "d" / name)
    with pytest.raises(UserError, match=rf"d is damaged \({reason}.*\): prepare it again\.$"):
        list(records.open_clips(tmp_path / "d", "train"))


def test_folders_without_hashes_are_read(tmp_path):
    """As they were written before there were any."""
    clip, file = make_clip("a", "0"), tmp_path / "d" / "index.json"
    records.write_clips(tmp_path / "d", {"train": [clip]}, metadata={"size": 32})
    index = json.loads(file.read_text())
    assert set(index.pop("hashes")) == {"", "features.json", "dataset_info.json"}
    file.write_text(json.dumps(index))
    assert_same(records.open_clips(tmp_path / "d", "train")[0], clip)


@pytest.mark.parametrize("problem", ["no clips", "same name", "broken source"])
def test_failure_leaves_nothing_behind(tmp_path, problem):
    def clips():
        if problem != "no clips":
            yield make_clip("a", "0")
        if problem == "same name":
            yield make_clip("a", "0")
        if problem == "broken source":
            raise UserError("the disk is on fire.")

    with pytest.raises(UserError):
        records.write_clips(tmp_path / "d", {"train": clips()})
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    left = tmp_path / ".d.5f3a"
    (left / "records").mkdir(parents=True)
    (left / LOCK).touch()
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0")]})
    assert os.listdir(tmp_path) == ["d"]


def test_existing_data_is_not_overwritten(tmp_path):
    records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0")]})
    with pytest.raises(UserError, match="data set already"):
        records.write_clips(tmp_path / "d", {"train": [make_clip("b", "0")]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        records.write_clips(tmp_path / "other", {"train": [make_clip("b", "0")]})
    assert records.open_clips(tmp_path / "d", "train")[0]["person"] == "a"


def test_who_is_quicker_is_not_overwritten(tmp_path):
    """Another process writes the whole data set while this one writes its records."""

    def clips():
        yield make_clip("a", "0")
        records.write_clips(tmp_path / "d", {"train": [make_clip("b", "0")]})

    with pytest.raises(UserError, match="data set already"):
        records.write_clips(tmp_path / "d", {"train": clips()})
    assert records.open_clips(tmp_path / "d", "train")[0]["person"] == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write to"):
        records.write_clips(tmp_path / "file" / "d", {"train": [make_clip("a", "0")]})


def test_fields_must_fit_together():
    clip = make_clip("a", "0")
    for name in ("audio", "emotion", "emotion_intensity", "controls"):
        with pytest.raises(ValueError, match="a/0"):
            records.Clip(**{**vars(clip), name: getattr(clip, name)[:-1]}).validate()
    for outside in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"a/0: intensities .* in \[0, 1\]"):
            records.Clip(**{**vars(clip), "emotion_intensity": np.full(4, outside, np.float32)}).validate()


def encoded_clip(frames: int) -> encoded.EncodedClip:
    zeros = lambda *shape: np.zeros(shape, np.float32)
    labels = {"emotion": np.zeros(frames, np.int32), "emotion_intensity": zeros(frames), "controls": zeros(0, 14)}
    latents = {"motion_latents": zeros(frames, 8), "audio_features": zeros(frames, 5)}
    return encoded.EncodedClip(person="a", clip="0", **latents, **labels)


def test_encoded_intensities_are_checked():
    clip = encoded_clip(3)
    clip.validate()
    for wrong in (np.zeros(2, np.float32), np.full(3, 1.5, np.float32)):
        with pytest.raises(ValueError, match="a/0: intensities"):
            encoded.EncodedClip(**{**vars(clip), "emotion_intensity": wrong}).validate()


@pytest.mark.parametrize("module", [records, encoded])
def test_records_without_intensities_have_full_ones(tmp_path, monkeypatch, module):
    """As they were written before there was such a field."""
    features, record = module._features(*[()] * (module is encoded)), module._record
    features.pop("emotion_intensity")
    monkeypatch.setattr(module, "_features", lambda *_: features)
    monkeypatch.setattr(module, "_record", lambda clip: {name: x for name, x in record(clip).items() if name in features})
    if module is records:
        records.write_clips(tmp_path / "d", {"train": [make_clip("a", "0")]})
    else:
        encoded.write_encoded(tmp_path / "d", {"train": [encoded_clip(4)]}, metadata={})
    assert "emotion_intensity" not in (tmp_path / "d" / "features.json").read_text()
    source = (records.open_clips if module is records else encoded.open_encoded)(tmp_path / "d", "train")
    for read in (source, pickle.loads(pickle.dumps(source))):
        assert read[0]["emotion_intensity"].dtype == np.float32
        np.testing.assert_array_equal(read[0]["emotion_intensity"], np.ones(4))


def test_encoded_round_trip(tmp_path, rng):
    clips = [
        encoded.EncodedClip(
            person="p",
            clip=str(i),
            motion_latents=rng.normal(size=(6 + i, 8)).astype(np.float32),
            audio_features=rng.normal(size=(6 + i, 320)).astype(np.float32),
            emotion=np.zeros(6 + i, np.int32),
            emotion_intensity=rng.uniform(size=6 + i).astype(np.float32),
            controls=np.zeros((0, 14), np.float32),
        )
        for i in range(3)
    ]
    encoded.write_encoded(tmp_path / "e", {"train": reversed(clips)}, metadata={"motion": "abc123", "num_mels": 80})
    source = encoded.open_encoded(tmp_path / "e", "train")
    for i, clip in enumerate(clips):
        assert_same(source[i], clip)
    assert encoded.encoded_metadata(tmp_path / "e") == {"motion": "abc123", "num_mels": 80}


def test_google_cloud_storage(gcs_bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clip, path = make_clip("a", "0"), f"{gcs_bucket}/records/clips"
    records.write_clips(path, {"train": [clip]})
    assert storage.is_prepared(path)
    assert_same(records.open_clips(path, "train")[0], clip)


def test_a_data_set_that_is_written_again_is_staged_again(tmp_path, monkeypatch):
    """A remote folder is copied once, and again after another data set was written to the same address."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(storage, "is_remote", lambda path: "remote" in str(path))
    for frames in (2, 2):
        clip = make_clip("a", "0", frames)
        clip = records.Clip(**{**vars(clip), "emotion": np.full(2, len(os.listdir(tmp_path / "temp")), np.int32)})
        shutil.rmtree(tmp_path / "remote", ignore_errors=True)
        (tmp_path / "remote").mkdir()
        records.write_clips(tmp_path / "remote", {"train": [clip]})
        for _ in range(2):
            assert_same(records.open_clips(tmp_path / "remote", "train")[0], clip)
    assert len([path for path in (tmp_path / "temp" / "xactor_jax_records").iterdir() if path.is_dir()]) == 2


def test_a_full_disk_leaves_nothing(tmp_path):
    large = dataclasses.replace(make_clip("p", "a"), frames=[np.random.default_rng(0).bytes(200_000)] * 4)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Exception, match="File too large") as raised:
            records.write_clips(tmp_path / "clips", {"train": [large]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert verdict(raised.value)[0] == 1 and not list(tmp_path.iterdir())


def test_a_name_that_is_no_utf_8_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"caf\\xe9 is no UTF-8"):
        records.write_clips(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"), {"train": [make_clip("p", "a")]})
