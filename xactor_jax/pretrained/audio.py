"""Audio features from the settings that a config or a data set carries."""

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
    """The features that `settings` describe: `kind`, of wav2vec2 `checkpoint` too, and what else is not as by default.

    Args:
        settings: a dict or ConfigDict, as `AudioFeatures.to_dict` gives it; empty: log-mel. A `hash` is held against the
            checkpoint, with a warning where it is another.
        checkpoint: folder to read in place of the recorded one.

    Raises:
        UserError: the kind is not known, or there is no such checkpoint.
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
        raise UserError(f"the config in {checkpoint} does not fit this version ({error}): import the weights anew.") from None
    found, pieces = variables_hash(variables), Wav2Vec2Features.settings_from(settings)
    if (settings.get("hash") or found) != found:
        log.warning("%s is not the wav2vec 2.0 checkpoint that was used before (%s); expect wrong motion", checkpoint, found)
    return Wav2Vec2Features(network, jax.device_put(variables.params), pieces, str(absolute(checkpoint)), found)


def _existing(checkpoint: epath.PathLike, recorded_hash: str) -> epath.Path:
    """The folder. Raises `UserError` where there is none."""
    if checkpoint and (absolute(checkpoint) / FILE).exists():
        return absolute(checkpoint)
    which = f"the one with hash {recorded_hash}" if recorded_hash else "one made by launch/import_weights.py"
    raise UserError(f"no wav2vec 2.0 checkpoint is in {checkpoint or 'the empty path'}: name {which} with --audio_checkpoint.")


def audio_hash(settings: Settings) -> str:
    """Twelve hexadecimal digits that tell settings apart, wherever the checkpoint lies."""
    kept = {name: value for name, value in settings.items() if name != "checkpoint"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
