"""Configs of checkpoints from before a setting existed."""

from __future__ import annotations

import json

import pytest
from ml_collections import ConfigDict

from configs.stages import STAGES, default_config
from tests.conftest import REPOSITORY
from tests.tiny import tiny, tiny_config, tiny_variables, write_checkpoint
from xactor_jax.checkpoints.config_file import flatten
from xactor_jax.checkpoints.exports import load_variables, peek
from xactor_jax.checkpoints.older import MISSING, RENAMED, completed
from xactor_jax.motion.decoder import MotionDecoder
from xactor_jax.motion.encoder import MotionEncoder
from xactor_jax.sampling.load import load_stage


def first_version(stage: str, config: ConfigDict | None = None) -> ConfigDict:
    """A config without any setting that came later."""
    settings = (config or default_config(stage)).to_dict()
    for key in MISSING[stage]:
        *sections, name = key.split(".")
        inner = settings
        for section in sections:
            inner = inner.get(section, {})
        inner.pop(name, None)
    for section in [name for name, value in settings.items() if value == {} or name == "clip"]:
        settings.pop(section)
    if settings["data"].get("audio", {}).keys() <= {"layers", "combine", "weights", "piece", "context", "checkpoint"}:
        settings["data"].pop("audio", None)
    return ConfigDict(settings)


@pytest.mark.parametrize("stage", STAGES)
def test_a_config_gets_what_it_lacks_and_keeps_what_it_has(stage):
    old = first_version(stage)
    before, after = dict(flatten(old)), dict(flatten(completed(old)))
    assert before.items() <= after.items() and after.keys() - before.keys() >= MISSING[stage].keys()
    assert completed(default_config(stage)).to_dict() == default_config(stage).to_dict()


@pytest.mark.parametrize(
    ("stage", "former", "name"), [(stage, *names) for stage, renamed in RENAMED.items() for names in renamed.items()]
)
def test_a_setting_under_its_former_name_keeps_its_value(stage, former, name):
    old = default_config(stage).to_dict()
    section, _, last = name.rpartition(".")
    del old[section][last]
    old[section][former.rpartition(".")[2]] = "its value"
    after = dict(flatten(completed(ConfigDict(old))))
    assert after[name] == "its value" and former not in after


def test_embedded_checkpoints_are_read_by_todays_names():
    """Their files say `objective.heard`."""
    for name in ("actor", "actor_fast"):
        config = peek(REPOSITORY / "data" / "assets" / name, "actor")[0]
        assert config.objective.audio_emotion == 0.1 and "heard" not in config.objective


def test_a_damaged_config_is_left_to_those_who_read_it():
    assert completed(ConfigDict({"stage": "motion", "network": 3, "loss": "truth"})).network == 3
    assert completed(ConfigDict({"stage": "actor", "objective": "heard"})).objective == "heard"


@pytest.mark.parametrize("stage", STAGES)
def test_there_is_such_a_setting_today(stage):
    """One that was given up needs no value."""
    names = {*MISSING[stage], *RENAMED.get(stage, {}).values()}
    assert names <= dict(flatten(default_config(stage))).keys()


def test_networks_are_those_of_the_first_version():
    old = first_version("motion")
    old.network.encoder_widths = (64, 96)
    model = STAGES["motion"].of.model.from_config(completed(old))
    assert isinstance(model.encoder, MotionEncoder) and model.encoder.variance and model.encoder.remat == "none"
    assert isinstance(model.decoder, MotionDecoder) and model.encoder_size == model.image_size and not model.relative
    assert not (model.decoder.fine_flow or model.decoder.gate or model.decoder.cubic)


def test_noise_is_that_of_the_first_version():
    """Today the actor's is four times as strong."""
    model = STAGES["actor"].of.model.from_config(completed(first_version("actor")))
    assert model.process.shift == 1.0 and default_config("actor").diffusion.shift == 4.0
    assert model.network.audio_memory == 0 and model.network.look_ahead == -1


def test_a_renderer_of_the_first_version_has_no_draft_and_no_embedding():
    model = STAGES["video"].of.model.from_config(completed(first_version("video")))
    assert model.draft is None and model.clip is None and not model.keep_draft and model.process.shift == 1.0
    assert model.render_settings.spacing == "even" and model.denoiser.settings.box_width == 0


def test_checkpoints_of_the_first_version_are_read(tmp_path):
    config = tiny_config("motion")
    folder = write_checkpoint(tmp_path / "motion", config, tiny_variables(config))
    wanted = load_stage("motion", folder)
    old = {"stage": "motion", "config": first_version("motion", config).to_dict()}
    (folder / "config.json").write_text(json.dumps(old))
    found = load_stage("motion", folder)
    assert found.hash == wanted.hash and found.model == wanted.model
    assert peek(folder, "motion")[0].network.decoder == load_variables(folder, "motion")[0].network.decoder == "warp"
