"""Output of the benchmarks: tables for people, and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from xactor_jax.markdown import markdown as table_of
from xactor_jax.unfinished import write_whole


def _text(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a table with a column for every name that occurs in a row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_text(row.get(name, "")) for name in columns))
    Console(width=128).print(table)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same table in Markdown."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return table_of(columns, [[_text(row.get(name, "")) for name in columns] for row in rows])


def write(path: str, values: Any) -> None:
    """Writes JSON, if a path is given."""
    if path:
        write_whole(path, json.dumps(values, indent=2) + "\n")
