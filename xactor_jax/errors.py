"""Errors that a person can cause, and how a program ends on them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator

from xactor_jax.unfinished import ended_by_sigterm

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where no more can be written: the disk, a quota or the largest file is full."""

LIBRARIES = ("absl", "asyncio")
"""Loggers of the libraries that write in threads of their own."""


class UserError(Exception):
    """Something the user can put right. The message is one sentence: what is wrong and what to do."""


STORES = ("aiohttp", "gcsfs", "google", "requests")
"""Packages through which object stores are reached: their errors say that a store cannot be reached, or what it answers."""


LONGEST_LINE = 300
"""Letters."""


def first_line(error: BaseException) -> str:
    """What an error is, in one line that is not too long; some quote what they were given."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def user_error_of(error: BaseException) -> UserError | None:
    """The error as one that a person can put right; None where it is none."""
    if isinstance(error, UserError):
        return error
    if type(error).__module__.partition(".")[0] in STORES:
        told = f"the object store does not do what it is asked ({first_line(error)})"
        return UserError(f"{told}: check the address, the network and your credentials.")
    return None


def is_full(error: BaseException | None) -> bool:
    """Whether there was no room to write, which libraries with a language of their own tell in words alone."""
    while error is not None:
        if getattr(error, "errno", None) in FULL or any(os.strerror(number) in str(error) for number in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def verdict(error: BaseException) -> tuple[int, str] | None:
    """(exit status, sentence) of an error that is told in one; None for what is an error of the program.

    Of the message the first line alone: Grain adds lines of its own to what is raised inside it.
    """
    told = lambda e: (str(e).splitlines() or [""])[0]
    if is_full(error) and not isinstance(error, UserError):
        return 1, f"error: the disk is full ({told(error)}): make room and start the same command again."
    if known := user_error_of(error):
        return (1 if is_full(error) else 2), f"error: {told(known)}"
    return None


class _ToldOnce(logging.Filter):
    """Passes over what libraries log of a full disk, with tracebacks from all their threads: the error itself comes, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not (record.levelno >= logging.ERROR and (is_full(error) or is_full(OSError(record.getMessage()))))


@contextlib.contextmanager
def _told_once() -> Iterator[None]:
    once, loggers = _ToldOnce(), [logging.getLogger(name) for name in LIBRARIES]
    for logger in loggers:
        logger.addFilter(once)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(once)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with one sentence on stderr and no traceback: status 2 on a `UserError`, 1 where the disk is full.

    Ctrl-C ends it with status 130, SIGTERM with 143; neither leaves a file half-written.
    """
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it tells of an error at length, and then raises it
    try:
        with ended_by_sigterm(), _told_once():
            yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (told := verdict(error)) is None:
            raise
        print(told[1], file=sys.stderr)
        sys.exit(told[0])
