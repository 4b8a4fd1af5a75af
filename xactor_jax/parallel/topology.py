"""Devices of a TPU pod that is not there, for compiling: libtpu's compiler needs a topology's name and no hardware."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import MutableMapping, Sequence
from typing import Any

import jax

from xactor_jax.errors import UserError

ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # asks no metadata server what machine this is
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # the lock is for hardware, which nobody touches here
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""What keeps libtpu from looking for a TPU."""

MEGACORE = {"v4": "megacore"}
"""Generations whose chips have two cores that are one device to JAX, where libtpu must be told so."""


def wanted_libtpu() -> str:
    """The requirement on libtpu of the JAX that is installed, such as "libtpu==0.0.42.*"."""
    lines = importlib.metadata.requires("jax") or []
    return next((line.partition(";")[0].strip() for line in lines if line.startswith("libtpu")), "libtpu")


def check_libtpu() -> None:
    """Raises `UserError` where libtpu is not installed."""
    if not os.environ.get("TPU_LIBRARY_PATH") and importlib.util.find_spec("libtpu") is None:
        raise UserError(f"compiling for a TPU topology needs its compiler: pip install '{wanted_libtpu()}'")


def stay_off_hardware(environ: MutableMapping[str, str] = os.environ) -> None:
    """Before any device is asked for: JAX computes on the CPU, and libtpu looks for no TPU."""
    for name, value in ENVIRONMENT.items():
        environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")


def topology_devices(name: str) -> Sequence[Any]:
    """Devices of a topology such as "v5e:16x16", generation and chips a side. Raises `UserError` for an unknown one.

    One device is one chip. A name that counts cores, as v5p-128 does, has half as many chips: v5p:4x4x4.
    """
    from jax.experimental import topologies

    check_libtpu()
    chip = MEGACORE.get(name.partition(":")[0])
    try:
        options = {"chip_config_name": chip} if chip else {}
        return topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise UserError(f"libtpu knows no topology {name} ({said}): name one such as v5e:16x16 or v5p:4x4x4.") from None
