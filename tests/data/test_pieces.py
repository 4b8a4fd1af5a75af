"""Values in pieces are those that were written, and a window reads its own pieces alone."""

from __future__ import annotations

import dataclasses
import os
import pickle
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from data import pieces, storage
from data.encoded import EncodedClip, open_encoded, write_encoded
from data.frames import decode_frames
from data.records import open_clips, write_clips
from data.staging import StagedFolder, Staging
from tests.data.test_pipelines import assert_same, make_clip, make_encoded, take
from tests.data.test_precomputed import config_of
from tests.gcs import gcs_bucket  # noqa: F401
from xactor_jax.errors import UserError

CELLS = (2, 2, 16)
"""Shape of a latent, which takes 128 bytes."""
FILE = "encoded-train.picture_latents-00000"


def with_latents(number: int, rng: np.random.Generator) -> EncodedClip:
    clip = make_encoded(number)
    latents = rng.normal(size=(len(clip.emotion), *CELLS)).astype(jnp.bfloat16)
    return dataclasses.replace(clip, picture_latents=latents, component_boxes=make_clip(number).component_boxes)


@pytest.fixture
def clips(rng, monkeypatch) -> list[EncodedClip]:
    """Six clips whose pieces have four frames."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 600)
    return [with_latents(i, rng) for i in range(6)]


def write(path, clips) -> None:
    write_encoded(path, {"train": clips}, metadata={"autoencoder_hash": "a"}, networks=("autoencoder",))


@pytest.fixture
def reads(monkeypatch) -> list[list[int]]:
    """Numbers of the pieces that are read, one entry for each call."""
    calls: list[list[int]] = []
    read = pieces.PieceFiles.read

    def counted(self, name, place, which):
        calls.append(list(which))
        return read(self, name, place, which)

    monkeypatch.setattr(pieces.PieceFiles, "read", counted)
    return calls


def test_a_window_reads_the_pieces_it_touches_once(tmp_path, clips, reads):
    write(tmp_path / "e", clips)
    record = open_encoded(tmp_path / "e", "train")[4]
    latents, expected = record["picture_latents"], clips[4].picture_latents
    assert latents.shape == (30, *CELLS) and len(latents) == 30 and not reads
    np.testing.assert_array_equal(latents[np.array([9, 5, 6, 6])], expected[[9, 5, 6, 6]])
    assert reads == [[1, 2]]
    np.testing.assert_array_equal(latents[7], expected[7])
    np.testing.assert_array_equal(latents[8:13], expected[8:13])
    assert reads == [[1, 2], [3]]
    np.testing.assert_array_equal(latents, expected)
    assert reads[2] == [0, 4, 5, 6, 7]


def test_a_window_takes_few_bytes_of_the_disk(tmp_path):
    """Counted by the system: the pieces of a long clip stay where they are, and its record is small."""
    rng, z = np.random.default_rng(0), lambda *shape: np.zeros((1000, *shape), np.float32)
    labels = {"emotion": np.zeros(1000, np.int32), "emotion_intensity": z(), "controls": z(14)[:0], "component_boxes": z(2, 4)}
    latents = rng.normal(size=(1000, 16, 16, 16)).astype(jnp.bfloat16)
    known = {"motion_latents": z(4), "audio_features": z(3), "picture_latents": latents}
    write(tmp_path / "e", [EncodedClip(person="p", clip="c", **known, **labels)])
    source = open_encoded(tmp_path / "e", "train")
    np.testing.assert_array_equal(source[0]["picture_latents"][100:108], latents[100:108])  # opens the files
    before = characters_read()
    np.testing.assert_array_equal(source[0]["picture_latents"][500:508], latents[500:508])
    assert 8 * 8192 < characters_read() - before < 40 * 8192  # of 1000 × 8192


def characters_read() -> int:
    """Bytes that this process has read from files."""
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])


CHOICES = (3, -1, np.int64(2), slice(None, None, -2), [1, 1, 0], [[0, 7], [19, 2]], np.arange(20) % 3 == 1)


@pytest.mark.parametrize("index", CHOICES)
def test_frames_are_chosen_as_those_of_an_array(tmp_path, clips, index):
    write(tmp_path / "e", clips)
    latents, expected = open_encoded(tmp_path / "e", "train")[2]["picture_latents"], np.asarray(clips[2].picture_latents)
    assert latents[index].dtype == jnp.bfloat16
    np.testing.assert_array_equal(latents[index], expected[index])
    assert latents[index].shape == expected[index].shape


def test_what_is_no_frame_is_refused(tmp_path, clips):
    write(tmp_path / "e", clips)
    latents = open_encoded(tmp_path / "e", "train")[0]["picture_latents"]
    for index, reason in ((6, "out of bounds"), ([-7], "out of bounds"), ((0, 1), "only frames")):
        with pytest.raises(IndexError, match=reason):
            latents[index]


def test_every_file_of_records_has_its_pieces(tmp_path, clips, monkeypatch):
    """They go to the disk as they come, so a data set may be larger than memory."""
    monkeypatch.setattr(storage, "RECORDS_PER_FILE", 2)

    def source():
        yield from reversed(clips[1:])
        assert len(list(tmp_path.glob("**/*.picture_latents-*"))) == 3
        yield clips[0]

    write(tmp_path / "e", source())
    for record, clip in zip(open_encoded(tmp_path / "e", "train"), clips, strict=True):
        np.testing.assert_array_equal(record["picture_latents"], clip.picture_latents)


def write_old(path, clips, monkeypatch) -> None:
    """As before there were pieces: whole latents in the records."""
    with monkeypatch.context() as patch:
        written = storage.write_records
        patch.setattr(storage, "write_records", lambda *args, pieces, **rest: written(*args, **rest))
        write(path, clips)


def test_records_with_whole_latents_are_read(tmp_path, clips, monkeypatch):
    """Training reads the same batches from them."""
    write(tmp_path / "new", clips)
    write_old(tmp_path / "old", clips, monkeypatch)
    assert '"picture_latents"' in (tmp_path / "old" / "features.json").read_text()
    assert not list((tmp_path / "old").glob("*picture_latents*"))
    old, new = open_encoded(tmp_path / "old", "train"), open_encoded(tmp_path / "new", "train")
    for record, other in zip(old, new, strict=True):
        assert isinstance(record["picture_latents"], np.ndarray) and record.keys() == other.keys()
        np.testing.assert_array_equal(record["picture_latents"], other["picture_latents"])
    batches = [take(config_of(tmp_path, name, precomputed="latents", apart=0.5), 4) for name in ("old", "new")]
    assert_same(*batches)


def test_threads_share_a_record_and_pickle_makes_it_an_array(tmp_path, clips):
    write(tmp_path / "e", clips)
    latents = pickle.loads(pickle.dumps(open_encoded(tmp_path / "e", "train")))[4]["picture_latents"]
    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(lambda i: latents[[i % 30, 29 - i % 30]], range(200))):
            np.testing.assert_array_equal(found, clips[4].picture_latents[[i % 30, 29 - i % 30]])
    carried = pickle.loads(pickle.dumps(latents))
    assert isinstance(carried, np.ndarray) and carried.dtype == jnp.bfloat16
    np.testing.assert_array_equal(carried, clips[4].picture_latents)


@pytest.mark.parametrize("kind, wanted, pieces_read", [("jpeg", [29, 4], {1, 9}), ("h264", [13], {2, 3, 4})])
def test_frames_of_clips_are_read_alone(tmp_path, reads, monkeypatch, kind, wanted, pieces_read):
    """A JPEG is read with its piece, and a frame of H.264 with those from the key frame before it on."""
    clip = make_clip(4, kind)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 3 * sum(map(len, clip.frames)) // 30 + 1)  # three frames
    write_clips(tmp_path / "c", {"train": [clip]})
    frames = open_clips(tmp_path / "c", "train")[0]["frames"]
    assert len(frames) == 30 and not reads
    np.testing.assert_array_equal(decode_frames(frames, wanted), decode_frames(clip.frames)[wanted])
    assert {number for call in reads for number in call} == pieces_read
    assert frames == list(clip.frames) and frames[-1] == clip.frames[29] and frames[3:5] == clip.frames[3:5]
    assert pickle.loads(pickle.dumps(frames)) == clip.frames and frames != clip.frames[1:]
    with pytest.raises(IndexError):
        frames[30]


def test_clips_with_whole_frames_are_read(tmp_path, monkeypatch):
    """As before there were pieces."""
    with monkeypatch.context() as patch:
        written = storage.write_records
        patch.setattr(storage, "write_records", lambda *args, pieces, **rest: written(*args, **rest))
        write_clips(tmp_path / "c", {"train": [make_clip(4)]})
    assert [path.name for path in (tmp_path / "c").glob("*-0*")] == ["clips-train.array_record-00000"]
    record = open_clips(tmp_path / "c", "train")[0]
    assert record["frames"] == make_clip(4).frames and isinstance(record["frames"], list)


def flip(file) -> None:
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)


def exchange(file) -> None:
    shutil.copy(file.parent.parent / "other" / file.name, file)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (flip, ".*hash mismatch.*"),
        (lambda file: file.write_bytes(file.read_bytes()[:1000]), ".*"),
        (lambda file: file.unlink(), ".*"),
        (exchange, "ValueError: the pieces of another clip are in its place"),
    ],
)
def test_damaged_pieces_are_named_with_file_and_clip(tmp_path, clips, rng, damage, reason):
    write(tmp_path / "other", [with_latents(i, rng) for i in range(6)])
    write(tmp_path / "e", clips)
    damage(tmp_path / "e" / FILE)
    record = open_encoded(tmp_path / "e", "train")[0]
    with pytest.raises(UserError, match=rf"e is damaged \({FILE}, clip p0/c0: {reason}\): prepare it again\.$") as error:
        record["picture_latents"][0]
    assert "\n" not in str(error.value)


def test_a_disk_that_is_too_full_for_pieces_leaves_nothing(tmp_path, clips):
    large = dataclasses.replace(clips[4], picture_latents=np.zeros((30, 64, 64, 2), jnp.bfloat16))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Exception, match="File too large"):
            write(tmp_path / "e", [large])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_pieces_of_a_remote_folder_are_copied_when_they_are_read(gcs_bucket, tmp_path, clips, monkeypatch):  # noqa: F811
    """A training that reads no pictures copies none."""
    copied: list[str] = []
    copy = StagedFolder._copy
    monkeypatch.setattr(StagedFolder, "_copy", lambda self, name: (copied.append(name), copy(self, name))[1])
    remote = epath.Path(gcs_bucket) / "pieces" / tmp_path.name
    write(remote, clips)
    source = open_encoded(remote, "train", Staging(str(tmp_path / "stage")))
    records = list(source)
    assert not [name for name in copied if "picture_latents" in name]
    for record, clip in zip(records, clips, strict=True):
        np.testing.assert_array_equal(record["picture_latents"], clip.picture_latents)
    assert [name for name in copied if "picture_latents" in name] == [FILE]
