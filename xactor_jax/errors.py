"""Errors that a person can cause, and how a program ends on them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can put right. The message is one sentence: what is wrong and what to do."""


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with the message on stderr and status 2, without a traceback, on a `UserError`.

    Of the message the first line alone: Grain adds lines of its own to what is raised inside it.
    """
    try:
        yield
    except UserError as error:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
