"""Person and emotion of each video, taken from its file name or from a table that the user gives."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from xactor_jax.emotion import EmotionTrack, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS
from xactor_jax.media.tables import Row, plain, read_table


@dataclasses.dataclass(frozen=True)
class Namer:
    """Maps a file's path inside the tree to its person or its emotion; None where there is no entry."""

    value_of: Callable[[str], Any]
    key_of: Callable[[str], str] = lambda relative: relative
    """The part of a path that decides."""
    unused: Callable[[Sequence[str]], list[str]] = lambda files: []
    """Rows of the table that match none of these files."""

    def __call__(self, relative: str) -> Any:
        return self.value_of(relative)


def file_name(relative: str) -> str:
    """The name of a file without its folders."""
    return pathlib.PurePosixPath(relative).name


def folder_name(relative: str) -> str:
    """The name of the folder that a file is in; empty at the top of the tree."""
    return pathlib.PurePosixPath(relative).parent.name


ALIASES = {
    "neutral": ("neu", "calm"),
    "happy": ("hap", "happiness", "joy"),
    "sad": ("sadness",),
    "angry": ("ang", "anger"),
    "surprised": ("sur", "surprise"),
    "afraid": ("fea", "fear", "fearful"),
    "disgusted": ("dis", "disgust"),
    "contemptuous": ("con", "contempt"),
}
"""Our name of an emotion → its names in the files of published data sets, such as MEAD and CREMA-D."""


def person_namer(text: str) -> Namer:
    """The namer of persons. `text` is a csv file with the columns file and person, or folder, name, name:REGEX or path:REGEX;
    the first group of REGEX is the person.

    Raises:
        UserError: the csv lacks a column, or the regular expression is invalid.
    """
    kind, _, pattern = text.partition(":")
    if text == "folder":
        return Namer(lambda relative: folder_name(relative) or None, folder_name)
    if kind == "name":
        matcher = _matcher(pattern or r"(.+)\.[^.]*$", "--persons name:")
        person = lambda relative: matcher(file_name(relative))
        return Namer(person, file_name if pattern else person)
    if kind == "path" and pattern:
        return Namer(_matcher(pattern, "--persons path:"))
    if text.lower().endswith(".csv"):
        return _table(text, "person")
    raise UserError(f"--persons {text!r} is not possible: give a csv file, folder, name, name:REGEX or path:REGEX.")


def emotion_namer(text: str) -> Namer:
    """The namer of emotions. `text` is a csv file with the columns file and emotion, or path:REGEX; empty: no emotions.

    The csv's emotions are tracks in seconds of the video (`xactor_jax.emotion`), as `happy@0.6` or `happy:0-20,sad:20-`. The
    first group of REGEX is one of our names or of `ALIASES`. The emotion of a file without an entry is unknown.

    Raises:
        UserError: as `person_namer`; and on a call, the text is no emotion.
    """
    kind, _, pattern = text.partition(":")
    if not text:
        return Namer(lambda relative: EmotionTrack())
    if kind == "path" and pattern:
        named = _matcher(pattern, "--emotions path:")
        return Namer(lambda relative: track_of(relative, standard_name(named(relative))))
    if text.lower().endswith(".csv"):
        table = _table(text, "emotion")
        return dataclasses.replace(table, value_of=lambda relative: track_of(relative, table(relative)))
    raise UserError(f"--emotions {text!r} is not possible: give a csv file or path:REGEX.")


def standard_name(name: str | None) -> str | None:
    """Our name of an emotion; an unknown name is returned unchanged."""
    names = {alias: standard for standard in EMOTIONS for alias in (standard, *ALIASES[standard])}
    return name and names.get(name.lower(), name)


def track_of(relative: str, text: str | None) -> EmotionTrack:
    """Parses the emotion of a file. Raises `UserError` with the file's name where that is not possible."""
    try:
        return parse_emotion(text or "")
    except UserError as error:
        raise UserError(f"--emotions, {relative}: {error}") from None


def _matcher(pattern: str, option: str) -> Callable[[str], str | None]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{option}{pattern} is no regular expression ({error}): correct it.") from error

    def named(text: str) -> str | None:
        match = expression.search(text)
        return match and (match.group(1) if expression.groups else match.group(0))

    return named


def _table(text: str, column: str) -> Namer:
    """Looks up the path inside the tree, else the file name where only one row of the table has it."""
    rows = read_table(text, f"csv of {column}s", ("file", column))
    entries = _entries(text, rows, column)
    names: dict[str, list[str]] = {}
    for file in entries:
        names.setdefault(file_name(file), []).append(file)

    def row_of(relative: str) -> str | None:
        """The table's spelling of a file of the tree; None where the table does not have it."""
        file = plain(relative)
        same_name = names.get(file_name(file), [])
        return file if file in entries else same_name[0] if len(same_name) == 1 else None

    def unused(files: Sequence[str]) -> list[str]:
        used = {row_of(file) for file in files}
        return [row.cells["file"] for row in rows if plain(row.cells["file"]) not in used]

    return Namer(lambda relative: entries.get(row_of(relative) or "") or None, lambda file: row_of(file) or file, unused)


def _entries(text: str, rows: Sequence[Row], column: str) -> dict[str, str]:
    """File → its value in the table. Raises `UserError` for a row without a file, and for rows that contradict each other."""
    entries: dict[str, str] = {}
    for row in rows:
        file = plain(row.cells["file"].strip())
        if file == ".":
            raise UserError(f"{text}, row {row.number}, names no file: fill in the column file.")
        if entries.setdefault(file, value := row.cells[column].strip()) != value:
            raise UserError(f"{text}, row {row.number}: another {column} of {file} than in a row above; keep one of them.")
    return entries


def ambiguous_pairs(namer: Namer, files: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of files in different folders that the namer cannot distinguish: the deciding part of their paths is equal."""
    first: dict[str, str] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for file in files:
        part = namer.key_of(file)
        other = first.setdefault(part, file)
        if pathlib.PurePosixPath(other).parent != pathlib.PurePosixPath(file).parent:
            pairs.setdefault(part, (other, file))
    return list(pairs.values())
