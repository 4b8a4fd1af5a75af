"""The shell scripts: what they would run, and what they do when it is run by stand-ins for gcloud and SLURM."""

from __future__ import annotations

import os
import pathlib
import shlex
import signal
import subprocess

import pytest

TRAIN = ["--config=configs/video.py:base", "--workdir=gs://B/video"]
PLACE = ["--name=pod", "--zone=z"]


def run(repository: pathlib.Path, script: str, *arguments: str, status: int = 0, **variables: str) -> str:
    """stdout of a script, or stderr where it is to fail."""
    environment = {**os.environ, **variables}
    command = [str(repository / "launch" / script), *arguments]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stderr if status == 2 else done.stdout


def words(output: str) -> list[list[str]]:
    """The words of every command printed, as a shell reads them."""
    return [shlex.split(line) for line in output.splitlines()]


def test_the_scripts_are_clean(repository: pathlib.Path) -> None:
    scripts = [str(path) for path in (repository / "launch").glob("*.sh")]
    assert len(scripts) == 2
    subprocess.run([repository / ".venv/bin/shellcheck", *scripts], check=True)


def test_a_slice_is_made_and_deleted(repository: pathlib.Path) -> None:
    make = ["create", *PLACE, "--type=v5litepod-256", "--version=v2-alpha-tpuv5-lite", "--spot", "--project=p", "--dry-run"]
    (made,) = words(run(repository, "tpu_pod.sh", *make))
    assert made[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "create", "pod"]
    options = ["--accelerator-type=v5litepod-256", "--version=v2-alpha-tpuv5-lite", "--spot", "--zone=z", "--project=p"]
    assert made[6:] == options
    (deleted,) = words(run(repository, "tpu_pod.sh", "delete", *PLACE, "--dry-run"))
    assert deleted == ["gcloud", "compute", "tpus", "tpu-vm", "delete", "pod", "--quiet", "--zone=z"]


def test_the_commit_is_copied_to_every_worker(repository: pathlib.Path) -> None:
    packed, sent, unpacked = words(run(repository, "tpu_pod.sh", "copy", *PLACE, "--dry-run"))
    assert packed[0] == "git" and packed[-1] == "HEAD"
    assert sent[4:8] == ["scp", packed[-2].removeprefix("--output="), "pod:xactor_jax.tar.gz", "--worker=all"]
    assert unpacked[4:7] == ["ssh", "pod", "--worker=all"]
    subprocess.run(["bash", "-n", "-c", unpacked[7].removeprefix("--command=")], check=True)


TRAINING = """
import os, pathlib, signal, sys, time
if "wait" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
line = f"{sys.argv[1:]} {os.environ['XACTOR_JAX_PROCESSES']}"
print(line, flush=True)
if "wait" in sys.argv:
    time.sleep(60)
count = pathlib.Path("count")
count.write_text(count.read_text() + "x" if count.exists() else "x")
sys.exit(75 if len(count.read_text()) < 3 or sys.argv[-1] == "always" else 0)
"""


