"""Loads the three stages for sampling from checkpoints, and checks that they fit together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from etils import epath
from ml_collections import ConfigDict

from xactor_jax.actor import stage as actor
from xactor_jax.audio.features import AudioFeatures
from xactor_jax.checkpoints.exports import load_variables, variables_hash
from xactor_jax.errors import UserError
from xactor_jax.motion import stage as motion
from xactor_jax.motion.model import motion_hash
from xactor_jax.pretrained.audio import load_audio_features
from xactor_jax.variables import Variables
from xactor_jax.video import stage as video
from xactor_jax.video.model import VideoModel, trained_motion_encoder

log = logging.getLogger(__name__)

Place = Callable[[Variables], Variables]
"""Function that places host arrays on devices."""

ENTRIES = {"motion": motion.ENTRY, "actor": actor.ENTRY, "video": video.ENTRY}
"""The stages that turn a portrait and speech into video, as `Models` has them."""


class Stage(NamedTuple):
    """A trained stage, and its origin."""

    model: Any
    variables: Variables
    path: str
    hash: str
    config: ConfigDict
    audio: AudioFeatures | None = None  # audio features; only for an actor
    latents: str = ""  # `motion_hash`, which identifies the latents; only for a motion stage

    @property
    def origin(self) -> dict[str, str]:
        """Path and hash of the checkpoint, for the JSON file of a result."""
        return {"path": self.path, "hash": self.hash}


class Models(NamedTuple):
    """The trained stages for sampling. An evaluation may use only the first stages."""

    motion: Stage
    actor: Stage | None = None
    video: Stage | None = None

    @property
    def present(self) -> dict[str, Stage]:
        """Name → stage, for the stages that are loaded."""
        return {name: stage for name, stage in self._asdict().items() if stage is not None}

    @property
    def origins(self) -> dict[str, dict[str, str]]:
        return {name: stage.origin for name, stage in self.present.items()}

    @property
    def sides(self) -> tuple[int, int]:
        """Image sizes of the motion stage and of the video stage, in pixels."""
        return self.motion.model.image_size, (self.video or self.motion).model.image_size


def load_stage(name: str, path: epath.PathLike, audio_checkpoint: str = "", place: Place = jax.device_put) -> Stage:
    """Loads one stage from the folder of a run or an export. `place` puts its variables on devices; default: the first device.

    Args:
        audio_checkpoint: Checkpoint of learned audio features, if it is not at the path in the actor's config.

    Raises:
        UserError: there is no such checkpoint, it is damaged or of another stage, or its config does not fit this version.
    """
    config, variables = load_variables(path, name)
    try:
        model = ENTRIES[name].model.from_config(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"the config in {path} does not fit this version ({error}): train that stage again.") from None
    if name == "video":
        check_whole(variables, model, path)
    audio = load_audio_features(config.data.audio, audio_checkpoint) if name == "actor" else None
    latents = motion_hash(variables) if name == "motion" else ""
    return Stage(model, place(variables), str(path), variables_hash(variables), config, audio, latents)


def check_whole(variables: Variables, model: VideoModel, path: epath.PathLike) -> None:
    """Raises `UserError` if a renderer lacks a network, which happens after importing single files."""
    if lacking := {"trunk", "reference", "motion_tokens"} - variables.params.keys():
        raise UserError(f"{path} has no {min(lacking)}: it is a part of a renderer, to start training from with init_from.")
    if model.draft and "draft" not in variables.buffers:
        raise UserError(f"{path} has no decoder for its drafts: train it again, or with --config.network.draft=False.")
    wanted = ("autoencoder", *(("clip",) if model.clip else ()))
    if lacking := [name for name in wanted if name not in variables.buffers]:
        again = "import it again with launch/import_weights.py --what xnemo_video"
        raise UserError(f"{path} has no {lacking[0]}: {again} --{lacking[0]} FILE.")


def load_models(paths: Mapping[str, epath.PathLike], audio_checkpoint: str = "", place: Place = jax.device_put) -> Models:
    """Loads those of the stages "motion", "actor" and "video" that have a folder in `paths`.

    Raises:
        UserError: see `load_stage`; or the stages do not fit together.
    """
    models = Models(**{name: load_stage(name, path, audio_checkpoint, place) for name, path in paths.items()})
    check_fit(models)
    return models


def check_fit(models: Models) -> None:
    """Raises `UserError` unless sizes agree. Warns if a stage was trained on the latents of another motion stage."""
    sizes = {name: stage.model.motion_dim for name, stage in models.present.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise UserError(f"the checkpoints' motion latents differ in size ({listed}): use stages trained on one motion stage.")
    if models.actor and models.actor.model.audio_dim != (given := models.actor.audio.num_features):
        raise UserError(f"the actor takes {models.actor.model.audio_dim} audio features a frame, not {given}: train it again.")
    for name, stage in models.present.items():
        own = trained_motion_encoder(stage.variables) if name == "video" else None
        trained_on = motion_hash(jax.device_get(own)) if own else stage.config.pretrained.motion_hash
        if name != "motion" and trained_on and trained_on != models.motion.latents:
            log.warning("%s was trained on another motion stage than %s; expect wrong motion", stage.path, models.motion.path)
