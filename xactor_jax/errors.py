"""Errors that a person can cause, and how a program ends on them."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator


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


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with the message on stderr and status 2, without a traceback, on what `user_error_of` knows.

    Of the message the first line alone: Grain adds lines of its own to what is raised inside it.
    """
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it tells of an error at length, and then raises it
    try:
        yield
    except Exception as error:
        if (told := user_error_of(error)) is None:
            raise
        print(f"error: {str(told).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
