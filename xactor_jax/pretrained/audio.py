"""Makes audio features from the settings stored in a config or a data set."""

from __future__ import annotations

import hashlib
import json
import logging

import jax
from etils import epath

from xactor_jax.audio.features import AudioFeatures, LogMelFeatures, Settings
from xactor_jax.audio.wav2vec2 import Wav2Vec2Settings
from xactor_jax.audio.wav2vec2_features import Wav2Vec2Features
from xactor_jax.checkpoints.config_file import FILE
from xactor_jax.checkpoints.exports import load_variables, variables_hash
from xactor_jax.errors import UserError
from xactor_jax.paths import absolute

log = logging.getLogger(__name__)

KINDS = ("log_mel", "wav2vec2")


def load_audio_features(settings: Settings, checkpoint: epath.PathLike = "") -> AudioFeatures:
    """The audio features that `settings` describe. Settings that are missing have their defaults.

    Args:
        settings: a dict or ConfigDict from `AudioFeatures.to_dict`; empty: log-mel. If it has the `hash` of a checkpoint and
            the checkpoint has another, a warning is logged.
        checkpoint: folder to use instead of the one in the settings.

    Raises:
        UserError: there is no such kind of features, or no such checkpoint.
    """
    kind = settings.get("kind", "log_mel")
    if kind == "log_mel":
        if checkpoint:
            raise UserError(f"log-mel features need no checkpoint such as {checkpoint}: leave --audio_checkpoint out.")
        return LogMelFeatures.from_dict(settings)
    if kind != "wav2vec2":
        raise UserError(f"there are no audio features {kind!r}: use {' or '.join(KINDS)}.")
    return _load_wav2vec2(settings, checkpoint or settings.get("checkpoint", ""))


def _load_wav2vec2(settings: Settings, checkpoint: epath.PathLike) -> Wav2Vec2Features:
    config, variables = load_variables(_existing(checkpoint, settings.get("hash", "")), "wav2vec2")
    try:
        network = Wav2Vec2Settings(**config.network)
    except (AttributeError, TypeError) as error:
        raise UserError(f"the config in {checkpoint} does not fit this version ({error}): import the weights again.") from None
    found, pieces = variables_hash(variables), Wav2Vec2Features.settings_from(settings)
    if (settings.get("hash") or found) != found:
        log.warning("%s is not the wav2vec 2.0 checkpoint that was used before (%s); expect wrong motion", checkpoint, found)
    return Wav2Vec2Features(network, jax.device_put(variables.params), pieces, str(absolute(checkpoint)), found)


def _existing(checkpoint: epath.PathLike, recorded_hash: str) -> epath.Path:
    """The folder of the checkpoint. Raises `UserError` if there is none."""
    if checkpoint and (absolute(checkpoint) / FILE).exists():
        return absolute(checkpoint)
    which = f"the one with hash {recorded_hash}" if recorded_hash else "one made by launch/import_weights.py"
    raise UserError(f"no wav2vec 2.0 checkpoint is in {checkpoint or 'the empty path'}: name {which} with --audio_checkpoint.")


def audio_hash(settings: Settings) -> str:
    """Twelve hexadecimal digits that identify the settings; the folder of the checkpoint does not matter."""
    kept = {name: value for name, value in settings.items() if name != "checkpoint"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
