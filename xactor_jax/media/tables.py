"""Reads text and tables as common programs write them: UTF-8 or UTF-16, any line ends, commas, semicolons or tabs."""

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
"""Byte order mark at the start of a file → its encoding."""


def read_text(path: epath.PathLike, what: str) -> str:
    """The text of a file, without its byte order mark. Without a mark it is taken for UTF-8.

    Raises:
        UserError: there is no such file, it is empty, or it is no such text; `what` names it in the message.
    """
    data = require_file(path, what).read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise UserError(f"the {what} {path} is no text in UTF-8 (row {row}): save it as UTF-8.") from None


class Row(NamedTuple):
    """A row of a table: its line number, as editors count, and its cells by column."""

    number: int
    cells: dict[str, str]


def read_table(path: epath.PathLike, what: str, columns: Sequence[str]) -> list[Row]:
    """The rows of a csv. Its first row names the columns, in any order, in upper or lower case.

    Raises:
        UserError: as `read_text`; a column is missing, there is no row, or a row is too short or too long.
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
    """Rows that are not blank. Missing cells at the end of a row are empty, unless `columns` needs them."""
    needed = max((header.index(name) + 1 for name in columns if name in header), default=0)
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) < needed or any(cells[len(header) :]):
            counts = f"has {len(cells)} cells, not {len(header)}"
            raise UserError(f'{path}, row {reader.line_num}, {counts}: write {",".join(header)}, names with a comma in "".')
        yield Row(reader.line_num, dict(zip(header, cells + [""] * len(header), strict=False)))


def plain(file: str) -> str:
    """A file name in the form used for comparison: composed characters, / between folders, suffix in lower case."""
    path = pathlib.PurePosixPath(unicodedata.normalize("NFC", file.replace("\\", "/")))
    return str(path.parent / f"{path.stem}{path.suffix.lower()}")
