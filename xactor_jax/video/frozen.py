"""Frozen networks of the renderer: untrained ones at the start, and those loaded from their checkpoints."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from xactor_jax.checkpoints import exports
from xactor_jax.checkpoints.start import FROM_START, last_with_buffer
from xactor_jax.errors import UserError
from xactor_jax.layers.latents import kept_statistics
from xactor_jax.variables import Tree, Variables
from xactor_jax.video.autoencoder import AutoencoderSettings
from xactor_jax.video.model import VideoModel

NOT_LOADED = ("random", FROM_START)
"""Values of `config.pretrained.autoencoder` and `clip` for which nothing is loaded.

"random" keeps the untrained network, for tests and timing; the other keeps the one that comes with `config.init_from`.
"""


def untrained(model: VideoModel, key: jax.Array) -> dict[str, Tree]:
    """The renderer's buffers, with randomly initialised networks."""
    buffers = {
        "autoencoder": model.autoencoder.init(key),
        "residual_std": jnp.ones(model.latent_shape[-1]),
        "residual_count": jnp.zeros((), jnp.int32),
    }
    buffers |= {"clip": model.clip.init(jax.random.fold_in(key, 1))} if model.clip else {}
    return buffers | ({"draft": model.draft.init(jax.random.fold_in(key, 3))} if model.draft else {})


def saved_autoencoder(path: str) -> tuple[ConfigDict, Tree]:
    """Config and weights with their statistics, as in the buffers "autoencoder", of a run or export of the autoencoder."""
    config, variables = exports.load_variables(path, "autoencoder")
    return config, {"params": variables.params["autoencoder"], "buffers": kept_statistics(variables.buffers)}


def saved_clip(path: str) -> tuple[ConfigDict, Tree]:
    """Config and weights, as in the buffers "clip", of an import of CLIP's image encoder."""
    config, variables = exports.load_variables(path, "clip")
    return config, variables.params


SAVED = {"autoencoder": saved_autoencoder, "clip": saved_clip}


def frozen_hash(name: str, tree: Any) -> str:
    """Twelve hexadecimal digits that identify what a frozen network makes of pictures.

    Autoencoders that differ only in their decoders share it, like motion stages (`xactor_jax.motion.model.motion_hash`).
    """
    if name == "autoencoder":
        return exports.variables_hash(Variables({"encoder": tree["params"]["encoder"]}, tree["buffers"]))
    return exports.variables_hash(Variables(tree, {}))


def chosen_hash(config: ConfigDict, name: str) -> str:
    """`frozen_hash` of the network that a config of the video stage uses; "random" for an untrained one."""
    path = config.pretrained[name]
    if path and path not in NOT_LOADED:
        return frozen_hash(name, SAVED[name](path)[1])
    found = last_with_buffer(config.init_from, config.stage, name) if path == FROM_START else None
    return frozen_hash(name, exports.load_variables(found[0], config.stage)[1].buffers[name]) if found else "random"


def load_autoencoder(model: VideoModel, path: str) -> dict[str, Tree]:
    """The buffers "autoencoder". Raises `UserError` if no path is given or if the sizes differ."""
    if path in NOT_LOADED:
        return {}
    if not path:
        raise UserError("The video stage needs a trained autoencoder: name one by --config.pretrained.autoencoder=FOLDER.")
    config, tree = saved_autoencoder(path)
    if not model.autoencoder.settings.fits(AutoencoderSettings.from_config(config.network)):
        raise UserError(
            f"The autoencoder in {path} has other sizes than this config's `autoencoder`: "
            "train one with the same preset or change the config."
        )
    return {"autoencoder": tree}


def load_clip(model: VideoModel, path: str) -> dict[str, Tree]:
    """The buffers "clip". Raises `UserError` if the renderer needs them and no path is given."""
    if model.clip is None or path in NOT_LOADED:
        return {}
    if not path:
        raise UserError(
            "The embedding of the reference picture needs CLIP's image encoder: import it with launch/import_weights.py "
            "--what clip and name it by --config.pretrained.clip=FOLDER, or do without by --config.clip.depth=0."
        )
    return {"clip": saved_clip(path)[1]}


def load_motion_statistics(path: str) -> dict[str, Tree]:
    """The buffers "motion" of a motion encoder that is trained together with the renderer."""
    return {"motion": kept_statistics(exports.load_variables(path, "motion")[1].buffers)}
