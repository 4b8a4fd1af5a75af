"""Compiled programs kept between runs: JAX's persistent compilation cache, in the user's cache folder unless told otherwise.

JAX_COMPILATION_CACHE_DIR names another folder, local or gs://; JAX_ENABLE_COMPILATION_CACHE=false turns it off. What is read
back is the very program that was compiled, so the same bits come out. The folder can be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import platform
from collections.abc import MutableMapping

FOLDER = "JAX_COMPILATION_CACHE_DIR"
SWITCH = "JAX_ENABLE_COMPILATION_CACHE"
NAME = "xactor_jax"


def user_cache(environ: MutableMapping[str, str]) -> pathlib.Path:
    """Where this user's programs keep what can be made again."""
    named = environ.get("XDG_CACHE_HOME")
    return pathlib.Path(named) if named else pathlib.Path(environ.get("HOME") or pathlib.Path.home()) / ".cache"


def processor(description: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> str:
    """A short name of the processor's abilities: code for one may not run on another that has the same home."""
    abilities = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = description.read_text().splitlines()
        abilities += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(abilities.encode()).hexdigest()[:8]


def keep_compiled(environ: MutableMapping[str, str] = os.environ) -> None:
    """Names the folder to JAX, before it is imported, and to every program started from here.

    Does nothing where the folder cannot be made.
    """
    if environ.get(FOLDER) or environ.get(SWITCH, "").lower() in ("0", "false", "off", "no"):
        return
    with contextlib.suppress(OSError):
        folder = user_cache(environ) / NAME / f"compiled-{processor()}"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            environ[FOLDER] = str(folder)
