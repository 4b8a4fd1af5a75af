"""Shards of a remote data set come to the local disk whole, once, and no more of them than there is room for."""

from __future__ import annotations

import multiprocessing
import pathlib
import pickle
import time
from functools import partial

import fsspec
import numpy as np
import pytest
from etils import epath

from configs.stages import training_iterator
from data import records, staging, storage
from data.staging import GIB, StagedFolder, Staging
from tests.data.copied import read_all
from tests.data.test_records import assert_same, make_clip
from tests.gcs import gcs_bucket  # noqa: F401
from xactor_jax.errors import UserError
from xactor_jax.training.experiment import load_config

CLIPS = [make_clip("p", f"{i}", 3) for i in range(8)]


@pytest.fixture
def remote(gcs_bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> epath.Path:
    """Eight clips of one person in four shards, in a bucket."""
    monkeypatch.setattr(storage, "RECORDS_PER_FILE", 2)
    path = epath.Path(gcs_bucket) / "staging" / tmp_path.name
    if not storage.is_prepared(path):
        records.write_clips(path, {"train": CLIPS, "validation": CLIPS[:2]})
    return path


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards that are copied, in order."""
    names: list[str] = []
    copy = StagedFolder._copy
    monkeypatch.setattr(StagedFolder, "_copy", lambda self, name: (names.append(name), copy(self, name))[1])
    return names


def shards(root: pathlib.Path) -> list[pathlib.Path]:
    """Local files of records and of their frames."""
    return sorted(path for path in root.glob("*/*-0*") if not path.name.endswith(staging.LOCK))


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_shards_come_ahead_of_need_and_once(remote: epath.Path, tmp_path: pathlib.Path, copied: list[str]) -> None:
    settings = Staging(str(tmp_path / "stage"))
    source = records.open_clips(remote, "train", settings)
    assert not (tmp_path / "stage").exists()
    assert_same(source[5], CLIPS[5])
    wait_for(lambda: len(shards(tmp_path / "stage")) == 8)
    assert sum("train" in name for name in copied) == 8
    for same in (source, pickle.loads(pickle.dumps(source))):
        for i, record in enumerate(same):
            assert_same(record, CLIPS[i])
    assert sum("train" in name for name in copied) == 8
    assert not list((tmp_path / "stage").rglob(f"*{staging.PART}"))


def test_a_broken_copy_is_not_taken_for_whole(
    remote: epath.Path, tmp_path: pathlib.Path, copied: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StagedFolder, "ahead", lambda self, names: None)
    settings = Staging(str(tmp_path / "stage"))
    source = records.open_clips(remote, "train", settings)
    source[0]
    [first] = shards(tmp_path / "stage")
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    (first.parent / f"{first.name}{staging.PART}").write_bytes(b"left by a process that was killed")
    assert_same(records.open_clips(remote, "train", settings)[0], CLIPS[0])
    assert first.read_bytes() == whole and shards(tmp_path / "stage") == [first, first.parent / "clips-train.frames-00000"]


def test_processes_of_one_host_do_not_copy_twice(remote: epath.Path, tmp_path: pathlib.Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(2) as pool:
        read = partial(read_all, str(remote), str(tmp_path / "stage"))
        ended = pool.map(read, [manager.Barrier(2)] * 2, chunksize=1)
    assert [clips for clips, _ in ended] == [[clip.clip for clip in CLIPS]] * 2
    assert sum(copies for _, copies in ended) == 4


def test_a_split_that_does_not_fit(remote: epath.Path, tmp_path: pathlib.Path) -> None:
    small = Staging(str(tmp_path / "stage"), 1000 / GIB)
    with pytest.raises(UserError, match=r"may hold .* GiB: set data.stage_gib to at least \d"):
        records.open_clips(remote, "train", small)[0]


def test_only_what_is_not_in_use_is_deleted(remote: epath.Path, gcs_bucket: str, tmp_path: pathlib.Path) -> None:
    files, path = fsspec.core.url_to_fs(str(remote))
    size = sum(entry["size"] for entry in files.ls(path, detail=True) if "train" in entry["name"])
    settings = Staging(str(tmp_path / "stage"), 1.5 * size / GIB)
    other = epath.Path(gcs_bucket) / "staging" / f"{tmp_path.name}-other"
    records.write_clips(other, {"train": CLIPS})
    frames = lambda source: [list(record["frames"]) for record in source]
    frames(source := records.open_clips(remote, "train", settings))
    with pytest.raises(UserError, match=r"set data\.stage_gib to at least"):
        frames(records.open_clips(other, "train", settings))
    del source
    assert frames(records.open_clips(other, "train", settings)) == [clip.frames for clip in CLIPS]
    assert sum(path.stat().st_size for path in shards(tmp_path / "stage")) <= 1.5 * size


def test_a_folder_that_cannot_be_written_to(remote: epath.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file.*: name another data\.stage_dir"):
        records.open_clips(remote, "train", Staging(str(tmp_path / "file" / "stage")))[0]


def test_training_reads_the_same_batches_from_a_bucket(remote: epath.Path, tmp_path: pathlib.Path) -> None:
    local = tmp_path / "local"
    records.write_clips(local, {"train": CLIPS})
    batches = []
    for path in (str(local), str(remote)):
        config = load_config("configs/autoencoder.py")
        config.batch_size, config.data.path, config.data.stage_dir = 8, path, str(tmp_path / "stage")
        iterator = training_iterator(config, "train")
        batches.append([next(iterator)["frames"] for _ in range(5)])
    np.testing.assert_array_equal(*batches)
    assert len(shards(tmp_path / "stage")) == 8
