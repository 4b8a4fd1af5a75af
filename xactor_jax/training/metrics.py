"""Numbers and pictures of a run: averaged between log points, written to TensorBoard and to metrics.jsonl.

On gs:// neither kind of file can be appended to. Both are then kept in a local temporary folder and copied whole to the
workdir at every flush; the loop flushes before each checkpoint, so what a crash loses is what a resumed run would drop.
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
    """Scalars from the devices; waits until they are computed."""
    return {name: float(value) for name, value in jax.device_get(dict(values)).items()}


def accumulate(averages: Averages, values: Scalars) -> dict[str, clu_metrics.Average]:
    """The running averages with one more step's values."""
    one = {k: clu_metrics.Average(total=np.float64(v), count=np.int64(1)) for k, v in values.items()}
    return {**averages, **{k: averages[k].merge(v) if k in averages else v for k, v in one.items()}}


def compute(averages: Averages, prefix: str = "") -> dict[str, float]:
    """Name → mean."""
    return {f"{prefix}{name}": float(average.compute()) for name, average in averages.items()}


def read_lines(path: epath.Path) -> list[str]:
    """Lines of a metrics.jsonl, none where there is no file; a line with bytes that are no text is dropped."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    texts = (line.decode(errors="replace") for line in lines)
    return [text for text in texts if text and "\ufffd" not in text]


def keep_lines(lines: Sequence[str], last_step: int) -> list[str]:
    """Those up to and including `last_step`; a line broken off by a crash is dropped."""
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return kept


class JsonLines:
    """metrics.jsonl: one object a step, each step once, in order. Scalars of one step are gathered into one line."""

    def __init__(self, path: epath.Path, last_step: int) -> None:
        self._path = path
        self._lines = keep_lines(read_lines(path), last_step)
        self._step, self._scalars = -1, {}
        write_whole(path, self._text())

    def _text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def write(self, step: int, scalars: Scalars) -> None:
        """Adds to the line of `step`; the line of an earlier step is complete then."""
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
        """Everything given so far is in the file."""
        self._close_line()
        if is_remote(self._path):
            write_whole(self._path, self._text())


class _Events:
    """What writes an event file for the thread of `SummaryWriter`, which errors would end; the run would wait for ever then."""

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
        """Raises what went wrong."""
        if self.failure:
            raise self.failure


class TensorBoard:
    """Event files in a folder `tensorboard`, read by TensorBoard from there; a resumed run purges the steps after its start."""

    def __init__(self, folder: epath.Path, last_step: int) -> None:
        self._folder = folder
        self._temporary = tempfile.TemporaryDirectory() if is_remote(folder) else None
        self._local = pathlib.Path(self._temporary.name if self._temporary else folder)
        purge, suffix = last_step + 1 if last_step else None, f".from{last_step:07d}"
        self._writer = SummaryWriter(str(self._local), purge_step=purge, filename_suffix=suffix, flush_secs=10)
        thread = self._writer.file_writer.event_writer
        self._events = thread._ev_writer = thread._worker._record_writer = _Events(thread._ev_writer)

    def write(self, step: int, scalars: Scalars) -> None:
        """One point on the curve of every name. Raises `OSError` where an earlier one could not be written."""
        self._events.check()
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """uint8 [H, W, 3] pictures."""
        for name, image in images.items():
            self._writer.add_image(name, image, step, dataformats="HWC")

    def flush(self) -> None:
        """Everything given so far is in the folder."""
        self._writer.flush()
        self._events.check()
        for file in sorted(self._local.iterdir()) if self._temporary else ():
            (self._folder / file.name).write_bytes(file.read_bytes())

    def close(self) -> None:
        """Writes what is left and frees the temporary folder."""
        self._writer.close()
        self.flush()
        if self._temporary:
            self._temporary.cleanup()


def write_previews(folder: epath.Path, step: int, images: Mapping[str, np.ndarray]) -> None:
    """NAME_STEP.png in the folder `previews`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_whole(folder / f"{name.replace('/', '_')}_{step:07d}.png", png.tobytes())


@dataclasses.dataclass(frozen=True)
class Writers:
    """All outputs of a run; with no outputs (every process but the first) writing does nothing."""

    workdir: epath.Path
    lines: JsonLines | None = None
    board: TensorBoard | None = None

    def write(self, step: int, scalars: Scalars) -> None:
        """Scalars of one step, as many times as wanted; steps never decrease."""
        if self.lines and self.board:
            self.lines.write(step, scalars)
            self.board.write(step, scalars)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """uint8 [H, W, 3] pictures, to TensorBoard and as PNG."""
        if self.board:
            self.board.write_images(step, images)
            write_previews(self.workdir / "previews", step, images)

    def flush(self) -> None:
        """Everything given so far is in the workdir."""
        if self.lines and self.board:
            self.lines.flush()
            self.board.flush()

    def close(self) -> None:
        """The same, for good."""
        if self.lines and self.board:
            self.lines.flush()
            self.board.close()


@contextlib.contextmanager
def opened_writers(workdir: epath.Path, last_step: int, writes: bool) -> Iterator[Writers]:
    """Writers that go on after `last_step` (0: a fresh run), closed at the end; silent ones unless `writes`."""
    if not writes:
        yield Writers(workdir)
        return
    lines = JsonLines(workdir / FILE, last_step)
    writers = Writers(workdir, lines, TensorBoard(workdir / "tensorboard", last_step))
    try:
        yield writers
    finally:
        writers.close()
