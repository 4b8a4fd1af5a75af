"""Runs with several processes: they are joined through `jax.distributed` if the environment announces them.

JAX is imported only when they are joined, because `supervision.guard`, which must not import JAX, uses this module.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from xactor_jax.errors import UserError

HEARTBEAT_SECONDS = 30
"""A process without a sign of life for this time counts as lost, and the others end."""

PATIENCE_SECONDS = 7 * 24 * 3600
"""Time that a finished process waits for the others, which may have longer jobs. JAX's default, 5 minutes, would end them."""

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


FOUND = "XACTOR_JAX_PROCESSES"


def announced(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Arguments for `jax.distributed.initialize`; None for a single process.

    The three JAX_ variables give all arguments. Under SLURM (several tasks) and on Cloud TPU with several hosts or slices, JAX
    finds them by itself. XACTOR_JAX_PROCESSES=found announces this case where the environment does not show it: a Cloud TPU VM
    has it only in its metadata.

    Raises `UserError` if only some of the three variables are set, or one is not a number.
    """
    given = [name for name in VARIABLES if environ.get(name)]
    if given and len(given) < len(VARIABLES):
        missing = ", ".join(name for name in VARIABLES if name not in given)
        raise UserError(f"{', '.join(given)} announces several processes without {missing}: set all three or none.")
    if given:
        return _explicit(environ)
    slurm = int(environ.get("SLURM_NTASKS") or 1) > 1 and "SLURM_PROCID" in environ
    cloud_tpu = len([host for host in environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host]) > 1
    slices = int(environ.get("MEGASCALE_NUM_SLICES") or 1) > 1
    return {} if slurm or cloud_tpu or slices or environ.get(FOUND) == "found" else None


def _explicit(environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        count, index = int(environ[VARIABLES[1]]), int(environ[VARIABLES[2]])
    except ValueError:
        raise UserError(f"{VARIABLES[1]} and {VARIABLES[2]} must be whole numbers.") from None
    if not 0 <= index < count:
        raise UserError(f"{VARIABLES[2]}={index} is not one of the {count} processes 0 … {count - 1}.")
    return {"coordinator_address": environ[VARIABLES[0]], "num_processes": count, "process_id": index}


def initialize(environ: Mapping[str, str] = os.environ, *, preemption: bool = False) -> None:
    """Joins the announced processes. Does nothing for a single process, or if they are joined already.

    preemption: From now on SIGTERM is only recorded, for `training.interruption`; without it, SIGTERM ends the process.
    """
    arguments = announced(environ)
    if arguments is None:
        return
    import jax

    if not jax.distributed.is_initialized():
        jax.config.update("jax_enable_preemption_service", preemption)
        times = {"heartbeat_timeout_seconds": HEARTBEAT_SECONDS, "shutdown_timeout_seconds": PATIENCE_SECONDS}
        jax.distributed.initialize(**arguments, **times)


def several(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment announces more than one process."""
    arguments = announced(environ)
    return arguments is not None and arguments.get("num_processes", 2) > 1


def on_loopback(count: int) -> list[dict[str, str]]:
    """Environment variables of each of `count` processes that are joined on this machine; none for a single process."""
    if count == 1:
        return [{}]
    address = f"127.0.0.1:{free_port()}"
    return [dict(zip(VARIABLES, (address, str(count), str(index)), strict=True)) for index in range(count)]


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
