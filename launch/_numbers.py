"""Numbers on the command lines of the programs here, checked before the work."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from xactor_jax.settings import Range, check_value


def check_numbers(arguments: argparse.Namespace, allowed: Mapping[str, Range]) -> None:
    """Raises `UserError` for the first option outside its range; options that were left out are None."""
    for name, values in allowed.items():
        if (value := getattr(arguments, name)) is not None:
            check_value(f"--{name}", value, values)
