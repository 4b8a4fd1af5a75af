"""Checks that records fit a config before anything is computed from them; a mismatch is reported in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from data.frames import decode_frames
from data.stage_data import Record, StageData
from xactor_jax.errors import UserError
from xactor_jax.video.autoencoder import AutoencoderSettings
from xactor_jax.video.entries import batch_entries

PROBED = 8
"""Number of records, evenly spaced over the data set, in which ground truth is looked for."""


def value_of(config: ConfigDict, name: str) -> Any:
    """The value of a setting with a dotted name."""
    for part in name.split("."):
        config = config[part]
    return config


def check_side(config: ConfigDict, name: str, side: int, where: str) -> None:
    """Raises `UserError` if frames have another side than the stage's pictures; `name` is the setting with that side."""
    if name and side != (wanted := value_of(config, name)):
        ways = f"--config.data.image_size={wanted} for embedded data or launch/prepare.py --size {wanted} for your own"
        raise UserError(
            f"the frames of {where} have {side} pixels a side, not the {wanted} of {name}: give --config.{name}={side}, or "
            f"make frames of that side by {ways}."
        )


def check_record(config: ConfigDict, data: StageData, record: Record) -> None:
    """Raises `UserError` where a record has other sizes than the stage's network."""
    if "frames" in record and len(record["frames"]):
        check_side(config, data.side, decode_frames(record["frames"], [0]).shape[1], config.data.path)
    for entry, name in {"motion_latents": data.latents, "audio_features": data.features}.items():
        if name and entry in record and (given := record[entry].shape[-1]) != (wanted := value_of(config, name)):
            raise UserError(
                f"the {entry.replace('_', ' ')} in {config.data.encoded_path} have {given} numbers a frame, not the {wanted} "
                f"of {name}: give --config.{name}={given}, or encode the clips again with launch/encode.py."
            )


def check_truth(config: ConfigDict, source: Any) -> None:
    """Raises `UserError` if a loss needs controls and units, and no probed clip has either."""
    weight = config.loss.truth
    if not weight:
        return
    probed = np.unique(np.linspace(0, len(source) - 1, PROBED).astype(int))
    if not any(len(source[int(i)][name]) for i in probed for name in ("controls", "units")):
        raise UserError(
            f"the clips of {config.data.path} have no controls and no units, which loss.truth={weight:g} needs: give "
            "--config.loss.truth=0, or clips of puppets or heads."
        )


def check_latents(config: ConfigDict, source: Any) -> None:
    """Raises `UserError` if latents that are read in place of pictures are those of pictures with another side."""
    if not batch_entries(config).reference_latent:
        return
    wanted, found = AutoencoderSettings.from_config(config.autoencoder).latent_shape, source[0]["picture_latents"].shape[1:]
    if found != wanted:
        size = lambda shape: " × ".join(map(str, shape))
        raise UserError(
            f"a frame's picture latents in {config.data.encoded_path} are {size(found)}, not the {size(wanted)} of "
            f"autoencoder.image_size={config.autoencoder.image_size}: give the side of the clips that were encoded, or encode "
            "clips of this side with launch/encode.py."
        )


def check_fit(config: ConfigDict, data: StageData, source: Any) -> None:
    """Checks the first record of a split against the config, and a few more records where that is not enough.

    Raises:
        UserError: pictures, latents or features do not have the network's sizes, or a loss needs ground truth that no clip has.
    """
    check_record(config, data, source[0])
    data.check(config, source)
