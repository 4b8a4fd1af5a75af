"""What the names of files, or a table, say of the videos of a folder: whose they are, and what is felt in them."""

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
    """Says of a file's path inside the tree who is seen in it, or what is felt; None where it does not know."""

    say: Callable[[str], Any]
    looks_at: Callable[[str], str] = lambda relative: relative
    """The part of a path that it goes by."""
    unused: Callable[[Sequence[str]], list[str]] = lambda files: []
    """Files that a table names and that are not among these."""

    def __call__(self, relative: str) -> Any:
        return self.say(relative)


def file_name(relative: str) -> str:
    """Without its folders."""
    return pathlib.PurePosixPath(relative).name


def folder_name(relative: str) -> str:
    """Of the folder that a file is in; empty at the top of the tree."""
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
"""Names of emotions in the files of published recordings, such as MEAD's and CREMA-D's, beside our own."""


def person_namer(text: str) -> Namer:
    """Persons by `text`: a csv with the columns file and person, folder, name, or name:REGEX or path:REGEX, whose first group
    is the person.

    Raises:
        UserError: the csv lacks its columns, or the regular expression is none.
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
    """Emotions by `text`: a csv with the columns file and emotion, or path:REGEX, whose first group is one; empty: none.

    The csv's emotions are tracks in seconds of the video (`xactor_jax.emotion`), as `happy@0.6` or `happy:0-20,sad:20-`; those
    of a path are names of ours or of `ALIASES`. What is not named is unknown.

    Raises:
        UserError: as `person_namer`; and when it is called, an emotion is none.
    """
    kind, _, pattern = text.partition(":")
    if not text:
        return Namer(lambda relative: EmotionTrack())
    if kind == "path" and pattern:
        named = _matcher(pattern, "--emotions path:")
        return Namer(lambda relative: track_of(relative, ours(named(relative))))
    if text.lower().endswith(".csv"):
        table = _table(text, "emotion")
        return dataclasses.replace(table, say=lambda relative: track_of(relative, table(relative)))
    raise UserError(f"--emotions {text!r} is not possible: give a csv file or path:REGEX.")


def ours(name: str | None) -> str | None:
    """Our name of an emotion; one that we do not know stays as it is."""
    names = {alias: ours for ours in EMOTIONS for alias in (ours, *ALIASES[ours])}
    return name and names.get(name.lower(), name)


def track_of(relative: str, text: str | None) -> EmotionTrack:
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
    """Rows are found by the path inside the tree, else by the name of the file where that is unique in the table."""
    rows = read_table(text, f"csv of {column}s", ("file", column))
    said = _said(text, rows, column)
    names: dict[str, list[str]] = {}
    for file in said:
        names.setdefault(file_name(file), []).append(file)

    def row_of(relative: str) -> str | None:
        """The file of the table that stands for a file of the tree."""
        file = plain(relative)
        alike = names.get(file_name(file), [])
        return file if file in said else alike[0] if len(alike) == 1 else None

    def unused(files: Sequence[str]) -> list[str]:
        used = {row_of(file) for file in files}
        return [row.cells["file"] for row in rows if plain(row.cells["file"]) not in used]

    return Namer(lambda relative: said.get(row_of(relative) or "") or None, lambda file: row_of(file) or file, unused)


def _said(text: str, rows: Sequence[Row], column: str) -> dict[str, str]:
    """File → what the table says of it. Raises `UserError` for rows without a file, and for two that say different things."""
    said: dict[str, str] = {}
    for row in rows:
        file = plain(row.cells["file"].strip())
        if file == ".":
            raise UserError(f"{text}, row {row.number}, names no file: fill in the column file.")
        if said.setdefault(file, value := row.cells[column].strip()) != value:
            raise UserError(f"{text}, row {row.number}: another {column} of {file} than in a row above; keep one of them.")
    return said


def alike(namer: Namer, files: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of files in different folders that the namer cannot tell apart, for it goes by a part of their paths alone."""
    first: dict[str, str] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for file in files:
        part = namer.looks_at(file)
        other = first.setdefault(part, file)
        if pathlib.PurePosixPath(other).parent != pathlib.PurePosixPath(file).parent:
            pairs.setdefault(part, (other, file))
    return list(pairs.values())
