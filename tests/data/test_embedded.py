from __future__ import annotations

import pathlib

import pytest

from configs.stages import ensure_data
from data import embedded
from data.embedded import fill_in_motion
from data.encoded import encoded_metadata
from data.performers.build import build
from tests.audio.released import import_tiny
from tests.tiny import SIZE, tiny, tiny_config, tiny_variables, write_checkpoint  # noqa: F401
from xactor_jax.audio.features import LogMelFeatures
from xactor_jax.checkpoints.config_file import read_config
from xactor_jax.checkpoints.embedded import embedded_checkpoint
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.motion.model import motion_hash


def actor_config(cache: pathlib.Path, motion: pathlib.Path):
    c = tiny_config("actor")
    c.data.update(persons=3, clips_per_person=1, clip_seconds=0.4, image_size=SIZE, cache=str(cache))
    c.pretrained.motion = str(motion)
    return c


def test_what_is_missing_is_made_once(tiny, tmp_path):  # noqa: F811
    config = ensure_data(actor_config(tmp_path, tiny["motion"]))
    assert config.pretrained.motion_hash == motion_hash(load_variables(tiny["motion"], "motion")[1])
    assert config.pretrained.autoencoder == str(embedded_checkpoint("autoencoder"))
    assert pathlib.Path(config.data.encoded_path).parent == tmp_path
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert ensure_data(actor_config(tmp_path, tiny["motion"])).to_dict() == config.to_dict()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


@pytest.fixture
def one_core(monkeypatch):
    """No processes are started, which would import all again."""
    monkeypatch.setattr(embedded.os, "cpu_count", lambda: 1)


