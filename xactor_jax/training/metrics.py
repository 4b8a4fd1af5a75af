"""Metrics and pictures of a run. Metrics are averaged between log points and written to TensorBoard and to metrics.jsonl.

Files on gs:// cannot be appended to. There, both are kept in a local temporary folder and copied to the workdir at every flush.
The loop flushes before each checkpoint, so a crash only loses lines that the resumed run writes again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import jax
import numpy as np
from clu import metrics as clu_metrics
from etils import epath
from tensorboardX import SummaryWriter
from tensorboardX.event_file_writer import EventsWriter

from xactor_jax.paths import is_remote
from xactor_jax.unfinished import write_whole

FILE = "metrics.jsonl"

Scalars = Mapping[str, float]
Averages = Mapping[str, clu_metrics.Average]


def to_host(values: Mapping[str, jax.Array]) -> dict[str, float]:
    """Copies scalars from the devices. Waits until they are computed."""
    return {name: float(value) for name, value in jax.device_get(dict(values)).items()}


def accumulate(averages: Averages, values: Scalars) -> dict[str, clu_metrics.Average]:
    """Adds the values of one more step to the running averages."""
    average: Any = clu_metrics.Average  # its fields come from a decorator that type checkers cannot follow
    one = {k: average(total=np.float64(v), count=np.int64(1)) for k, v in values.items()}
    return {**averages, **{k: averages[k].merge(v) if k in averages else v for k, v in one.items()}}


def compute(averages: Averages, prefix: str = "") -> dict[str, float]:
    """Means of all metrics: name → mean."""
    return {f"{prefix}{name}": float(average.compute()) for name, average in averages.items()}


def read_lines(path: epath.Path) -> list[str]:
    """Lines of a metrics.jsonl, or none if there is no file. A line with bytes that are not text is dropped."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    texts = (line.decode(errors="replace") for line in lines)
    return [text for text in texts if text and "\ufffd" not in text]


def keep_lines(lines: Sequence[str], last_step: int) -> list[str]:
    """Lines up to and including `last_step`. A line that a crash cut off is dropped."""
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return kept


class JsonLines:
    """metrics.jsonl: one JSON object for each step, in order. All scalars of a step are in one line."""

    def __init__(self, path: epath.Path, last_step: int) -> None:
        self._path = path
        self._lines = keep_lines(read_lines(path), last_step)
        self._step, self._scalars = -1, {}
        write_whole(path, self._text())

    def _text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def write(self, step: int, scalars: Scalars) -> None:
        """Adds to the line of `step`. This completes the line of an earlier step."""
        if step != self._step:
            self._close_line()
        self._step, self._scalars = step, {**self._scalars, **scalars}

    def _close_line(self) -> None:
        if not self._scalars:
            return
        numbers = {name: value if np.isfinite(value) else str(value) for name, value in self._scalars.items()}
        self._lines.append(json.dumps({"step": self._step, **numbers}))
        self._scalars = {}
        if not is_remote(self._path):
            with self._path.open("a") as file:
                file.write(f"{self._lines[-1]}\n")

    def flush(self) -> None:
        """Writes everything to the file."""
        self._close_line()
        if is_remote(self._path):
            write_whole(self._path, self._text())


class _Events:
    """Writes event files for the thread of `SummaryWriter`. An error would end the thread, and the run would wait forever."""

    def __init__(self, writer: EventsWriter) -> None:
        self._writer = writer
        self.failure: OSError | None = None

    def write_event(self, event: Any) -> None:
        self._attempt(lambda: self._writer.write_event(event))

    def flush(self) -> None:
        self._attempt(self._writer.flush)

    def close(self) -> None:
        self._attempt(self._writer.close)

    def _attempt(self, do: Callable[[], Any]) -> None:
        try:
            do()
        except OSError as error:
            self.failure = self.failure or error

    def check(self) -> None:
        """Raises the first error of the thread."""
        if self.failure:
            raise self.failure


class TensorBoard:
    """Event files in the folder `tensorboard`. A resumed run purges the steps after its start."""

    def __init__(self, folder: epath.Path, last_step: int) -> None:
        self._folder = folder
        self._temporary = tempfile.TemporaryDirectory() if is_remote(folder) else None
        self._local = pathlib.Path(self._temporary.name if self._temporary else folder)
        purge, suffix = last_step + 1 if last_step else None, f".from{last_step:07d}"
        self._writer = SummaryWriter(str(self._local), purge_step=purge, filename_suffix=suffix, flush_secs=10)
        file: Any = self._writer.file_writer  # tensorboardX offers no public way to see the errors of its thread
        thread = file.event_writer
        self._events = thread._ev_writer = thread._worker._record_writer = _Events(thread._ev_writer)

    def write(self, step: int, scalars: Scalars) -> None:
        """Writes a point for every name. Raises `OSError` if an earlier one could not be written."""
        self._events.check()
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """uint8 [H, W, 3] pictures."""
        for name, image in images.items():
            self._writer.add_image(name, image, step, dataformats="HWC")

    def flush(self) -> None:
        """Writes everything to the folder."""
        self._writer.flush()
        self._events.check()
        for file in sorted(self._local.iterdir()) if self._temporary else ():
            (self._folder / file.name).write_bytes(file.read_bytes())

    def close(self) -> None:
        """Writes everything and removes the temporary folder."""
        self._writer.close()
        self.flush()
        if self._temporary:
            self._temporary.cleanup()


def write_previews(folder: epath.Path, step: int, images: Mapping[str, np.ndarray]) -> None:
    """Writes NAME_STEP.png into the folder `previews`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_whole(folder / f"{name.replace('/', '_')}_{step:07d}.png", png.tobytes())


@dataclasses.dataclass(frozen=True)
class Writers:
    """All outputs of a run. Every process but the first has no outputs, and writes nothing."""

    workdir: epath.Path
    lines: JsonLines | None = None
    board: TensorBoard | None = None

    def write(self, step: int, scalars: Scalars) -> None:
        """Writes scalars of one step. Can be called several times for a step; steps must not decrease."""
        if self.lines and self.board:
            self.lines.write(step, scalars)
            self.board.write(step, scalars)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes uint8 [H, W, 3] pictures to TensorBoard and as PNG."""
        if self.board:
            self.board.write_images(step, images)
            write_previews(self.workdir / "previews", step, images)

    def flush(self) -> None:
        """Writes everything to the workdir."""
        if self.lines and self.board:
            self.lines.flush()
            self.board.flush()

    def close(self) -> None:
        """Writes everything and closes the outputs."""
        if self.lines and self.board:
            self.lines.flush()
            self.board.close()


@contextlib.contextmanager
def opened_writers(workdir: epath.Path, last_step: int, writes: bool) -> Iterator[Writers]:
    """Writers that continue after `last_step` (0: a new run), closed at the end. Without `writes`, they write nothing."""
    if not writes:
        yield Writers(workdir)
        return
    lines = JsonLines(workdir / FILE, last_step)
    writers = Writers(workdir, lines, TensorBoard(workdir / "tensorboard", last_step))
    try:
        yield writers
    finally:
        writers.close()
