from __future__ import annotations

import logging

import pytest

from tests.tiny import tiny_config, tiny_variables, write_checkpoint
from xactor_jax.errors import UserError
from xactor_jax.sampling.load import check_fit, load_models, load_stage
from xactor_jax.training.checkpoints import checkpoint_hash


def test_stages_know_where_they_came_from(models, tiny):
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


@pytest.mark.parametrize("same", [True, False])
def test_an_actor_trained_on_another_motion_stage_is_told(models, caplog, same):
    config = models.actor.config.copy_and_resolve_references()
    with config.unlocked():
        config.pretrained.motion_hash = models.motion.hash if same else "0" * 12
    with caplog.at_level(logging.WARNING):
        check_fit(models._replace(actor=models.actor._replace(config=config)))
    assert ("another motion stage" in caplog.text) != same
