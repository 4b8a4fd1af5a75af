from __future__ import annotations

import pathlib

import pytest

from data.embedded import embedded_checkpoint, ensure_data
from tests.tiny import SIZE, tiny, tiny_config  # noqa: F401
from xactor_jax.errors import UserError
from xactor_jax.training.checkpoints import checkpoint_hash


def actor_config(cache: pathlib.Path, motion: pathlib.Path):
    c = tiny_config("actor")
    c.data.update(persons=3, clips_per_person=1, clip_seconds=0.4, image_size=SIZE, cache=str(cache))
    c.pretrained.motion = str(motion)
    return c


def test_what_is_missing_is_made_once(tiny, tmp_path):  # noqa: F811
    config = ensure_data(actor_config(tmp_path, tiny["motion"]))
    assert config.pretrained.motion_hash == checkpoint_hash(tiny["motion"])
    assert config.pretrained.autoencoder == str(embedded_checkpoint("autoencoder"))
    assert pathlib.Path(config.data.encoded_path).parent == tmp_path
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert ensure_data(actor_config(tmp_path, tiny["motion"])).to_dict() == config.to_dict()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


def test_encoded_records_without_their_clips_are_refused(tmp_path):
    config = tiny_config("video")
    config.data.encoded_path = str(tmp_path)
    with pytest.raises(UserError, match=r"data\.encoded_path is set without data\.path"):
        ensure_data(config)
