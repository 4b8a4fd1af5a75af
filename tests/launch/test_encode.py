"""Encoding a small data set of puppets."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from data import encode, shards, storage
from data.encode import clip_frames, encode_dataset, measured_statistics
from data.encoded import EncodedClip, encoded_metadata, open_encoded, write_encoded
from data.performers.build import build
from data.records import open_clips
from tests.audio.released import import_tiny
from tests.launch.programs import run_here
from tests.tiny import SIZE, tiny, tiny_config, tiny_variables, write_checkpoint  # noqa: F401
from xactor_jax.audio.log_mel import log_mel_features
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.motion.model import MotionModel, latent_statistics, motion_hash
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.variables import Variables
from xactor_jax.video.autoencoder import AutoencoderModel
from xactor_jax.video.clip import ClipModel
from xactor_jax.video.frozen import frozen_hash


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


def test_statistics_are_those_of_all_training_frames(clips, encoded, tiny):
    """Of latents as the encoder gives them; standardised by these they have mean 0 and standard deviation 1."""
    config, variables = load_variables(tiny["motion"], "motion")
    mean, std = latent_statistics(jax.tree.map(jax.numpy.asarray, variables.buffers))
    source = open_encoded(encoded, "train")
    raw = np.concatenate([source[i]["motion_latents"] for i in range(len(source))]).astype(np.float64) * std + mean
    found = measured_statistics(clips, MotionModel.from_config(config), variables)
    assert found["latent_count"] == len(raw) and found.keys() == variables.buffers.keys()
    np.testing.assert_allclose(found["latent_mean"], raw.mean(0), atol=1e-4)
    mean, std = latent_statistics(jax.tree.map(jax.numpy.asarray, found))
    np.testing.assert_allclose(std, np.maximum(raw.std(0), 1e-2), rtol=2e-3)


def test_the_metadata_says_what_encoded_it(encoded, tiny):
    metadata = encoded_metadata(encoded)
    assert metadata["motion_hash"] == motion_hash(load_variables(tiny["motion"], "motion")[1])
    assert metadata["audio"]["num_mels"] == 80 and metadata["audio"]["kind"] == "log_mel"


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


def contents(path) -> dict[str, object]:
    """Small files and records of a data set. Of the index, all but the identifier and the hash that covers it."""
    small = {file.name: file.read_bytes() for file in path.glob("*.json")}
    index = json.loads(small.pop("index.json"))
    del index["id"], index["hashes"][""]
    sources = {split: open_encoded(path, split) for split in index["splits"]}
    records = {split: [_bits(source[i]) for i in range(len(source))] for split, source in sources.items()}
    return {**small, **records, "index": index, "names": sorted(file.name for file in path.iterdir())}


def _bits(record) -> dict[str, tuple]:
    return {name: (np.asarray(value).dtype, np.shape(value), np.asarray(value).tobytes()) for name, value in record.items()}


def test_processes_share_shards_whose_data_set_is_that_of_one_process(clips, tiny, networks, tmp_path, monkeypatch):
    """The first of two is stopped in its second shard and started again, which encodes only that shard. So are pictures."""
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 1)
    pictures = {"autoencoder": networks["--autoencoder"][0]}
    encode_dataset(clips, tiny["motion"], tmp_path / "one", batch_size=4, progress=False, pictures=pictures)
    monkeypatch.setattr(shards, "place", lambda: (0, 2))
    encoded, limit = [], [1]
    encode_clip = encode.encode_clip

    def counted(*arguments):
        if len(encoded) == limit[0]:
            raise KeyboardInterrupt
        encoded.append(f"{arguments[-1]['person']}/{arguments[-1]['clip']}")
        return encode_clip(*arguments)

    monkeypatch.setattr(encode, "encode_clip", counted)
    settings = {"batch_size": 4, "progress": False, "pictures": pictures}
    share = lambda: encode_dataset(clips, tiny["motion"], tmp_path / "two", **settings)
    with pytest.raises(KeyboardInterrupt):
        share()
    limit[0] = 8
    monkeypatch.setattr(shards, "place", lambda: (1, 2))
    share()
    assert not (tmp_path / "two").exists() and len(encoded) == 5
    monkeypatch.setattr(shards, "place", lambda: (0, 2))
    share()
    share()  # one that is started again when all is done
    assert len(encoded) == len(set(encoded)) == 8
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_joined_shards_are_what_the_writer_of_records_writes(clips, tiny, networks, tmp_path, monkeypatch):
    """Every file, though written by another path; files of pieces have those of several clips."""
    settings = {"batch_size": 4, "progress": False, "pictures": {"autoencoder": networks["--autoencoder"][0]}}
    encode_dataset(clips, tiny["motion"], tmp_path / "whole", **settings)
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 3)
    encode_dataset(clips, tiny["motion"], tmp_path / "e", **settings)
    whole = {split: open_encoded(tmp_path / "whole", split) for split in ("test", "train", "validation")}
    write = {split: [EncodedClip(**source[i]) for i in range(len(source))] for split, source in whole.items()}
    monkeypatch.setattr(storage, "RECORDS_PER_FILE", 3)
    write_encoded(tmp_path / "at_once", write, metadata=encoded_metadata(tmp_path / "e"), networks=["autoencoder"])
    assert contents(tmp_path / "e") == contents(tmp_path / "at_once")
    assert len(list((tmp_path / "e").glob("encoded-train.picture_latents-*"))) == 2


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    return import_tiny(tmp_path_factory.mktemp("audio"))


def test_features_of_wav2vec2_are_encoded(clips, tiny, wav2vec2, tmp_path):
    asked = {"kind": "wav2vec2", "checkpoint": str(wav2vec2), "layers": "0,2", "piece": 0.4, "context": 0.2}
    encode_dataset(clips, tiny["motion"], tmp_path / "e", progress=False, audio=asked)
    recorded = encoded_metadata(tmp_path / "e")["audio"]
    assert recorded["hash"] == checkpoint_hash(wav2vec2) and recorded["num_features"] == 16
    assert {name: recorded[name] for name in asked} == asked
    features = load_audio_features(recorded)
    clip, record = open_clips(clips, "train")[0], open_encoded(tmp_path / "e", "train")[0]
    np.testing.assert_array_equal(record["audio_features"], features.whole(clip["audio"].astype(np.float32) / 32768))
    assert record["audio_features"].shape == (len(clip["frames"]), 16)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Option → folder of a frozen network of the renderer, with its config and weights."""
    config = tiny_config("autoencoder")
    variables = tiny_variables(config)
    sizes = dict(depth=1, image_size=8, patch=4, width=8, heads=2, mlp_width=8, projection=5)
    clip, rng = ConfigDict({"stage": "clip", "network": sizes}), np.random.default_rng(0)
    shapes = jax.eval_shape(ClipModel.from_network(clip.network).init, jax.random.key(0))
    weights = Variables(jax.tree.map(lambda x: 0.3 * rng.standard_normal(x.shape, np.float32), shapes), {})
    folder = tmp_path_factory.mktemp("networks")
    return {
        "--autoencoder": (write_checkpoint(folder / "autoencoder", config, variables), config, variables),
        "--image_encoder": (write_checkpoint(folder / "clip", clip, weights), clip, weights),
    }


