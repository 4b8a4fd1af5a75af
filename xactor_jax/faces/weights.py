"""Weights of the face networks. They come with the project; licences are beside them.

launch/assets/face.py and launch/assets/identity.py made them.
"""

from __future__ import annotations

import functools
import io
import lzma
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from xactor_jax.paths import REPOSITORY

FOLDER = REPOSITORY / "data" / "assets" / "face"

SUFFIX = ".npz.xz"


RANGE = ":range"
"""Ending of the name under which a parameter that is stored in bytes b has (step, lowest): its values are step b + lowest."""


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    """Content of a file of parameters by name (`a/b/kernel`): bytes and their ranges as they are, others as float16."""
    buffer = io.BytesIO()
    as_given = lambda name: arrays[name].dtype == np.uint8 or name.endswith(RANGE)
    np.savez(buffer, **{name: arrays[name] if as_given(name) else arrays[name].astype(np.float16) for name in sorted(arrays)})
    return lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def unpacked(raw: bytes) -> dict[str, np.ndarray]:
    """Parameters by name, float32, from the content of a file."""
    with np.load(io.BytesIO(lzma.decompress(raw)), allow_pickle=False) as file:
        arrays = dict(file)
    ranges = {name.removesuffix(RANGE): arrays.pop(name) for name in list(arrays) if name.endswith(RANGE)}
    arrays |= {name: arrays[name] * step + lowest for name, (step, lowest) in ranges.items()}
    return {name: values.astype(np.float32) for name, values in arrays.items()}


@functools.cache
def load(network: str) -> dict[str, Any]:
    """Variables of `blazeface`, `facemesh` or `identity`, on the device. The file is read once per process."""
    # Not `jnp.asarray`, which compiles a program for every shape.
    arrays = jax.device_put(unpacked((FOLDER / f"{network}{SUFFIX}").read_bytes()))
    return {"params": flax.traverse_util.unflatten_dict(arrays, sep="/")}
