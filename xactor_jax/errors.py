"""Errors that a user can cause, and how programs report them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator

from xactor_jax.unfinished import ended_by_sigterm

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of the system for a full disk, an exceeded quota and a file that is too large."""

LIBRARIES = ("absl", "asyncio")
"""Loggers of the libraries that write files in their own threads."""


class UserError(Exception):
    """An error that the user can fix. The message is one sentence that says what is wrong and what to do."""


STORES = ("aiohttp", "gcsfs", "google", "requests")
"""Packages that access object stores. Their errors mean that a store cannot be reached or refuses a request."""


LONGEST_LINE = 300
"""In characters."""


def first_line(error: BaseException) -> str:
    """Class and message of an error in one line. The line is shortened because some messages quote their whole input."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def user_error_of(error: BaseException) -> UserError | None:
    """The error as a `UserError`; None if the user cannot fix it."""
    if isinstance(error, UserError):
        return error
    if type(error).__module__.partition(".")[0] in STORES:
        problem = f"the object store refuses the request or cannot be reached ({first_line(error)})"
        return UserError(f"{problem}: check the address, the network and your credentials.")
    return None


def is_full(error: BaseException | None) -> bool:
    """Whether the disk was full. Native libraries report it only in the text of their message, so that is searched too."""
    while error is not None:
        if getattr(error, "errno", None) in FULL or any(os.strerror(number) in str(error) for number in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def verdict(error: BaseException) -> tuple[int, str] | None:
    """(exit status, sentence) for an error that is reported in one sentence; None for an error of the program itself.

    The sentence is the first line of the message, because Grain appends lines to errors that are raised inside it.
    """
    message = lambda e: (str(e).splitlines() or [""])[0]
    if is_full(error) and not isinstance(error, UserError):
        return 1, f"error: the disk is full ({message(error)}): make room and start the same command again."
    if known := user_error_of(error):
        return (1 if is_full(error) else 2), f"error: {message(known)}"
    return None


class _ReportedOnce(logging.Filter):
    """Drops log records about a full disk. Libraries log them with a traceback from every thread, and then also raise."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.levelno >= logging.ERROR and (is_full(error) or is_full(OSError(record.getMessage()))))


@contextlib.contextmanager
def _reported_once() -> Iterator[None]:
    once, loggers = _ReportedOnce(), [logging.getLogger(name) for name in LIBRARIES]
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with one sentence on stderr and no traceback: status 2 on a `UserError`, 1 if the disk is full.

    Ctrl-C ends it with status 130, SIGTERM with 143. Neither leaves a half-written file.
    """
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs an error at length and then raises it as well
    try:
        with ended_by_sigterm(), _reported_once():
            yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (reported := verdict(error)) is None:
            raise
        print(reported[1], file=sys.stderr)
        sys.exit(reported[0])
