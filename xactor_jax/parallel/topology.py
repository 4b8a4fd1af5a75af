"""Devices of a TPU pod without hardware, for compiling: libtpu's compiler needs only the name of a topology."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import MutableMapping, Sequence
from typing import Any

import jax

from xactor_jax.errors import UserError

ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # do not ask the metadata server for the kind of machine
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # the lock protects hardware, which is not used here
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Environment variables that keep libtpu from looking for a TPU."""

MEGACORE = {"v4": "megacore"}
"""Generations whose chips have two cores that JAX treats as one device; libtpu needs this option for them."""


def wanted_libtpu() -> str:
    """The version of libtpu that the installed JAX requires, such as "libtpu==0.0.42.*"."""
    lines = importlib.metadata.requires("jax") or []
    return next((line.partition(";")[0].strip() for line in lines if line.startswith("libtpu")), "libtpu")


def check_libtpu() -> None:
    """Raises `UserError` if libtpu is not installed."""
    if not os.environ.get("TPU_LIBRARY_PATH") and importlib.util.find_spec("libtpu") is None:
        raise UserError(f"compiling for a TPU topology needs its compiler: pip install '{wanted_libtpu()}'")


def stay_off_hardware(environ: MutableMapping[str, str] = os.environ) -> None:
    """Makes JAX compute on the CPU and keeps libtpu from looking for a TPU. Call it before any device is used."""
    for name, value in ENVIRONMENT.items():
        environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")


def topology_devices(name: str) -> Sequence[Any]:
    """Devices of a topology such as "v5e:16x16" (generation, chips per side). Raises `UserError` for an unknown one.

    One device is one chip. A name such as v5p-128 counts cores, of which a chip has two, so it corresponds to v5p:4x4x4.
    """
    from jax.experimental import topologies

    check_libtpu()
    chip = MEGACORE.get(name.partition(":")[0])
    try:
        options = {"chip_config_name": chip} if chip else {}
        return topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"libtpu knows no topology {name} ({reason}): name one such as v5e:16x16 or v5p:4x4x4.") from None
