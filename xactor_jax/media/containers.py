"""Opening containers with PyAV, from disk or from gs://, and the origin of their time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.paths import absolute, is_remote

LONGEST_GAP = 600.0
"""Seconds in which a file may show or play nothing; time stamps that jump further are taken for damaged ones."""


def require_file(path: epath.PathLike, what: str) -> epath.Path:
    """The path, if a file that is not empty lies there; a `UserError` naming `what` otherwise."""
    path = epath.Path(path)
    try:
        if not path.exists() or path.is_dir():
            raise UserError(f"there is no {what} at {path}: check the path.")
        if path.stat().length == 0:
            raise UserError(f"the {what} {path} is empty (0 bytes): give another file.")
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read ({error}): check the path and its permissions.") from error
    return path


@contextlib.contextmanager
def open_container(path: epath.PathLike, what: str) -> Iterator[InputContainer]:
    """An open PyAV container; what FFmpeg cannot make sense of ends in a `UserError` naming `what`."""
    path = require_file(path, what)
    try:
        with contextlib.ExitStack() as stack:
            # FFmpeg takes what stands before a colon for a protocol, unless a / is before it.
            source = stack.enter_context(path.open("rb")) if is_remote(path) else str(absolute(path))
            yield stack.enter_context(av.open(source, metadata_errors="replace"))  # tags of any encoding
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"the {what} {path} cannot be read ({error}): it is damaged or of an unknown format.") from error


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first moving picture; cover art of sound files does not count."""
    moving = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
    return next(moving, None)


def video_origin(container: InputContainer) -> float | None:
    """Time stamp, in seconds, at which the picture begins: time 0 of everything read from this container."""
    stream = video_stream(container)
    if stream is None:
        return None
    return float((stream.start_time or 0) * stream.time_base)


def check_gap(path: epath.PathLike, seconds: float) -> None:
    """Raises `UserError` for a gap that no recording has: a few damaged bytes would make hours of it."""
    if seconds > LONGEST_GAP:
        raise UserError(f"the time stamps of {path} jump by {seconds:.0f} s: it is damaged; convert it to another file first.")