@pytest.mark.usefixtures("one_core")
def test_of_several_that_make_the_same_at_once_the_first_one_s_stay(tiny, tmp_path, monkeypatch):  # noqa: F811
    """Processes that share a disk: another ends after this one has looked and before it is done."""

    def slower(path, **settings):
        build(path, **settings)
        (path / "of_the_first").write_text("")
        build(path, **settings)

    monkeypatch.setattr(embedded, "build", slower)
    path = embedded.ensure_clips(actor_config(tmp_path, tiny["motion"]))
    assert (path / "of_the_first").exists()


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> pathlib.Path:
    """Where the tests below find the same puppets."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.usefixtures("one_core")
def test_the_config_says_what_the_records_were_encoded_with(tiny, cache):  # noqa: F811
    config = ensure_data(actor_config(cache, tiny["motion"]))
    assert config.data.audio.kind == "log_mel" and config.data.audio.num_mels == 80
    assert LogMelFeatures.from_dict(config.data.audio) == LogMelFeatures()


def wav2vec2_config(cache, motion, checkpoint):
    c = actor_config(cache, motion)
    c.lock()
    c.data.audio.update(kind="wav2vec2", checkpoint=str(checkpoint), layers="last", piece=0.4, context=0.2)
    c.network.audio_dim = 8
    return c


def test_records_with_other_audio_features_are_made_beside(tiny, cache):  # noqa: F811
    checkpoint = import_tiny(cache / "w")
    plain = ensure_data(actor_config(cache, tiny["motion"]))
    config = ensure_data(wav2vec2_config(cache, tiny["motion"], checkpoint))
    assert config.data.encoded_path != plain.data.encoded_path
    audio = config.data.audio
    assert (audio.kind, audio.hash, audio.num_features) == ("wav2vec2", checkpoint_hash(checkpoint), 8)
    again = wav2vec2_config(cache, tiny["motion"], checkpoint)
    assert ensure_data(again).to_dict() == config.to_dict()


def test_a_network_for_another_number_of_features_is_refused(tiny, cache):  # noqa: F811
    config = actor_config(cache, tiny["motion"])
    config.network.audio_dim = 768
    with pytest.raises(UserError, match=r"320 audio features a frame, not 768: add --config\.network\.audio_dim=320"):
        ensure_data(config)


def test_records_with_other_features_than_asked_for_are_refused(tiny, cache):  # noqa: F811
    encoded = ensure_data(actor_config(cache, tiny["motion"])).data.encoded_path
    config = wav2vec2_config(cache, tiny["motion"], "anywhere")
    config.data.encoded_path = encoded
    said = r"audio features of kind log_mel, not wav2vec2: give --config\.data\.audio\.kind=log_mel, or encode the clips again"
    with pytest.raises(UserError, match=said):
        ensure_data(config)


def test_records_of_older_versions_are_log_mel(tiny, cache, monkeypatch):  # noqa: F811
    encoded = ensure_data(actor_config(cache, tiny["motion"])).data.encoded_path
    known = {name: value for name, value in encoded_metadata(encoded).items() if name != "audio"}
    old = {**known, "audio": {"features": "log_mel", "num_mels": 80}}
    monkeypatch.setattr("data.embedded.encoded_metadata", lambda path: old)
    config = actor_config(cache, tiny["motion"])
    config.data.encoded_path = encoded
    assert ensure_data(config).data.audio.kind == "log_mel"


def test_pieces_of_audio_other_than_encoded_are_refused(tiny, cache, monkeypatch):  # noqa: F811
    encoded = ensure_data(actor_config(cache, tiny["motion"])).data.encoded_path
    recorded = {**encoded_metadata(encoded), "audio": {"kind": "wav2vec2", "layers": "8", "weights": []}}
    monkeypatch.setattr("data.embedded.encoded_metadata", lambda path: recorded)
    config = actor_config(cache, tiny["motion"])
    config.data.encoded_path, config.data.audio.kind = encoded, "wav2vec2"
    assert ensure_data(config).data.audio.layers == "8"  # "all" is what nobody asked for
    config.data.audio.update(kind="wav2vec2", layers="4")
    with pytest.raises(UserError, match=r"of layers 8, not 4: give --config\.data\.audio\.layers=8"):
        ensure_data(config)


def test_records_of_another_motion_stage_than_is_named_or_needed_are_refused(tiny, cache, tmp_path):  # noqa: F811
    encoded = ensure_data(actor_config(cache, tiny["motion"])).data.encoded_path
    config = tiny_config("motion")
    other = write_checkpoint(tmp_path / "other", config, tiny_variables(config, seed=1))
    first, second = (motion_hash(load_variables(folder, "motion")[1]) for folder in (tiny["motion"], other))
    config = actor_config(cache, other)
    config.data.encoded_path = encoded
    said = rf"encoded with the motion stage {first} \({tiny['motion']}\), not with {second} \({other}\): name the one"
    with pytest.raises(UserError, match=said):
        ensure_data(config)
    config.pretrained.motion = ""  # of no matter to an actor of records that there are
    assert ensure_data(config).pretrained.motion_hash == first
    video = tiny_config("video")
    video.data.update(encoded_path=encoded, path=str(cache / "any"))
    with pytest.raises(UserError, match=rf"encoded with the motion stage {first} .* --config\.pretrained\.motion"):
        ensure_data(video)  # which draws drafts by the embedded one


def test_frames_of_another_side_are_refused_before_they_are_made(tiny, tmp_path):  # noqa: F811
    config = tiny_config("motion")
    config.data.update(image_size=SIZE + 16, cache=str(tmp_path))
    with pytest.raises(UserError, match=r"embedded data have 48 pixels a side, not the 32 of network\.image_size"):
        ensure_data(config)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["motion", "actor", "actor_fast", "autoencoder", "video"])
def test_embedded_checkpoints_have_fingerprints_and_are_what_was_exported(name, caplog):
    folder, stage = embedded_checkpoint(name), name.removesuffix("_fast")
    assert set(read_config(folder).fingerprints) == {"variables", "config"}
    load_variables(folder, stage)
    assert "other settings" not in caplog.text


def test_encoded_records_without_their_clips_are_refused(tmp_path):
    config = tiny_config("video")
    config.data.encoded_path = str(tmp_path)
    with pytest.raises(UserError, match=r"data\.encoded_path is set without data\.path"):
        ensure_data(config)


def test_a_motion_encoder_in_training_has_its_own_settings_but_for_memory(tiny):  # noqa: F811
    config = tiny_config("video")
    config.pretrained.motion, config.remat, config.train_motion = str(tiny["motion"]), "full", True
    for _ in range(2):  # the second time of no effect
        fill_in_motion(config)
    assert config.motion.to_dict() == {**tiny_config("motion").to_dict(), "remat": "full"}
    assert config.init_from == f"motion_encoder={tiny['motion']}"
