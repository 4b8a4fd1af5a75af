"""Weights of the face networks. They come with the project (made by launch/assets/face.py; the licence is beside them)."""

from __future__ import annotations

import functools
import io
import lzma
from typing import Any

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from xactor_jax.paths import REPOSITORY

FOLDER = REPOSITORY / "data" / "assets" / "face"

SUFFIX = ".npz.xz"


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    """Content of a file of parameters by name (`a/b/kernel`), as float16."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: arrays[name].astype(np.float16) for name in sorted(arrays)})
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)


@functools.cache
def load(network: str) -> dict[str, Any]:
    """Variables of `blazeface` or `facemesh`, float32, on the device. The file is read once per process."""
    raw = lzma.decompress((FOLDER / f"{network}{SUFFIX}").read_bytes())
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        arrays = {name: jnp.asarray(file[name], jnp.float32) for name in file.files}
    return {"params": flax.traverse_util.unflatten_dict(arrays, sep="/")}
