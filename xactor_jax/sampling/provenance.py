"""Origin of a result: hashes of inputs and versions of libraries, for the JSON file beside it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

import xactor_jax
from xactor_jax.errors import UserError
from xactor_jax.unfinished import write_whole

LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "av", "opencv-python-headless")


def sha256(path: epath.PathLike) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of the project, of Python and of the libraries that affect the output."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"xactor_jax": xactor_jax.__version__, "python": platform.python_version(), **libraries}


def inputs(**sources: str | np.ndarray) -> dict[str, dict[str, str]]:
    """Name → path and SHA-256 of each input file; of an array its type and shape, and the SHA-256 of its bytes."""
    return {name: _origin(source) for name, source in sources.items()}


def _origin(source: str | np.ndarray) -> dict[str, str]:
    if not isinstance(source, np.ndarray):
        return {"path": str(source), "sha256": sha256(source)}
    kind = f"{source.dtype} {list(source.shape)}"
    return {"array": kind, "sha256": hashlib.sha256(np.ascontiguousarray(source).data).hexdigest()}


def is_ours(path: epath.PathLike) -> bool:
    """Whether a file is the JSON file of a generated video."""
    try:
        content = json.loads(epath.Path(path).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("synthetic") is True


def write_json(path: epath.PathLike, content: Mapping[str, Any]) -> None:
    """Writes a JSON file completely or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_whole(epath.Path(path), json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): check that its folder exists and is writable.") from error
