"""Opens media containers with PyAV, from disk or from gs://, and gives the origin of their time."""

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

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp", ".ogv"),
)
"""Suffixes of video files, in small letters."""

LONGEST_GAP = 600.0
"""Longest gap in a file, seconds. A larger jump of time stamps is taken for damage."""


def require_file(path: epath.PathLike, what: str) -> epath.Path:
    """The path of an existing file that is not empty; otherwise raises a `UserError` that names `what`."""
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
    """An open PyAV container. A file that FFmpeg cannot read ends in a `UserError` that names `what`."""
    path = require_file(path, what)
    try:
        with contextlib.ExitStack() as stack:
            # FFmpeg takes text before a colon for a protocol, unless there is a / before it; so the path is absolute.
            source = stack.enter_context(path.open("rb")) if is_remote(path) else str(absolute(path))
            yield stack.enter_context(av.open(source, metadata_errors="replace"))  # tags may have any encoding
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"the {what} {path} cannot be read ({error}): it is damaged or of an unknown format.") from error


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; None where there is none. Cover art of sound files does not count."""
    moving = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
    return next(moving, None)


def video_origin(container: InputContainer) -> float | None:
    """Time stamp of the first picture in seconds: time 0 of everything read from this container. None without pictures."""
    stream = video_stream(container)
    if stream is None:
        return None
    return float((stream.start_time or 0) * stream.time_base)


def check_gap(path: epath.PathLike, seconds: float) -> None:
    """Raises `UserError` for a gap longer than any in a real recording: a few damaged bytes would become hours of silence."""
    if seconds > LONGEST_GAP:
        raise UserError(f"the time stamps of {path} jump by {seconds:.0f} s: it is damaged; convert it to another file first.")
