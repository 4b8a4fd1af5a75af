"""Errors that a person can cause, and how a program ends on them."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from xactor_jax.unfinished import ended_by_sigterm

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where no more can be written: the disk, a quota or the largest file is full."""


class UserError(Exception):
    """Something the user can put right. The message is one sentence: what is wrong and what to do."""


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
    told = (str(error).splitlines() or [""])[0]
    if isinstance(error, UserError):
        return (1 if is_full(error) else 2), f"error: {told}"
    if is_full(error):
        return 1, f"error: the disk is full ({told}): make room and start the same command again."
    return None


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with one sentence on stderr and no traceback: status 2 on a `UserError`, 1 where the disk is full.

    Ctrl-C ends it with status 130, SIGTERM with 143; neither leaves a file half-written.
    """
    try:
        with ended_by_sigterm():
            yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (told := verdict(error)) is None:
            raise
        print(told[1], file=sys.stderr)
        sys.exit(told[0])
