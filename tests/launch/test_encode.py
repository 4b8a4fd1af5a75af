"""Encoding a small data set of puppets."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest

from data.encode import clip_frames, encode_dataset
from data.encoded import encoded_metadata, open_encoded
from data.puppets.build import build
from data.records import open_clips
from tests.tiny import SIZE, tiny  # noqa: F401
from xactor_jax.audio.log_mel import log_mel_features
from xactor_jax.errors import UserError
from xactor_jax.motion.model import MotionModel
from xactor_jax.training.checkpoints import checkpoint_hash, load_variables


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "puppets"
    build(path, persons=4, clips_per_person=2, seconds=0.6, size=SIZE, processes=1, progress=False)
    return path


@pytest.fixture(scope="module")
def encoded(clips, tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "encoded"
    encode_dataset(clips, tiny["motion"], path, batch_size=4, progress=False)
    return path


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_clip_is_encoded_in_its_order(clips, encoded, tiny, split):
    config, variables = load_variables(tiny["motion"], "motion")
    encode = jax.jit(MotionModel.from_config(config).encode)
    source, target = open_clips(clips, split), open_encoded(encoded, split)
    assert len(source) == len(target) > 0
    for i in range(len(source)):
        clip, record = source[i], target[i]
        assert (clip["person"], clip["clip"]) == (record["person"], record["clip"])
        expected = encode(variables, clip_frames(clip).astype(np.float32) / 127.5 - 1)
        np.testing.assert_allclose(record["motion_latents"], expected, atol=1e-4)
        features = log_mel_features(clip["audio"].astype(np.float32) / 32768)
        np.testing.assert_allclose(record["audio_features"], features, atol=1e-5)
        np.testing.assert_array_equal(record["emotion"], clip["emotion"])
        np.testing.assert_array_equal(record["emotion_intensity"], clip["emotion_intensity"])
        np.testing.assert_array_equal(record["controls"], clip["controls"])


def test_the_metadata_says_what_encoded_it(encoded, tiny):
    metadata = encoded_metadata(encoded)
    assert metadata["motion_hash"] == checkpoint_hash(tiny["motion"])
    assert metadata["audio"]["num_mels"] == 80 and metadata["audio"]["features"] == "log_mel"


def test_a_batch_of_nothing_is_refused(clips, tiny, tmp_path):
    with pytest.raises(UserError, match="batch size of 0"):
        encode_dataset(clips, tiny["motion"], tmp_path / "e", batch_size=0)


def test_nothing_is_left_when_encoding_fails(clips, tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise UserError("a frame of the data set cannot be decoded")

    monkeypatch.setattr("data.encode.clip_frames", fail)
    with pytest.raises(UserError, match="cannot be decoded"):
        encode_dataset(clips, tiny["motion"], tmp_path / "e", progress=False)
    assert not list(tmp_path.iterdir())


def run(repository, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/encode.py", *map(str, arguments)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_the_program_encodes_and_says_what_is_wrong(repository, clips, tiny, tmp_path):
    done = run(repository, "--data", clips, "--motion", tiny["motion"], "--out", tmp_path / "e")
    assert done.returncode == 0 and len(open_encoded(tmp_path / "e", "train")) > 0, done.stderr
    wrong = run(repository, "--data", tmp_path / "none", "--motion", tiny["motion"], "--out", tmp_path / "f")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "holds no prepared data" in wrong.stderr
    assert not (tmp_path / "f").exists()
