"""Checkpoints of older versions: settings that have another name today, and values of settings that their configs lack.

The values give the behaviour of that version. They are not today's defaults, and must not change when the defaults do.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ml_collections import ConfigDict

from xactor_jax.settings import section_of

COMMON = {
    "remat": "none",
    "data.kind": "puppets",
    "data.voice": "",
    "data.audio.kind": "log_mel",
    "pretrained.motion_hash": "",
    "pretrained.clip": "",
    "pretrained.perceptual": "",
}
DIFFUSION = {"diffusion.beta_start": 0.00085, "diffusion.beta_end": 0.012, "diffusion.steps": 1000, "diffusion.shift": 1.0}
AUTOENCODER = {"linear": False, "temporal": False, "piece": 25}

MISSING: dict[str, dict[str, Any]] = {
    "motion": COMMON
    | {"train_encoder": True, "loss.truth": 0.0}
    | {"network.encoder": "convolutional", "network.encoder_size": 0, "network.attention_width": 1024}
    | {"network.variance": True, "network.decoder": "warp", "network.relative": False}
    | {"network.fine_flow": False, "network.gate": False, "network.cubic": False}
    | {"network.flows": 1, "network.refine_blocks": 0, "network.discriminator_detail": 0.0}
    | {"network.discriminator_widths": (), "network.part_side": 32},
    "autoencoder": COMMON | {f"network.{name}": value for name, value in AUTOENCODER.items()},
    "actor": COMMON
    | DIFFUSION
    | {"network.audio_memory": 0, "network.look_ahead": -1, "network.scan_layers": False, "network.sink_chunk": False}
    | {"network.bidirectional_window": False, "phase": "forcing"}
    | {"rollout.stepper": "ddim", "rollout.eta": 0.0, "rollout.chunks": 0, "rollout.context": 0, "rollout.use_reference": True}
    | {"rollout.emotion_guidance": 1.0, "rollout.nested_guidance": False, "rollout.history_guidance": 1.0}
    | {"rollout.history_fraction": 0.0, "rollout.history": "geometric", "rollout.history_span": 4}
    | {"rollout.history_noise": "noise"},
    "video": COMMON
    | DIFFUSION
    | {"data.precomputed": "none"}
    | {f"autoencoder.{name}": value for name, value in AUTOENCODER.items()}
    | {"phase": "all", "train_motion": False, "keep_draft": False, "clip.depth": 0}
    | {"network.box_width": 0, "network.position_halves": False, "network.draft": False}
    | {"network.unet.context_width": 0, "network.unet.discrete_steps": 0, "network.unet.module_groups": 0}
    | {"loss.time_shift": 1.0, "loss.sampled_levels": False}
    | {"render.spacing": "even", "render.blur_size": 0, "render.blur_sigma": 18.0, "render.offline": False},
}
"""Stage → dotted name of a setting → its value if a config lacks it."""

RENAMED: dict[str, dict[str, str]] = {"actor": {"objective.heard": "objective.audio_emotion"}}
"""Stage → former dotted name of a setting → its dotted name today."""


def completed(config: ConfigDict) -> ConfigDict:
    """The config of a checkpoint with today's names and all missing settings, also for its motion stage if it has one."""
    whole = ConfigDict(config.to_dict())
    stage = str(whole.get("stage", ""))
    for former, name in RENAMED.get(stage, {}).items():
        _rename(whole, former, name)
    for name, value in MISSING.get(stage, {}).items():
        _add(whole, name, value)
    if isinstance(motion := whole.get("motion"), ConfigDict):
        whole.motion = completed(motion)
    return whole


def _rename(config: ConfigDict, former: str, name: str) -> None:
    """Moves the value of a setting to its name today, if the config has the former one."""
    section, _, last = former.rpartition(".")
    with contextlib.suppress(TypeError):  # a damaged config has another value in place of a section
        inner = section_of(config, section)
        if last in inner:
            value = inner[last]
            del inner[last]
            _add(config, name, value)


def _add(config: ConfigDict, name: str, value: Any) -> None:
    """Adds a setting, if the config lacks it."""
    section, _, last = name.rpartition(".")
    with contextlib.suppress(TypeError):  # a damaged config has another value in place of a section
        inner = section_of(config, section)
        if last not in inner:
            inner[last] = value
