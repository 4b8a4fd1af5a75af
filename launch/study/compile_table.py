"""Prints the table of docs/scale.md: all stages at full size, compiled for whole TPU pods by launch/study/compile.py.

    python launch/study/compile_table.py [--only actor:base,video:base] [--pods v5e-256] [--json FILE] [--effort -1]

Each cell is compiled in its own process. The largest ones take tens of minutes of processor time and some GiB of memory; with
--effort -1, a fifth of the time. The file of --json is written after each cell; cells that it already contains are not compiled
again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import real

PODS = {"v5e-256": "v5e:16x16", "v5p-128": "v5p:4x4x4", "v6e-256": "v6e:16x16", "v4-256": "v4:4x4x8"}
"""Name of a pod → its topology. Names count chips for v5e and v6e, but cores, two per chip, for v4 and v5p."""


class Stage(NamedTuple):
    """Training settings of a stage on a pod."""

    batch_of_chip: int
    """Examples per step and chip."""
    settings: tuple[str, ...] = ()


STAGES = {
    "motion:base": Stage(8),
    "actor:base": Stage(16),
    "actor:large": Stage(8, ("--config.mesh.fsdp=8",)),
    "autoencoder:base": Stage(1),
    "video:base": Stage(1, ("--config.mesh.fsdp=16",)),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("--only", default=",".join(STAGES), help="stages and presets, separated by commas")
    about.add_argument("--pods", default=",".join(PODS), help="separated by commas")
    about.add_argument("--effort", default=0.0, type=float, metavar="E", help="effort of the compiler, from -1 to 1")
    about.add_argument("--json", default="", metavar="FILE", help="file in which results are kept")
    return about


def chosen(text: str, known: dict[str, Any], what: str) -> list[str]:
    """Splits a list of names at its commas. Raises `UserError` for an unknown name."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise UserError(f"there is no {what} {name!r}: choose from {', '.join(known)}.")
    return names


def chips(topology: str) -> int:
    """Number of chips of a topology such as v5e:16x16."""
    count = 1
    for side in topology.partition(":")[2].split("x"):
        count *= int(side)
    return count


def measured(name: str, topology: str, effort: float) -> dict[str, Any]:
    """The report of launch/study/compile.py. Raises `UserError` with the last line of its output if it failed."""
    (stage, preset), how = name.split(":"), STAGES[name]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "report.json"
        program = [sys.executable, "launch/study/compile.py", f"--config=configs/{stage}.py:{preset}", f"--topology={topology}"]
        batch = f"--config.batch_size={how.batch_of_chip * chips(topology)}"
        command = [*program, batch, *how.settings, "--nosampler", f"--effort={effort}", f"--json={file}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=_root.ROOT)
        if done.returncode:
            silent = f"no output and status {done.returncode}, which is -9 if memory ran out"
            reason = (done.stderr.strip().splitlines() or [silent])[-1].removeprefix("error: ")
            raise UserError(f"{name} was not compiled for {topology}: {reason}")
        return json.loads(file.read_text())


def row(name: str, pod: str, report: dict[str, Any]) -> str:
    """A line of the table, in Markdown."""
    step = report["steps"][-1]
    if not step["fits"]:
        return f"| {name} | {pod} | does not fit | | | | |"
    axes = " ".join(f"{axis}={size}" for axis, size in step["mesh"].items() if size > 1)
    moved = sum(kind["bytes"] for kind in step["collectives"].values())
    peak, memory = step["peak"] / 1e9, report["chip"]["memory"] / 1e9
    sizes = f"{peak:.1f} of {memory:.0f} GB | {moved / 1e9:.2f} GB"
    return f"| {name} | {pod} | {axes}, remat {step['remat']} | {step['batch_size']} | {sizes} | {step['utilisation']:.0%} |"


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_numbers(arguments, {"effort": real(-1.0, 1.0)})
        names, pods = chosen(arguments.only, STAGES, "stage"), chosen(arguments.pods, PODS, "pod")
        file = pathlib.Path(arguments.json) if arguments.json else None
        known = json.loads(file.read_text()) if file and file.exists() else {}
        print("| stage | pod | mesh | global batch | memory of a chip | collectives a step | estimated utilisation |")
        print("|---|---|---|---|---|---|---|")
        for name, pod in ((name, pod) for name in names for pod in pods):
            cell = f"{name} {pod}"
            known[cell] = known.get(cell) or measured(name, PODS[pod], arguments.effort)
            print(row(name, pod, known[cell]), flush=True)
            if file:
                file.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
