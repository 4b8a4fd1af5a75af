"""Text as people's programs write it: UTF-8 or UTF-16, any ends of lines, tables with commas, semicolons or tabs."""

from __future__ import annotations

import codecs
import csv
import io
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.media.containers import require_file

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""What a file begins with → its encoding."""


def read_text(path: epath.PathLike, what: str) -> str:
    """The text of a file; a byte order mark tells UTF-16 and is no part of it.

    Raises:
        UserError: there is no such file, it is empty, or it is no such text; `what` is what it should be.
    """
    data = require_file(path, what).read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise UserError(f"the {what} {path} is no text in UTF-8 (row {row}): save it as UTF-8.") from None


class Row(NamedTuple):
    """A row of a table: its number, as editors count, and its cells by column."""

    number: int
    cells: dict[str, str]


def read_table(path: epath.PathLike, what: str, columns: Sequence[str]) -> list[Row]:
    """The rows of a csv, whose first one names the columns, in any order and in large or small letters.

    Raises:
        UserError: as `read_text`; a column is missing, there is no row, or one is too short or too long.
    """
    text = read_text(path, what)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        rows = list(_rows(path, reader, header, columns))
    except csv.Error as error:
        raise UserError(f"{path}, row {reader.line_num}, cannot be read ({error}): correct it.") from None
    if not rows or not set(columns) <= set(header):
        raise UserError(f"{path} must have the columns {', '.join(columns)} and at least one row.")
    return rows


def _rows(path: epath.PathLike, reader: Iterator[list[str]], header: list[str], columns: Sequence[str]) -> Iterator[Row]:
    """Rows that are not blank; cells that are missing at their ends are empty, unless `columns` needs them."""
    needed = max((header.index(name) + 1 for name in columns if name in header), default=0)
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) < needed or any(cells[len(header) :]):
            told = f"has {len(cells)} cells, not {len(header)}"
            raise UserError(f'{path}, row {reader.line_num}, {told}: write {",".join(header)}, names with a comma in "".')
        yield Row(reader.line_num, dict(zip(header, cells + [""] * len(header), strict=False)))


def plain(file: str) -> str:
    """The name of a file as it is compared: composed characters, / between folders, its ending in small letters."""
    path = pathlib.PurePosixPath(unicodedata.normalize("NFC", file.replace("\\", "/")))
    return str(path.parent / f"{path.stem}{path.suffix.lower()}")
