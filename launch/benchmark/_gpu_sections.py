"""The sections of launch/benchmark/gpu.py. Each yields the rows of its table as soon as they are measured."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from launch.benchmark._programs import NotMeasuredError, Programs
from launch.benchmark._search import LARGEST, doubling, in_turn
from launch.train_all import PLANS, exported

Row = dict[str, Any]
STARTS = {"motion": 64, "actor": 128, "autoencoder": 4, "video": 1}
"""Stage → the batch that is tried first, for a device of 141 GB."""
TINY = {
    "motion": ("network.image_size=32", "network.latent_dim=8", "network.widths=(8,)", "network.encoder_widths=(8,)"),
    "actor": ("network.latent_dim=8", "network.width=16", "network.depth=1", "network.heads=2", "data.window=10"),
    "autoencoder": ("network.image_size=32", "network.channels=(8,)"),
    "video": (
        *("autoencoder.image_size=32", "autoencoder.channels=(8,)", "network.motion_dim=8", "network.motion_tokens=2"),
        *("network.unet.channels=(8,)", "network.unet.attention=(True,)", "network.unet.heads=2", "network.unet.groups=4"),
        "data.window=4",
    ),
}
"""Stage → settings that make its preset puppets tiny, to try the script."""
TINY_RUN = (
    *("data.persons=4", "data.clips_per_person=1", "data.clip_seconds=1.2", "data.image_size=32", "data.examples_per_clip=2"),
    *("batch_size=4", "steps=2", "log_every=1", "eval_every=0", "preview_every=0"),
)
FRAMES = "--frames=40"
"""Length of the rendered clip: two windows of 24 frames that overlap by 4 on both sides, as in a long clip."""
NO_TORCH = "not compared: PyTorch is not installed, or has no CUDA"
EXPORT_SECONDS = 45.0
"""Time that is kept for exports."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the sections need."""

    programs: Programs
    out: pathlib.Path
    work: pathlib.Path
    """Folder of the runs, which are too large to bring home."""
    toy: bool
    data: str
    torch: bool
    """Whether PyTorch can be compared: it is installed, and with CUDA where JAX has a GPU."""


def steps(setup: Setup) -> Iterator[Row]:
    """Utilisation of the training step of every stage, with batches in memory, up to the largest one that fits."""
    yield from in_turn([_steps_of(setup, stage, 4 if setup.toy else start) for stage, start in STARTS.items()])


def _steps_of(setup: Setup, stage: str, start: int) -> Iterator[Row]:
    preset = "puppets" if setup.toy else "base"
    of = {"step": f"{stage}:{preset}"}
    tiny = [f"--config.{setting}" for setting in TINY[stage]] if setup.toy else []
    options = [f"--config=configs/{stage}.py:{preset}", "--config.precision=bfloat16", "--batches=synthetic", *tiny]

    def attempt(batch: int) -> Any:
        number = "--steps=2" if setup.toy else "--steps=10"
        return setup.programs.measured("benchmark/training.py", *options, number, f"--config.batch_size={batch}")

    try:
        for batch, numbers in doubling(start, attempt, start if setup.toy else LARGEST):
            yield {**of, "batch": batch, **(step_row(numbers) if numbers else {"result": "does not fit"})}
    except NotMeasuredError as error:
        yield {**of, "result": str(error)}


def step_row(numbers: Mapping[str, Any]) -> Row:
    """Cells for what launch/benchmark/training.py writes."""
    speed = numbers["synthetic"]
    cells = {"steps/s": speed["steps_per_second"], "examples/s": speed["examples_per_second"]}
    cells["TFLOP/s"] = 1e-12 * speed["flops_per_second"]
    cells |= {"% of peak": 100 * speed["utilisation"]} if "utilisation" in speed else {}
    cells |= {"peak GiB": speed["memory_peak_gib"]} if "memory_peak_gib" in speed else {}
    return cells | {"s to compile": numbers["compile_seconds"]}


def sampler(setup: Setup) -> Iterator[Row]:
    """Frames per second of the released layout, and of its trunk beside diffusers' in PyTorch."""
    tiny = [f"--set={setting}" for setting in TINY["video"]]
    small = ["--preset=puppets", "--frames=4", *tiny] if setup.toy else ["--preset=base", FRAMES]
    yield from _tried("released sampler", lambda: [setup.programs.measured("benchmark/renderer.py", *small)])
    small = ["--preset=puppets", "--side=8", "--frames=2"] if setup.toy else ["--frames=24", "--repeats=5"]
    for network in ("trunk", "denoiser+bank", *(["diffusers"] if setup.torch and not setup.toy else [])):
        options = [f"--networks={network}", "--precision=bfloat16", *small]
        yield from _tried(f"one call: {network}", lambda o=options: _networks(setup, o))
    if not setup.torch:
        yield {"what": "one call: diffusers", "result": NO_TORCH}


