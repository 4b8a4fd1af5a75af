"""The workers of a Dask cluster give what one machine gives, also if one of them is killed, and say what they lack."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from data import cluster, prepare
from data.cluster import Place
from data.isolation import Outcome
from data.prepare import prepare as prepare_clips
from tests.data.test_isolation import work
from tests.data.test_prepare import clips_of, few_looks, prepared, settings_for, tree
from tests.launch.programs import run_here
from xactor_jax.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[str]:
    """Address of a scheduler with two workers, all in this process."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, processes=False, threads_per_worker=1, dashboard_address=None) as workers:
        yield workers.scheduler_address


def test_no_job_stops_the_others(two_workers: str, tmp_path: pathlib.Path) -> None:
    """Time runs out only where it must: elsewhere a process may take long to start."""
    with cluster.connected(two_workers, 1.0, [__file__], tmp_path) as run:
        (hung,) = run(work, ["hang"])
    assert hung.job == "hang" and hung.failure == "took longer than 1 s"
    with cluster.connected(two_workers, 120.0, [__file__], tmp_path) as run:
        outcomes = {outcome.job: outcome for outcome in run(work, ["a", "crash", "b", "raise"])}
    assert outcomes["a"] == Outcome("a", "a done") and outcomes["b"] == Outcome("b", "b done")
    assert outcomes["raise"].failure == "ValueError: bad file" and "exit code -11" in outcomes["crash"].failure
    assert not list(tmp_path.iterdir())


def test_what_a_worker_does_not_see(two_workers: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check says what is missing, and a run ends with it before the first job, also on a worker that joined late."""
    (tmp_path / "a").write_text("123")
    there = (str(tmp_path / "a"), 3)
    assert cluster.problem(Place((there,), str(tmp_path))) == "" and [path.name for path in tmp_path.iterdir()] == ["a"]
    assert cluster.problem(Place((there, ("/none/b", 3)), str(tmp_path))).startswith("does not see /none/b (")
    assert cluster.problem(Place(((str(tmp_path / "a"), 4),), str(tmp_path))).startswith(f"sees another file {tmp_path}/a")
    assert cluster.problem(Place((there,), "/none")).startswith("cannot write to /none (")
    late = Place((there, ("/none/b", 3)), str(tmp_path))
    with pytest.raises(UserError, match=r"the worker on .* does not see /none/b"):
        cluster._work(1.0, late, b"")
    monkeypatch.setattr(cluster, "problem", lambda place: "does not see it.")
    with pytest.raises(UserError, match=r"the worker inproc://.* does not see it"):
        begin(two_workers, tmp_path)


def begin(address: str, folder: pathlib.Path) -> None:
    """Connects, which must fail."""
    with cluster.connected(address, 1.0, [], folder):
        pytest.fail("work has begun")


def test_no_engine_no_scheduler_and_no_worker(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty:
        said = {"tcp://127.0.0.1:9": "no Dask scheduler answers at tcp", "none.json": "there is no scheduler file"}
        for address, sentence in {**said, empty.scheduler_address: "has no worker: start some"}.items():
            with pytest.raises(UserError, match=sentence):
                begin(address, tmp_path)
    (tmp_path / "in").mkdir()
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = run_here("prepare.py", "--videos", tmp_path / "in", "--out", tmp_path / "out", "--cluster", "tcp://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "install requirements-cluster.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen]:
    """A program of Dask in the project's folder, killed at the end."""
    command = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def processes(file: pathlib.Path) -> Iterator[list[subprocess.Popen]]:
    """A scheduler with a file, and two workers, as a person starts them."""
    scheduler = program("distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port=0", "--no-dashboard")
    worker = ("distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads=1", "--no-dashboard")
    with scheduler, program(*worker, "--no-nanny") as first, program(*worker) as second:
        yield [first, second]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a dozen processes start, each of which imports for seconds
def test_a_killed_worker_loses_no_file(tree: pathlib.Path, prepared: tuple, tmp_path: pathlib.Path) -> None:
    """One worker has a nanny and one has none, and the one without is killed with a file in its hands."""
    killed: list[int] = []
    with processes(tmp_path / "scheduler.json") as (first, _):

        def kill(done: int, total: int, row: dict) -> None:
            if not killed:
                os.kill(first.pid, signal.SIGKILL)
                killed.append(done)

        settings = settings_for(tree, tmp_path / "clips", persons="name", cluster=str(tmp_path / "scheduler.json"))
        rows, _ = prepare_clips(settings, kill)
    assert killed == [1] and len(rows) == 14
    assert (tmp_path / "clips" / prepare.MANIFEST).read_text() == (prepared[0] / prepare.MANIFEST).read_text()
    assert_equal(clips_of(tmp_path / "clips"), clips_of(prepared[0]))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["clips"]


def assert_equal(ours: dict[str, dict], theirs: dict[str, dict]) -> None:
    """The same clips, bit for bit, in the same order and splits."""
    assert list(ours) == list(theirs)
    for name in ours:
        for field, value in ours[name].items():
            of = list if field == "frames" else repr  # frames are read when they are asked for
            assert of(value) == of(theirs[name][field]), (name, field)
