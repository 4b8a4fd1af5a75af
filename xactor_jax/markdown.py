"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a | in a cell stays a part of the cell."""
    line = lambda cells: f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    return "\n".join([line(head), "|---" * len(head) + "|", *map(line, rows)])
