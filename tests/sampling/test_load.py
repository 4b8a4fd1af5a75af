from __future__ import annotations

import logging
import pathlib

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.audio.released import import_tiny
from tests.tiny import tiny_config, tiny_variables, write_checkpoint
from xactor_jax.audio.features import LogMelFeatures
from xactor_jax.checkpoints.exports import checkpoint_hash, load_variables
from xactor_jax.errors import UserError
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.sampling.load import check_fit, load_models, load_stage


def test_stages_have_the_place_they_came_from(models, tiny):
    assert models.origins["actor"] == {"path": str(tiny["actor"]), "hash": checkpoint_hash(tiny["actor"])}
    assert models.sides == (32, 32)


def test_a_missing_checkpoint_and_one_of_another_stage_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="no checkpoint in"):
        load_models({**tiny, "video": tmp_path / "nothing"})
    with pytest.raises(UserError, match="stage video, not actor"):
        load_models({**tiny, "actor": tiny["video"]})


def test_a_config_of_another_version_is_refused(tmp_path):
    config = tiny_config("motion")
    variables = tiny_variables(config)
    with config.unlocked():
        del config.network["widths"]
    with pytest.raises(UserError, match="does not fit this version"):
        load_stage("motion", write_checkpoint(tmp_path / "motion", config, variables))


def test_stages_whose_sizes_differ_are_refused(models, tmp_path):
    config = tiny_config("motion")
    config.network.latent_dim = 6
    other = load_stage("motion", write_checkpoint(tmp_path / "motion", config, tiny_variables(config)))
    with pytest.raises(UserError, match="motion 6, actor 8, video 8"):
        check_fit(models._replace(motion=other))


def test_an_actor_for_other_audio_features_is_refused(models, tmp_path):
    config = tiny_config("actor")
    config.network.audio_dim = 7
    other = load_stage("actor", write_checkpoint(tmp_path / "actor", config, tiny_variables(config)))
    with pytest.raises(UserError, match="takes 7 audio features a frame, not 320"):
        check_fit(models._replace(actor=other))


@pytest.fixture(scope="module")
def hearing(tmp_path_factory) -> tuple[pathlib.Path, dict]:
    """A wav2vec 2.0 checkpoint, and the settings of features of it as an actor's config carries them."""
    checkpoint = import_tiny(tmp_path_factory.mktemp("hearing"))
    settings = {"kind": "wav2vec2", "checkpoint": str(checkpoint), "layers": "last", "piece": 0.4, "context": 0.2}
    return checkpoint, load_audio_features(settings).to_dict()


def actor_that_hears(folder: pathlib.Path, settings: dict, dim: int = 8) -> pathlib.Path:
    config = tiny_config("actor")
    config.network.audio_dim = dim
    config.data.audio = ConfigDict(settings)
    return write_checkpoint(folder, config, tiny_variables(config))


def test_an_actor_that_names_no_features_gets_log_mel(tmp_path):
    config = tiny_config("actor")
    variables = tiny_variables(config)
    del config.data.audio
    stage = load_stage("actor", write_checkpoint(tmp_path / "actor", config, variables))
    assert stage.audio == LogMelFeatures()


def test_an_actor_gets_the_features_it_was_trained_on(tiny, hearing, tmp_path):
    _, settings = hearing
    models = load_models({**tiny, "actor": actor_that_hears(tmp_path / "actor", settings)})
    assert models.actor.audio.to_dict() == settings
    assert models.actor.audio.whole(np.zeros(6400, np.float32)).shape == (10, 8)


def test_features_are_looked_for_where_they_are_said_to_be(hearing, tmp_path):
    checkpoint, settings = hearing
    actor = actor_that_hears(tmp_path / "actor", {**settings, "checkpoint": "/away"})
    with pytest.raises(UserError, match=f"is in /away: name the one with hash {settings['hash']} with --audio_checkpoint"):
        load_stage("actor", actor)
    assert load_stage("actor", actor, str(checkpoint)).audio.to_dict() == settings


def test_features_of_another_checkpoint_cause_a_warning(hearing, tmp_path, caplog):
    _, settings = hearing
    actor = actor_that_hears(tmp_path / "actor", settings)
    other = import_tiny(tmp_path, seed=2)
    load_stage("actor", actor)
    assert not caplog.text
    load_stage("actor", actor, str(other))
    assert "is not the wav2vec 2.0 checkpoint that was used before" in caplog.text


def test_an_actor_for_another_number_of_learned_features_is_refused(tiny, hearing, tmp_path):
    with pytest.raises(UserError, match="takes 9 audio features a frame, not 8"):
        load_models({**tiny, "actor": actor_that_hears(tmp_path / "actor", hearing[1], 9)})


def test_a_checkpoint_for_log_mel_is_refused(tiny, hearing):
    with pytest.raises(UserError, match="leave --audio_checkpoint out"):
        load_models(tiny, str(hearing[0]))


@pytest.mark.parametrize("same", [True, False])
def test_an_actor_trained_on_another_motion_stage_causes_a_warning(models, caplog, same):
    config = models.actor.config.copy_and_resolve_references()
    with config.unlocked():
        config.pretrained.motion_hash = models.motion.latents if same else "0" * 12
    with caplog.at_level(logging.WARNING):
        check_fit(models._replace(actor=models.actor._replace(config=config)))
    assert ("another motion stage" in caplog.text) != same


def test_a_renderer_that_lacks_its_drafts_decoder_says_so(tiny, tmp_path):
    config, variables = load_variables(tiny["video"], "video")
    variables.buffers.pop("draft")
    path = write_checkpoint(tmp_path / "bare", config, variables)
    with pytest.raises(UserError, match=r"bare has no decoder for its drafts: .* --config\.network\.draft=False"):
        load_stage("video", path)