def _networks(setup: Setup, options: list[str]) -> list[Row]:
    """Rows of launch/benchmark/networks.py, as frames per second."""
    frames = next(int(option.partition("=")[2]) for option in options if option.startswith("--frames="))
    rows = setup.programs.measured("benchmark/networks.py", *options)
    return [{"frames": frames, "frames/s": frames / row["s"], "TFLOP/s": 1e-3 * row["GFLOP/s"]} for row in rows]


def actor(setup: Setup) -> Iterator[Row]:
    """Attention by cuDNN, by XLA and by PyTorch; then the actor with the layers' choice, and by XLA."""
    small = ["--divide=64", "--rows=1", "--repeats=1"] if setup.toy else []
    for names in ("xla,cudnn", *(["torch"] if setup.torch else [])):  # apart, because both libraries load CUDA's
        options = [f"--implementations={names}", *small]
        yield from _tried("attention", lambda o=options: setup.programs.measured("benchmark/attention.py", *o))
    if not setup.torch:
        yield {"what": "attention by torch", "result": NO_TORCH}
    small = ["--presets=demo", "--seconds=0.01", "--set=steps=2"] if setup.toy else ["--presets=base", "--seconds=3"]
    for batch in (1,) if setup.toy else (32, 1):
        for by in ("auto", "xla"):
            given = [*small, f"--batch={batch}", f"--attention={by}"]
            call = lambda given=given: setup.programs.measured("benchmark/actor.py", *given)["rows"]
            yield from ({**row, "by": by, "batch": batch} for row in _tried("actor", call))


def _tried(what: str, call: Callable[[], list[Row]]) -> Iterator[Row]:
    """The rows of a call, or a row with the sentence that says why there are none."""
    try:
        yield from ({"what": what, **row} for row in call())
    except NotMeasuredError as error:
        yield {"what": what, "result": str(error)}


def heads(setup: Setup) -> Iterator[Row]:
    """Trains all stages of the heads presets in the time that is left, and writes their exports as OUT/STAGE.tar."""
    preset, work = "puppets" if setup.toy else "heads", setup.work / "runs"
    ended = setup.programs.run("train_all.py", *_plan(setup, preset, work), keep=EXPORT_SECONDS)
    yield from trained(work)
    try:
        ended.check()
    except NotMeasuredError as error:
        yield {"run": preset, "result": str(error)}
    for stage in exported(PLANS[preset]):
        yield from _exported(setup, work, stage)


def _plan(setup: Setup, preset: str, work: pathlib.Path) -> list[str]:
    """Options of launch/train_all.py. A tenth of the time is left for what its budget does not know."""
    minutes = max(0.01, 0.9 * (setup.programs.seconds() - EXPORT_SECONDS) / 60)
    settings = [*TINY_RUN, *(f"{stage}:{setting}" for stage in TINY for setting in TINY[stage])]
    how = [f"--set={setting}" for setting in settings] if setup.toy else [f"--budget_minutes={minutes:.2f}"]
    data = [f"--set=data.cache={setup.work / 'data'}"] if setup.toy else [f"--data={setup.data}"] if setup.data else []
    return [f"--preset={preset}", f"--out={work}", *how, *data]


def trained(work: pathlib.Path) -> Iterator[Row]:
    """A row for each run: its last step, its speed, and its loss there."""
    for file in sorted(work.glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime):
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
        last = {name: value for line in lines for name, value in line.items()}
        names = {"step": "steps", "train/steps_per_second": "steps/s", "train/utilisation": "utilisation", "train/loss": "loss"}
        yield {"run": file.parent.name, **{shown: last[name] for name, shown in names.items() if name in last}}


def _exported(setup: Setup, work: pathlib.Path, stage: str) -> Iterator[Row]:
    """Packs the export of a stage. If the training was cut off, exports its last checkpoint first."""
    export, note = work / "export" / stage, ""
    if not export.exists() and (work / stage).exists():
        note = "; its training was cut off"
        setup.programs.run("export.py", f"--from={work / stage}", f"--to={export}", "--dtype=float16")
    if not export.exists():
        yield {"run": f"export of {stage}", "result": "there is no checkpoint"}
        return
    target = setup.out / f"{stage}.tar"
    with tarfile.open(target, "w") as archive:
        archive.add(export, arcname=stage)
    yield {"run": f"export of {stage}", "result": f"{target.name}, {target.stat().st_size / 1e6:.1f} MB{note}"}
