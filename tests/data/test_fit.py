"""Records that are not what a config expects, and splits that are not there."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.stages import stage_iterator
from data.encoded import write_encoded
from data.records import write_clips
from tests.data.test_pipelines import LENGTHS, make_clip, make_encoded
from xactor_jax.errors import UserError
from xactor_jax.training.experiment import load_config

SIDE, LATENT, FEATURES = 16, 4, 3  # of what make_clip and make_encoded make


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    root, pairs = tmp_path_factory.mktemp("fit"), [make_clip(0), make_clip(2)]
    write_clips(root / "clips", {"train": pairs})
    write_clips(root / "split", {"train": pairs[:1], "validation": pairs[1:]})
    known = dataclasses.replace(pairs[0], controls=np.zeros((LENGTHS[0], 14), np.float32))
    write_clips(root / "known", {"train": [known, pairs[1]]})
    write_encoded(root / "encoded", {"train": [make_encoded(0), make_encoded(2)]}, metadata={})
    write_encoded(root / "encoded_split", {"train": [make_encoded(0)], "validation": [make_encoded(2)]}, metadata={})
    return root


def fitting(stage: str, paths, clips: str = "clips", encoded: str = "encoded") -> ConfigDict:
    """A config that these records fit."""
    c = load_config(f"configs/{stage}.py")
    c.data.update(path=str(paths / clips), encoded_path=str(paths / encoded), examples_per_clip=1, threads=0)
    c.batch_size = 2
    if stage in ("motion", "autoencoder"):
        c.network.image_size = SIDE
    if stage == "actor":
        c.network.update(latent_dim=LATENT, audio_dim=FEATURES)
    if stage == "video":
        c.autoencoder.image_size, c.network.motion_dim = SIDE, LATENT
    return c


@pytest.mark.parametrize("stage", ["motion", "autoencoder", "actor", "video"])
def test_records_that_fit_are_read(stage, paths):
    assert next(stage_iterator(fitting(stage, paths), "train"))


@pytest.mark.parametrize(
    ("stage", "name", "entry"),
    [
        ("motion", "network.image_size", "pixels a side"),
        ("autoencoder", "network.image_size", "pixels a side"),
        ("video", "autoencoder.image_size", "pixels a side"),
        ("video", "network.motion_dim", "motion latents"),
        ("actor", "network.latent_dim", "motion latents"),
        ("actor", "network.audio_dim", "audio features"),
    ],
)
def test_other_sizes_are_refused_with_both_values_and_the_flag(stage, name, entry, paths):
    config = fitting(stage, paths)
    given = config.to_dict()
    for part in name.split("."):
        given = given[part]
    config.update_from_flattened_dict({name: 2 * given})
    with pytest.raises(UserError, match=f"{entry}.*{2 * given} of {re.escape(name)}: give --config.{name}={given}"):
        stage_iterator(config, "train")


def test_a_loss_of_the_truth_needs_clips_that_have_some(paths):
    config = fitting("motion", paths)
    config.loss.truth = 0.5
    with pytest.raises(
        UserError, match=r"have no controls and no units, which loss\.truth=0\.5 needs: give --config\.loss\.truth=0"
    ):
        stage_iterator(config, "train")
    config.data.path = str(paths / "known")
    assert "truth" in next(stage_iterator(config, "train"))


@pytest.mark.parametrize("stage", ["motion", "autoencoder", "actor", "video"])
def test_a_validation_split_may_be_lacking(stage, paths):
    assert stage_iterator(fitting(stage, paths), "validation") is None
    assert next(stage_iterator(fitting(stage, paths, "split", "encoded_split"), "validation"))
    if stage == "video":  # of which both are read
        assert stage_iterator(fitting(stage, paths, "split", "encoded"), "validation") is None
    with pytest.raises(UserError, match="no split 'test'"):
        stage_iterator(fitting(stage, paths), "test")
