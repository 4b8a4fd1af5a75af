"""What is settled before JAX is imported: where compiled programs are kept, and which kernels a CPU computes with.

JAX's persistent compilation cache is in the user's cache folder. JAX_COMPILATION_CACHE_DIR names another, local or gs://;
JAX_ENABLE_COMPILATION_CACHE=false turns it off. What is read back is the very program that was compiled, so the same bits come
out. The folder can be removed at any time.

XLA's CPU compiler of jaxlib 0.10 hands convolutions and products to the kernels of YNNPACK, which are slower at the sizes here
than its own: on two cores (2026-11-28, `launch/benchmark/training.py --batches=synthetic` of each `puppets`) a training step
of stage 1 took 290 ms with them and 192 without, of stage 2 446 and 420, of stage 3 980 and 909, of the autoencoder 476 and
270. So they are turned off, unless XLA_FLAGS says which operations they should have
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


def choose_kernels(environ: MutableMapping[str, str] = os.environ, version: str | None = None) -> None:
    """Tells XLA, before JAX is imported, to compute with its own kernels on a CPU, unless XLA_FLAGS says which it should take.

    `version` is of jaxlib; by default, of the one that is installed. XLA ends the process at a flag that it does not know, so
    only versions that know this one are told.
    """
    told = environ.get("XLA_FLAGS", "")
    if (version or metadata.version("jaxlib")).startswith("0.10.") and KERNELS not in told:
        environ["XLA_FLAGS"] = f"{told} {KERNELS}=".strip()
