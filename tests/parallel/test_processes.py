from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import jax
import pytest

from tests.training.checks import REPOSITORY, environment
from xactor_jax.errors import UserError
from xactor_jax.parallel import processes

THREE = {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}


def test_a_single_process() -> None:
    assert processes.announced({}) is None
    assert processes.announced({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "TPU_WORKER_HOSTNAMES": "localhost"}) is None


def test_three_variables_say_everything() -> None:
    expected = {"coordinator_address": "10.0.0.1:1234", "num_processes": 4, "process_id": 3}
    assert processes.announced(THREE) == expected


def test_processes_on_the_loopback_know_each_other() -> None:
    assert processes.on_loopback(1) == [{}]
    announced_to = [processes.announced(environ) for environ in processes.on_loopback(3)]
    assert [(each["num_processes"], each["process_id"]) for each in announced_to] == [(3, 0), (3, 1), (3, 2)]
    assert len({each["coordinator_address"] for each in announced_to}) == 1


def test_slurm_and_cloud_tpu_are_found_by_jax() -> None:
    assert processes.announced({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}) == {}
    assert processes.announced({"TPU_WORKER_HOSTNAMES": "a,b"}) == {}
    assert processes.announced({"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"}) == {}
    assert processes.announced({"XACTOR_JAX_PROCESSES": "found"}) == {}


def test_whether_there_are_several() -> None:
    assert processes.several(THREE) and processes.several({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"})
    assert not processes.several({}) and not processes.several({**THREE, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"})


JOIN = """
import jax, sys
from jax._src.clusters import cloud_tpu_cluster
cloud_tpu_cluster.running_in_cloud_tpu_vm = "tpu" in sys.argv
from xactor_jax.parallel import processes
processes.initialize()
from jax.experimental import multihost_utils
print(jax.process_index(), jax.process_count(), multihost_utils.process_allgather(jax.process_index()).tolist())
"""


def found(kind: str, port: int, index: int) -> dict[str, str]:
    """What the environment of process `index` of two says under SLURM, or on Cloud TPU under Kubernetes."""
    slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2", "SLURM_PROCID": str(index)}
    tpu = {"TPU_WORKER_HOSTNAMES": "localhost,127.0.0.1", "TPU_WORKER_ID": str(index)}
    tpu |= {"MEGASCALE_COORDINATOR_ADDRESS": "localhost", "MEGASCALE_NUM_SLICES": "1", "MEGASCALE_SLICE_ID": "0"}
    own = {**slurm, "SLURM_LOCALID": str(index)} if kind == "slurm" else tpu
    return {**own, "JAX_COORDINATOR_PORT": str(port), "JAX_NUM_CPU_DEVICES": "1"}


@pytest.mark.parametrize("kind", ["slurm", pytest.param("tpu", marks=pytest.mark.slow)])
def test_two_processes_find_each_other(repository: pathlib.Path, kind: str) -> None:
    port = processes.free_port()
    command, pipe = [sys.executable, "-c", JOIN, kind], subprocess.PIPE
    environments = [{**os.environ, **found(kind, port, index)} for index in range(2)]
    joined = [subprocess.Popen(command, cwd=repository, env=e, stdout=pipe, stderr=pipe, text=True) for e in environments]
    results = [process.communicate(timeout=120) for process in joined]
    assert [output.splitlines()[-1:] for output, _ in results] == [["0 2 [0, 1]"], ["1 2 [0, 1]"]], results


def test_sigterm_ends_a_process_that_has_nothing_to_save(repository: pathlib.Path) -> None:
    """Of several, too: JAX by itself would note it and go on."""
    wait = "; import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60); print('it went on')"
    single = dict(zip(processes.VARIABLES, (f"127.0.0.1:{processes.free_port()}", "1", "0"), strict=True))
    program = f"from xactor_jax.parallel import processes; processes.initialize(){wait}"
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, env=environment(**single), capture_output=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b""), done.stderr


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
    times = {"heartbeat_timeout_seconds": 30, "shutdown_timeout_seconds": 604_800}  # lost, and late
    assert calls == [{**(processes.announced(THREE) or {}), **times}]


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [
        ({"data": 1, "context": 4}, ["share 0 1 [(8, 1, 3)]"] * 2),
        pytest.param({"data": 2, "context": 2}, ["share 0 2 [(4, 2, 3)]", "share 1 2 [(4, 2, 3)]"], marks=pytest.mark.slow),
    ],
)
def test_two_processes_hold_the_parts_of_a_batch_that_are_theirs(sizes: dict[str, int], shares: list[str]) -> None:
    """Frames split within a process, and between two that read the same rows."""
    both = [environment(JAX_NUM_CPU_DEVICES="2", **joined) for joined in processes.on_loopback(2)]
    command = [sys.executable, "tests/parallel/read_in_processes.py", json.dumps(sizes)]
    options = {"cwd": REPOSITORY, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=each, **options) for each in both]
    ended = [process.communicate(timeout=280) for process in started]
    assert [out.splitlines() for out, _ in ended] == [[share] for share in shares], [errors[-2000:] for _, errors in ended]
