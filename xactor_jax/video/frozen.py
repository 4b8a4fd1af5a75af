"""Frozen networks of the renderer: untrained ones at the start, and those loaded from their checkpoints."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from xactor_jax.checkpoints.start import FROM_START
from xactor_jax.errors import UserError
from xactor_jax.layers.latents import kept_statistics
from xactor_jax.variables import Tree
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


def load_autoencoder(model: VideoModel, path: str) -> dict[str, Tree]:
    """The buffers "autoencoder". Raises `UserError` if no path is given or if the sizes differ."""
    from xactor_jax.checkpoints.exports import load_variables

    if path in NOT_LOADED:
        return {}
    if not path:
        raise UserError("The video stage needs a trained autoencoder: name one by --config.pretrained.autoencoder=FOLDER.")
    config, variables = load_variables(path, "autoencoder")
    if not model.autoencoder.settings.fits(AutoencoderSettings.from_config(config.network)):
        raise UserError(
            f"The autoencoder in {path} has other sizes than this config's `autoencoder`: "
            "train one with the same preset or change the config."
        )
    return {"autoencoder": {"params": variables.params["autoencoder"], "buffers": kept_statistics(variables.buffers)}}


def load_clip(model: VideoModel, path: str) -> dict[str, Tree]:
    """The buffers "clip". Raises `UserError` if the renderer needs them and no path is given."""
    from xactor_jax.checkpoints.exports import load_variables

    if model.clip is None or path in NOT_LOADED:
        return {}
    if not path:
        raise UserError(
            "The embedding of the reference picture needs CLIP's image encoder: import it with launch/import_weights.py "
            "--what clip and name it by --config.pretrained.clip=FOLDER, or do without by --config.clip.depth=0."
        )
    return {"clip": load_variables(path, "clip")[1].params}


def load_motion_statistics(path: str) -> dict[str, Tree]:
    """The buffers "motion" of a motion encoder that is trained together with the renderer."""
    from xactor_jax.checkpoints.exports import load_variables

    return {"motion": kept_statistics(load_variables(path, "motion")[1].buffers)}