@pytest.fixture
def worker(tmp_path: pathlib.Path) -> dict[str, str]:
    """Variables under which gcloud's `ssh` runs its command here, in a home folder with a small launch/train.py."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    (home / "xactor_jax" / "launch").mkdir(parents=True)
    (home / "xactor_jax" / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    (home / "xactor_jax" / ".venv" / "bin" / "python").symlink_to(
        subprocess.check_output(["which", "python3"], text=True).strip()
    )
    (home / "xactor_jax" / "launch" / "train.py").write_text(TRAINING)
    stand_in(
        tools, "gcloud", f'for word; do case $word in --command=*) cd {home} && bash -c "${{word#--command=}}";; esac; done'
    )
    return {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(home)}


def stand_in(folder: pathlib.Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
    (folder / name).chmod(0o755)


def log_of(worker: dict[str, str], until: str) -> str:
    """The log of a worker once it has a text in it."""
    command = f"until grep -qs {shlex.quote(until)} xactor_jax/train.log; do sleep 0.05; done; cat xactor_jax/train.log"
    return subprocess.check_output(["timeout", "30", "bash", "-c", command], cwd=worker["HOME"], text=True)


def test_a_worker_trains_again_as_long_as_it_is_asked_to(repository: pathlib.Path, worker: dict[str, str]) -> None:
    run(repository, "tpu_pod.sh", "start", *PLACE, "--", *TRAIN, "--config.name=it's a b", **worker)
    log = log_of(worker, "ended with status 0")
    assert log.splitlines()[:3] == [f"{[*TRAIN, chr(45) * 2 + 'config.name=it' + chr(39) + 's a b']} found"] * 3
    assert log.splitlines()[3:] == ["ended with status 0 after 2 short starts in a row"]


def test_a_worker_that_the_others_never_join_gives_up(repository: pathlib.Path, worker: dict[str, str]) -> None:
    run(repository, "tpu_pod.sh", "start", *PLACE, "--", *TRAIN, "always", **worker)
    assert log_of(worker, "ended").splitlines()[10:] == ["ended with status 75 after 10 short starts in a row"]


def test_a_worker_that_is_stopped_does_not_start_again(repository: pathlib.Path, worker: dict[str, str]) -> None:
    run(repository, "tpu_pod.sh", "start", *PLACE, "--", *TRAIN, "wait", **worker)
    log_of(worker, "found")
    run(repository, "tpu_pod.sh", "stop", *PLACE, **worker)
    assert log_of(worker, "ended").splitlines()[1:] == ["ended with status 75 after 1 short starts in a row"]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("tpu_pod.sh", ["begin"], "'begin' is not an action"),
        ("tpu_pod.sh", ["create", "--zone=z"], "--name=NAME"),
        ("tpu_pod.sh", ["create", *PLACE, "--version=v"], "--type=v5litepod-256"),
        ("tpu_pod.sh", ["start", *PLACE, "--config=a"], "comes after --"),
        ("tpu_pod.sh", ["start", *PLACE, "--", "--config=a", "--workdir=runs/a"], "--workdir=gs://BUCKET/FOLDER"),
        ("slurm.sh", ["--nodes=2", "--gpus-per-node=8"], "say what to run after --"),
        ("slurm.sh", ["--config=a"], "put -- before it"),
        ("slurm.sh", ["--", "--config=a"], "--gpus-per-node=8"),
        ("slurm.sh", ["--per=core", "--", "--config=a"], "--per=gpu or --per=node"),
    ],
)
def test_mistakes_are_one_sentence(repository: pathlib.Path, script: str, arguments: list[str], message: str) -> None:
    errors = run(repository, script, *arguments, status=2)
    assert errors.startswith("error: ") and message in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize("script", ["tpu_pod.sh", "slurm.sh"])
def test_help_is_the_header(repository: pathlib.Path, script: str) -> None:
    said = run(repository, script, "--help")
    assert "--dry-run" in said and "status 75" in said and "set -euo" not in said


def test_a_process_for_every_gpu(repository: pathlib.Path) -> None:
    options = ["--nodes=4", "--gpus-per-node=8", "--time=12:00:00"]
    submitted, started, _, requeued = words(run(repository, "slurm.sh", "--dry-run", *options, "--", *TRAIN))
    assert submitted[0] == "sbatch" and submitted[-2:] == TRAIN and submitted[-3].endswith("launch/slurm.sh")
    assert {"--requeue", "--signal=TERM@300", "--ntasks-per-node=8", *options} <= set(submitted)
    task = ["launch/slurm.sh", "--task", "slurm-JOB.failed"]
    assert started == ["srun", "--kill-on-bad-exit=0", *task, ".venv/bin/python", "launch/train.py", *TRAIN]
    assert requeued == ["scontrol", "requeue", "JOB"]


def test_another_program_may_be_named(repository: pathlib.Path) -> None:
    encode = ["launch/encode.py", "--data=/shared/clips", "--out=gs://bucket/encoded"]
    _, started, *_ = words(run(repository, "slurm.sh", "--dry-run", "--gpus-per-node=8", "--", *encode))
    assert started[-4:] == [".venv/bin/python", *encode]
    started = run(repository, "tpu_pod.sh", "start", *PLACE, "--dry-run", "--", *encode)
    assert f".venv/bin/python {' '.join(encode)} &" in started


def test_a_process_for_every_node_has_all_its_gpus(repository: pathlib.Path) -> None:
    submitted, exported, *_ = words(run(repository, "slurm.sh", "--dry-run", "--per=node", "--gpus-per-node=4", "--", *TRAIN))
    assert "--ntasks-per-node=1" in submitted and exported == ["export", "JAX_LOCAL_DEVICE_IDS=0,1,2,3"]


@pytest.mark.parametrize(
    ("status", "restarts", "queued"),
    [(75, 0, True), (75, 99, True), (75, 100, False), (0, 0, False), (2, 0, False), (1, 0, False)],
)
def test_a_job_is_queued_again_only_on_75(
    repository: pathlib.Path, tmp_path: pathlib.Path, status: int, restarts: int, queued: bool
) -> None:
    """The file runs inside a job, with stand-ins for SLURM's commands."""
    stand_in(tmp_path, "srun", f'echo srun "$@" >> {tmp_path}/log; exit {status}')
    stand_in(tmp_path, "scontrol", f'echo scontrol "$@" >> {tmp_path}/log')
    job = {"SLURM_JOB_ID": "12", "SLURM_SUBMIT_DIR": str(repository), "SLURM_RESTART_COUNT": str(restarts)}
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = [str(repository / "launch" / "slurm.sh"), *TRAIN]
    done = subprocess.run(command, env={**os.environ, **job, "PATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith(f"launch/train.py {' '.join(TRAIN)}")
    assert lines[1:] == (["scontrol requeue 12"] if queued else [])


@pytest.mark.parametrize(("first", "second", "status"), [(2, 75, 2), (1, 75, 1), (75, 137, 137), (75, 75, 75), (0, 0, 0)])
def test_an_error_of_one_process_outweighs_what_it_does_to_the_others(
    repository: pathlib.Path, tmp_path: pathlib.Path, first: int, second: int, status: int
) -> None:
    """Two tasks of a job in a shared folder; like SLURM's, the stand-in for srun returns the higher status."""
    (tmp_path / "launch").symlink_to(repository / "launch")
    (tmp_path / "slurm-12.failed").write_text("2\n")  # of a start before
    each = '"${@:2:3}" sh -c "exit $status" || last=$?; [ $last -gt $worst ] && worst=$last'
    stand_in(tmp_path, "srun", f"worst=0; for status in {first} {second}; do last=0; {each}; done; exit $worst")
    stand_in(tmp_path, "scontrol", f'echo "$@" > {tmp_path}/queued')
    job = {"SLURM_JOB_ID": "12", "SLURM_SUBMIT_DIR": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(repository / "launch" / "slurm.sh"), *TRAIN]
    done = subprocess.run(command, env={**os.environ, **job}, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "queued").exists() == (status == 75)


def test_a_process_that_is_signalled_saves_before_its_task_ends(repository: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """SLURM signals all processes of a step."""
    saving = "trap 'sleep 0.3; exit 75' TERM; echo ready; while :; do sleep 0.05; done"
    command = [str(repository / "launch" / "slurm.sh"), "--task", str(tmp_path / "failed"), "sh", "-c", saving]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 75 and not (tmp_path / "failed").exists()
