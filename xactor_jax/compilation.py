"""Environment variables that must be set before JAX is imported: the compilation cache and the CPU kernels.

JAX's persistent compilation cache is in the user's cache folder. JAX_COMPILATION_CACHE_DIR names another folder, local or
gs://; JAX_ENABLE_COMPILATION_CACHE=false turns the cache off. A cached program is the program that was compiled, so results are
bit-identical. The folder can be removed at any time.

XLA's CPU compiler of jaxlib 0.10 uses the kernels of YNNPACK for convolutions and matrix products. At the sizes used here they
are slower than XLA's own: on two cores (2026-11-28, `launch/benchmark/training.py --batches=synthetic` of each `puppets`) a
training step of stage 1 took 290 ms with them and 192 without, of stage 2 446 and 420, of stage 3 980 and 909, of the
autoencoder 476 and 270. So they are turned off, unless XLA_FLAGS already names the operations that use them
(`--xla_cpu_experimental_ynn_fusion_type=...`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import platform
from collections.abc import MutableMapping
from importlib import metadata

FOLDER = "JAX_COMPILATION_CACHE_DIR"
SWITCH = "JAX_ENABLE_COMPILATION_CACHE"
NAME = "xactor_jax"
KERNELS = "--xla_cpu_experimental_ynn_fusion_type"


def user_cache(environ: MutableMapping[str, str]) -> pathlib.Path:
    """The user's cache folder: XDG_CACHE_HOME, else ~/.cache."""
    named = environ.get("XDG_CACHE_HOME")
    return pathlib.Path(named) if named else pathlib.Path(environ.get("HOME") or pathlib.Path.home()) / ".cache"


def processor(description: pathlib.Path = pathlib.Path("/proc/cpuinfo")) -> str:
    """A short hash of the processor's instruction sets.

    Machines with different processors may share a home folder, and code compiled for one may not run on another.
    """
    abilities = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = description.read_text().splitlines()
        abilities += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(abilities.encode()).hexdigest()[:8]


def keep_compiled(environ: MutableMapping[str, str] = os.environ) -> None:
    """Sets the cache folder for JAX, which must not be imported yet, and for every program started from this process.

    Does nothing if the folder cannot be created.
    """
    if environ.get(FOLDER) or environ.get(SWITCH, "").lower() in ("0", "false", "off", "no"):
        return
    with contextlib.suppress(OSError):
        folder = user_cache(environ) / NAME / f"compiled-{processor()}"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            environ[FOLDER] = str(folder)


def choose_kernels(environ: MutableMapping[str, str] = os.environ, version: str | None = None) -> None:
    """Makes XLA use its own kernels on a CPU, unless XLA_FLAGS already sets the flag. Call it before JAX is imported.

    `version` is the version of jaxlib; by default, the installed one. XLA ends the process on an unknown flag, so the flag is
    set only for versions that have it.
    """
    flags = environ.get("XLA_FLAGS", "")
    if (version or metadata.version("jaxlib")).startswith("0.10.") and KERNELS not in flags:
        environ["XLA_FLAGS"] = f"{flags} {KERNELS}=".strip()
