"""What the names of files, or a table, say of the videos of a folder: whose they are, and what is felt in them."""

from __future__ import annotations

import csv
import io
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Mapping

from etils import epath

from xactor_jax.emotion import EmotionTrack, parse_emotion
from xactor_jax.errors import UserError
from xactor_jax.labels import EMOTIONS

Named = Callable[[str], str | None]
"""A file's path inside the tree → what is said of it, or None where nothing is."""

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


def person_namer(text: str) -> Named:
    """Persons by `text`: a csv with the columns file and person, folder, name, or name:REGEX, whose first group is the person.

    Raises:
        UserError: the csv lacks its columns, or the regular expression is none.
    """
    kind, _, pattern = text.partition(":")
    if text == "folder":
        return lambda relative: pathlib.PurePosixPath(relative).parent.name or None
    if kind == "name":
        matcher = _matcher(pattern or r"(.+)\.[^.]*$", "--persons name:")
        return lambda relative: matcher(pathlib.PurePosixPath(relative).name)
    if text.endswith(".csv"):
        return _table(text, "person")
    raise UserError(f"--persons {text!r} is not possible: give a csv file, folder, name or name:REGEX.")


def emotion_namer(text: str) -> Callable[[str], EmotionTrack]:
    """Emotions by `text`: a csv with the columns file and emotion, or path:REGEX, whose first group is one; empty: none.

    The csv's emotions are tracks in seconds of the video (`xactor_jax.emotion`), as `happy@0.6` or `happy:0-20,sad:20-`; those
    of a path are names of ours or of `ALIASES`. What is not named is unknown.

    Raises:
        UserError: as `person_namer`; and when the function is called, an emotion is none.
    """
    kind, _, pattern = text.partition(":")
    if not text:
        return lambda relative: EmotionTrack()
    if kind == "path" and pattern:
        named = _matcher(pattern, "--emotions path:")
        return lambda relative: _track(relative, _ours(named(relative)))
    if text.endswith(".csv"):
        named = _table(text, "emotion")
        return lambda relative: _track(relative, named(relative))
    raise UserError(f"--emotions {text!r} is not possible: give a csv file or path:REGEX.")


def _ours(name: str | None) -> str | None:
    """Our name of an emotion; one that we do not know stays as it is."""
    names = {alias: ours for ours in EMOTIONS for alias in (ours, *ALIASES[ours])}
    return name and names.get(name.lower(), name)


def _track(relative: str, text: str | None) -> EmotionTrack:
    try:
        return parse_emotion(text or "")
    except UserError as error:
        raise UserError(f"--emotions, {relative}: {error}") from None


def _matcher(pattern: str, option: str) -> Named:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{option}{pattern} is no regular expression ({error}): correct it.") from error

    def named(text: str) -> str | None:
        match = expression.search(text)
        return match and (match.group(1) if expression.groups else match.group(0))

    return named


def _table(text: str, column: str) -> Named:
    """Rows are found by the path inside the tree, else by the name of the file where that is unique."""
    path = epath.Path(text)
    if not path.exists():
        raise UserError(f"there is no csv of {column}s at {path}: check the path.")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    if not rows or not {"file", column} <= set(rows[0]):
        raise UserError(f"{path} must have the columns file and {column} and at least one row.")
    return _looked_up({row["file"]: row[column] for row in rows})


def _looked_up(told: Mapping[str, str]) -> Named:
    names = Counter(pathlib.PurePosixPath(file).name for file in told)
    by_name = {pathlib.PurePosixPath(file).name: said for file, said in told.items()}

    def named(relative: str) -> str | None:
        name = pathlib.PurePosixPath(relative).name
        return told.get(relative) or (by_name[name] if names[name] == 1 else None) or None

    return named