def test_latents_and_embeddings_of_every_frame_are_written(clips, tiny, networks, tmp_path):
    """With the hashes of their networks, and within the precision of bfloat16."""
    options = [x for option, (folder, *_) in networks.items() for x in (option, folder)]
    done = run_here(
        "encode.py", "--data", clips, "--motion", tiny["motion"], "--out", tmp_path / "e", "--batch_size=4", *options
    )
    assert done.returncode == 0, done.stderr
    clip, record = open_clips(clips, "train")[0], open_encoded(tmp_path / "e", "train")[0]
    frames = jax.numpy.asarray(clip_frames(clip).astype(np.float32) / 127.5 - 1)
    _, config, (params, statistics) = networks["--autoencoder"]
    module = AutoencoderModel.from_network(config.network).module
    mean, _ = jax.jit(lambda p, x: module.apply({"params": p}, x, method="encode"))(params["autoencoder"], frames)
    expected = (mean - statistics["latent_mean"]) / statistics["latent_std"]
    np.testing.assert_allclose(np.asarray(record["picture_latents"], np.float32), expected, rtol=2**-8, atol=1e-4)
    _, config, (weights, _) = networks["--image_encoder"]
    embedded = jax.jit(ClipModel.from_network(config.network).embed)(weights, frames)
    np.testing.assert_allclose(np.asarray(record["picture_embeddings"], np.float32), embedded, rtol=2**-8, atol=1e-4)
    np.testing.assert_array_equal(record["component_boxes"], clip["component_boxes"])
    metadata = encoded_metadata(tmp_path / "e")
    assert metadata["clip_hash"] == checkpoint_hash(networks["--image_encoder"][0])
    assert metadata["autoencoder_hash"] == frozen_hash("autoencoder", {"params": params["autoencoder"], "buffers": statistics})
    assert metadata["autoencoder_checkpoint"] == str(networks["--autoencoder"][0])


def run(repository, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/encode.py", *map(str, arguments)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_the_program_encodes_and_says_what_is_wrong(repository, clips, tiny, tmp_path):
    done = run(repository, "--data", clips, "--motion", tiny["motion"], "--out", tmp_path / "e")
    assert done.returncode == 0 and len(open_encoded(tmp_path / "e", "train")) > 0, done.stderr
    wrong = run_here("encode.py", "--data", tmp_path / "none", "--motion", tiny["motion"], "--out", tmp_path / "f")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "holds no prepared data" in wrong.stderr
    assert not (tmp_path / "f").exists()


def test_the_program_takes_settings_of_the_audio_features(clips, tiny, wav2vec2, tmp_path):
    options = ("--audio", "wav2vec2", "--audio_checkpoint", wav2vec2, "--audio_layers=-1,1", "--audio_combine", "sum")
    short = ("--audio_weights", "0.25,0.75", "--audio_piece", 0.4, "--audio_context", 0.08)
    done = run_here("encode.py", "--data", clips, "--motion", tiny["motion"], "--out", tmp_path / "e", *options, *short)
    assert done.returncode == 0, done.stderr
    recorded = encoded_metadata(tmp_path / "e")["audio"]
    expected = dict(layers="-1,1", combine="sum", weights=[0.25, 0.75], piece=0.4, context=0.08, num_features=8)
    assert {name: recorded[name] for name in expected} == expected


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--audio_layers", "last"), "--audio_layers means nothing to log-mel"),
        (("--audio", "wav2vec2", "--audio_checkpoint", "nowhere"), "no wav2vec 2.0 checkpoint is in nowhere"),
        (("--image_encoder", "CLIP"), "add --autoencoder CKPT"),
        (("--autoencoder", "nowhere"), "there is no checkpoint in"),
    ],
)
def test_options_that_cannot_be_met(clips, tmp_path, options, reason):
    wrong = run_here("encode.py", "--data", clips, "--out", tmp_path / "f", *options)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and reason in wrong.stderr
    assert not (tmp_path / "f").exists()
