"""Programs compiled for TPUs that are not there, by the compiler of TPUs itself."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("libtpu")

SMALL = (
    "--config=configs/actor.py",
    "--config.network.width=128",
    "--config.network.heads=4",
    "--config.network.depth=1",
    "--config.data.window=40",
    "--config.precision=bfloat16",
)


def compiled(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/study/compile.py", *SMALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=800)


@pytest.mark.timeout(900)
def test_a_step_and_sampling_are_compiled_for_a_pod(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "report.json"
    split = ("--config.batch_size=8", "--config.mesh.data=2", "--config.mesh.fsdp=2")
    done = compiled("--topology=v5e:2x2", f"--json={file}", "--effort=-1", *split)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    (step,) = report["steps"]
    assert (report["devices"], report["device_kind"], report["effort"], step["fits"]) == (4, "TPU v5 lite", -1, True)
    held = step["held"]
    assert held["optimiser"] == pytest.approx(2 * held["parameters"], rel=1e-3)  # two moments
    assert sum(held.values()) <= step["arguments"] < 1.5 * sum(held.values())  # small arrays are padded
    assert step["peak"] == sum(step[name] for name in ("arguments", "results", "temporaries", "code")) < 2**30
    assert step["executed"] == step["model"] == pytest.approx(step["flops"], rel=0.2)
    gathered, reduced = step["collectives"]["all-gather"], step["collectives"]["all-reduce"]
    assert gathered["bytes"] > 0 and reduced["bytes"] > 0
    assert 0 < step["utilisation"] < report["efficiency"]
    assert report["sampler"]["peak"] > 0
    for words in ("peak memory", "14.90 GiB", "all-gather", "estimated utilisation", "Assumed for v5e"):
        assert words in done.stdout


@pytest.mark.timeout(900)
def test_where_a_step_does_not_fit_a_mesh_that_does_is_named(tmp_path: pathlib.Path) -> None:
    """Some 1.5e9 parameters, 16 bytes each with average and moments, into chips of 16e9 bytes."""
    file = tmp_path / "report.json"
    wide = ("--config.network.width=8192", "--config.network.heads=64", "--config.batch_size=4")
    done = compiled("--topology=v5e:2x2", f"--json={file}", "--nosampler", *wide)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(file.read_text())["steps"]
    assert not first["fits"] and first["refused"][0] > first["refused"][1] > 15e9
    assert second["fits"] and second["changes"] == {"mesh.data": -1, "mesh.fsdp": 4}
    assert second["held"]["parameters"] == pytest.approx(first["held"]["parameters"] / 4, rel=0.01)
    assert "these do, compiled: --config.mesh.data=-1 --config.mesh.fsdp=4" in done.stdout


@pytest.mark.timeout(900)
def test_rematerialisation_saves_memory_and_every_gradient_is_summed_once(tmp_path: pathlib.Path) -> None:
    """Once, though the actor's blocks are used twice: XLA for CPUs sums the two parts apart."""
    exact = ("--config.precision=float32",)  # in bfloat16, so are some of the sums
    deep = ("--config.network.depth=4", "--config.data.window=200", "--config.batch_size=64", "--nosampler")
    temporaries = {}
    for remat in ("none", "full"):
        file = tmp_path / f"{remat}.json"
        done = compiled("--topology=v5e:2x2", f"--json={file}", f"--config.remat={remat}", *deep, *exact)
        assert done.returncode == 0, done.stderr
        (step,) = json.loads(file.read_text())["steps"]
        temporaries[remat] = step["temporaries"]
        assert set(step["collectives"]) == {"all-reduce"}
        assert step["collectives"]["all-reduce"]["bytes"] == pytest.approx(step["held"]["parameters"], rel=0.01)
    assert temporaries["full"] < 0.7 * temporaries["none"], temporaries


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--topology=v5e:3x5",), "libtpu knows no topology v5e:3x5"),
        (("--topology=v9:2x2",), "libtpu knows no topology v9:2x2"),
        (("--topology=v5e:2x2", "--config.mesh.fsdp=3"), "mesh.fsdp=3"),
        (("--topology=v5e:2x2", "--config.batch_size=6"), "batch_size=6 does not divide"),
    ],
)
def test_mistakes_end_in_one_sentence(wrong: tuple[str, ...], said: str) -> None:
    done = compiled(*wrong)
    assert done.returncode == 2 and said in done.stderr
    assert done.stderr.count("error: ") == 1 and not done.stdout
