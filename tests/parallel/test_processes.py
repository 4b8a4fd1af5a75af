from __future__ import annotations

from typing import Any

import jax
import pytest

from xactor_jax.errors import UserError
from xactor_jax.parallel import processes

THREE = {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}


def test_one_process_alone() -> None:
    assert processes.announced({}) is None
    assert processes.announced({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}) is None


def test_three_variables_say_everything() -> None:
    expected = {"coordinator_address": "10.0.0.1:1234", "num_processes": 4, "process_id": 3}
    assert processes.announced(THREE) == expected


def test_slurm_and_cloud_tpu_are_found_by_jax() -> None:
    assert processes.announced({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}) == {}
    assert processes.announced({"TPU_WORKER_HOSTNAMES": "a,b"}) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"JAX_PROCESS_ID": ""}, "announces several processes without JAX_PROCESS_ID: set all three or none"),
        ({"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID=4 is not one of the 4 processes 0 … 3"),
        ({"JAX_NUM_PROCESSES": "four"}, "must be whole numbers"),
    ],
)
def test_mistakes(changes: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        processes.announced({**THREE, **changes})


def test_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **arguments: calls.append(arguments))
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: bool(calls))
    processes.initialize({})
    assert calls == []
    for _ in range(2):
        processes.initialize(THREE)
    assert calls == [processes.announced(THREE)]
