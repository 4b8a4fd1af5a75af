"""Measures all that a first quarter of an hour on a GPU should answer, in one command, and keeps every number at once.

    python launch/benchmark/gpu.py --out DIR --minutes 14                        # everything
    python launch/benchmark/gpu.py --out DIR --minutes 14 --sections heads --data CLIPS
    python launch/benchmark/gpu.py --out DIR --minutes 5 --toy                   # tiny networks, to try it on a CPU

The sections share the time. What one leaves over goes to the next ones, and one that fails does not stop the others.

    step      training steps of the base presets in bfloat16: share of the peak, with doubled batches until memory runs out
    sampler   frames per second of the released renderer's layout with random weights; its trunk beside diffusers' in PyTorch
    actor     attention by cuDNN, by XLA and by PyTorch; the actor with cuDNN's and with XLA's
    heads     training of all heads presets (launch/train_all.py) in the time that is left. --data: clips that launch/heads.py
              has made before, of 128 pixels a side; without it, they are made first, and that time counts. Seven runs need
              more than a few minutes: better give this section a quarter of an hour of its own

Every program runs in a process of its own, so that its memory is free afterwards. After each row DIR/gpu.json and DIR/gpu.md
are written whole; DIR/gpu.log has what the programs print, DIR/STAGE.tar the export of a trained stage. Runs are in a temporary
folder, which is removed, or in --work.

One GPU is used. JAX may take 90 % of its memory (XLA_CLIENT_MEM_FRACTION, by default 75 %). No XLA flags are set: those that
JAX's and NVIDIA's performance pages recommend, such as xla_gpu_enable_latency_hiding_scheduler, overlap the exchange between
devices, and one device exchanges nothing. To measure others, set XLA_FLAGS.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root
from launch._numbers import check_numbers
from launch._options import warn
from launch.benchmark import _gpu_sections as sections
from launch.benchmark import _table
from launch.benchmark._gpu_sections import Row, Setup
from launch.benchmark._programs import Programs
from xactor_jax.errors import UserError, exit_on_user_error, first_line
from xactor_jax.settings import real
from xactor_jax.targets import make_local_folder
from xactor_jax.unfinished import write_whole


class Section(NamedTuple):
    """A part of the program."""

    title: str
    rows: Callable[[Setup], Iterator[Row]]
    share: float
    """Share of the time, relative to the sum over the sections that are still to come."""


SECTIONS: Mapping[str, Section] = {
    "step": Section("Training steps", sections.steps, 0.40),
    "sampler": Section("Sampling", sections.sampler, 0.24),
    "actor": Section("Attention and the actor", sections.actor, 0.12),
    "heads": Section("Training of the heads presets", sections.heads, 0.24),
}
MEMORY = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
"""The environment variable for the share of the memory that JAX takes, and its old name."""
ASK_JAX = """
import json, jax
one = jax.devices()[0]
print(json.dumps({"platform": one.platform, "device": one.device_kind, "jax": jax.__version__}))
"""
ASK_TORCH = """
import json, torch
print(json.dumps({"torch": torch.__version__, "cuda": torch.cuda.is_available()}))
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--out", required=True, metavar="DIR", help="folder for the numbers; created if it is missing")
    add("--minutes", type=float, default=14.0, help="time for everything")
    add("--sections", default=",".join(SECTIONS), help="separated by commas, in the order in which they run")
    add("--data", default="", metavar="CLIPS", help="clips of the heads section, made before")
    add("--work", default="", metavar="DIR", help="folder for the runs of the heads section; default: a temporary one")
    add("--toy", action="store_true", help="tiny networks, to try the script")
    return about


