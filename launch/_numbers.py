"""Checks of numbers on command lines, before any work starts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from xactor_jax.settings import Range, check_value


def check_numbers(arguments: argparse.Namespace, allowed: Mapping[str, Range]) -> None:
    """Raises `UserError` for the first option outside its range; options that were not given are None."""
    for name, values in allowed.items():
        if (value := getattr(arguments, name)) is not None:
            check_value(f"--{name}", value, values)
