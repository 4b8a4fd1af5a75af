"""Files of whole recordings, made for clients of a live server: one at a time, beside sessions, by the code of sample.py."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
import pathlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from xactor_jax.errors import UserError, first_line
from xactor_jax.live.engine import Busy, Unknown
from xactor_jax.live.limits import Limits
from xactor_jax.sampling.api import Pipeline
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import make_settings, split_options
from xactor_jax.settings import check_value, whole
from xactor_jax.timing import FRAME_RATE

log = logging.getLogger(__name__)

STEPS = whole(0, 100)
"""Denoising steps that a client may choose: a file must not hold up the sessions for long."""

FILES = ("talking.mp4", "talking.json")


class Stopped(Exception):
    """Nobody waits for the file any more."""


@dataclasses.dataclass
class Render:
    """One file, and how far it is."""

    name: str
    folder: pathlib.Path
    state: str = "waiting"  # then running, then done or failed
    written: int = 0
    frames: int = 0
    error: str = ""
    stopped: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.state in ("done", "failed")

    def described(self) -> dict[str, Any]:
        """What clients get as the state of the work."""
        facts = {"id": self.name, "state": self.state, "written": self.written, "frames": self.frames}
        return {**facts, "error": self.error, "synthetic": True}


class Renders:
    """The files of one server, at most as many as sessions. The oldest finished one makes room for a new one."""

    def __init__(self, models: Models, limits: Limits, detector: str):
        self.models, self.limits, self.detector = models, limits, detector
        self._renders: dict[str, Render] = {}
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="xactor_jax.renders."))
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "renders")
        self._changing = threading.Lock()

    def add(self, portrait: bytes, voice: bytes, choices: Mapping[str, Any], options: Mapping[str, Any]) -> Render:
        """Starts a file as soon as those before it are done.

        Args:
            choices: Arguments of `Pipeline.__call__`, without the inputs.
            options: Settings, with the names of `Pipeline.load`.

        Raises:
            UserError: a setting is not possible. All else is in `Render.error` later.
            Busy: all places are taken.
        """
        for name in {"steps", "actor_steps"} & set(options):
            check_value(name, options[name], STEPS)
        pipeline = Pipeline(self.models, make_settings(self.models, *split_options(options)))
        render = self._placed()
        for name, data in (("portrait", portrait), ("voice", voice)):
            (render.folder / name).write_bytes(data)
        self._worker.submit(self._make, render, pipeline, dict(choices))
        return render

    def find(self, name: str) -> Render:
        """The file of a name. Raises `Unknown`."""
        if (render := self._renders.get(name)) is None:
            raise Unknown(f"there is no file {name[:40]}: make one with POST /renders.")
        return render

    def file(self, name: str, part: str) -> pathlib.Path:
        """The path of the video or of its record. Raises `Unknown` where it is not done."""
        if (render := self.find(name)).state != "done" or part not in FILES:
            raise Unknown(f"the file {part[:40]} is not there: ask for {' or '.join(FILES)} when the state is done.")
        return render.folder / part

    def remove(self, name: str) -> None:
        """Forgets a file; stops it if it is being made. Raises `Unknown`."""
        render = self.find(name)
        render.stopped = True
        self._renders.pop(name, None)
        if render.over:
            shutil.rmtree(render.folder, ignore_errors=True)

    def stop(self) -> None:
        """Ends the work and removes all files."""
        for render in self._renders.values():
            render.stopped = True
        self._worker.shutdown(cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _placed(self) -> Render:
        with self._changing:
            for old in [render.name for render in self._renders.values() if render.over]:
                if len(self._renders) >= self.limits.sessions:
                    self.remove(old)
            if len(self._renders) >= self.limits.sessions:
                raise Busy(f"{self.limits.sessions} files are being made: try again later.")
            name = secrets.token_hex(16)
            render = self._renders[name] = Render(name, self._folder / name)
        render.folder.mkdir()
        return render

    def _make(self, render: Render, pipeline: Pipeline, choices: dict[str, Any]) -> None:
        """Makes the file, and notes the sentence of an error."""
        try:
            self._save(render, pipeline, choices)
            render.state = "done"
        except Exception as error:
            if not isinstance(error, UserError | Stopped):
                log.error("file %s failed", render.name, exc_info=error)
            said = str(error) if isinstance(error, UserError) else f"the file failed ({first_line(error)})"
            render.error = said.replace(f"{render.folder}/", "")
            render.state = "failed"
        if render.stopped:
            shutil.rmtree(render.folder, ignore_errors=True)

    def _save(self, render: Render, pipeline: Pipeline, choices: dict[str, Any]) -> None:
        def progress(written: int, frames: int) -> None:
            render.written = written
            if render.stopped:
                raise Stopped

        progress(0, 0)
        render.state, image, audio = "running", render.folder / "portrait", render.folder / "voice"
        video = pipeline(image, audio, detector=self.detector, **choices)
        if len(video) > self.limits.seconds * FRAME_RATE:
            raise UserError(f"the voice lasts longer than {self.limits.seconds:g} seconds: give a shorter one.")
        render.frames = len(video)
        video.save(render.folder / FILES[0], progress=progress)