class Report:
    """The numbers so far. Every change is written at once."""

    def __init__(self, out: pathlib.Path, about: Mapping[str, Any]) -> None:
        self._out, self._content = out, {**about, "sections": {}}

    def begin(self, name: str) -> None:
        """Starts a section."""
        self._content["sections"][name] = {"title": SECTIONS[name].title, "rows": [], "problem": "", "seconds": None}
        self._write()

    def add(self, name: str, row: Row) -> None:
        """Appends a row to a section."""
        self._content["sections"][name]["rows"].append(row)
        self._write()

    def end(self, name: str, seconds: float, problem: str) -> None:
        """Ends a section; `problem` is empty, or says why it was not finished."""
        self._content["sections"][name].update(seconds=seconds, problem=problem)
        self._write()

    def section(self, name: str) -> str:
        """A section in Markdown."""
        content = self._content["sections"][name]
        parts = [f"## {content['title']}", _table.markdown(content["rows"]) if content["rows"] else "", content["problem"]]
        return "\n\n".join(part for part in parts if part)

    def _write(self) -> None:
        about = ", ".join(f"{name} {value}" for name, value in self._content.items() if name != "sections")
        texts = [f"# GPU benchmark\n\n{about}", *map(self.section, self._content["sections"])]
        write_whole(self._out / "gpu.json", json.dumps(self._content, indent=2) + "\n")
        write_whole(self._out / "gpu.md", "\n\n".join(texts) + "\n")


def run_sections(names: list[str], seconds: float, setup: Setup, report: Report) -> None:
    """Runs sections in turn, each until its share of the remaining time is over."""
    programs = setup.programs
    deadline = programs.now() + seconds
    for index, name in enumerate(names):
        start = programs.now()
        share = SECTIONS[name].share / sum(SECTIONS[later].share for later in names[index:])
        programs.until = start + share * (deadline - start)
        report.begin(name)
        problem = ""
        try:
            for row in SECTIONS[name].rows(setup):
                report.add(name, row)
        except Exception as error:  # the other sections must still run, on a device that is there for minutes only
            traceback.print_exc()
            problem = f"This section ended early: {first_line(error)}"
        report.end(name, programs.now() - start, problem)
        print(f"{report.section(name)}\n", flush=True)


def environment() -> dict[str, str]:
    """The environment of all programs: one device, and most of its memory."""
    values = {"CUDA_VISIBLE_DEVICES": "0", "PYTHONUNBUFFERED": "1", "JAX_NUM_CPU_DEVICES": "1", **os.environ}
    return values if any(name in os.environ for name in MEMORY) else {**values, MEMORY[0]: "0.9"}


def asked(question: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The answer of another process to a few lines of Python, so that this one takes no memory of the device.

    Raises:
        UserError: it ends with an error.
    """
    done = subprocess.run([sys.executable, "-c", question], cwd=_root.ROOT, env=dict(environ), capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise UserError(f"JAX does not start on this machine ({reason}): install the one for its devices.")
    return json.loads(done.stdout.splitlines()[-1])


def machine(environ: Mapping[str, str]) -> dict[str, Any]:
    """The device, its host and the versions."""
    answer = asked(ASK_JAX, environ)
    try:
        answer |= asked(ASK_TORCH, environ)
    except UserError:
        answer |= {"torch": "", "cuda": False}
    return {**answer, "cores": os.cpu_count(), "python": platform.python_version(), "date": time.strftime("%Y-%m-%d %H:%M")}


def chosen(arguments: argparse.Namespace) -> list[str]:
    """The sections of the options. Raises `UserError` for options that are not possible."""
    names = list(dict.fromkeys(arguments.sections.split(",")))
    if unknown := [name for name in names if name not in SECTIONS]:
        raise UserError(f"there is no section {unknown[0]!r}: use {', '.join(SECTIONS)}.")
    check_numbers(arguments, {"minutes": real(0.0, 10_000.0, above=True)})
    if arguments.data:
        from data import records, storage

        storage.read_index(arguments.data, records.KIND)
    return names


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments, start = parser().parse_args(), time.monotonic()
    with exit_on_user_error(), tempfile.TemporaryDirectory() as temporary:
        names, environ = chosen(arguments), environment()
        out = make_local_folder(arguments.out).absolute()
        work = make_local_folder(arguments.work or temporary).absolute()
        about = machine(environ)
        if about["platform"] == "cpu":
            warn("JAX finds no GPU, so this measures the CPU, which takes far longer: --toy tries the script only.")
        torch = bool(about["torch"]) and (about["cuda"] or about["platform"] == "cpu")
        data = str(pathlib.Path(arguments.data).absolute()) if arguments.data else ""
        setup = Setup(Programs(out / "gpu.log", environ), out, work, arguments.toy, data, torch)
        seconds = 60 * arguments.minutes - (time.monotonic() - start)
        run_sections(names, seconds, setup, Report(out, {**about, "toy": arguments.toy}))


if __name__ == "__main__":
    main()
