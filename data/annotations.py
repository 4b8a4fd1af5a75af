"""Persons and emotions of the files of a tree of videos, as the user gives them, and warnings about likely mistakes."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data.layouts import layout_of, read_info
from data.naming import Namer, ambiguous_pairs, emotion_namer, person_namer, track_of
from data.sources import Source, roots_of
from xactor_jax.errors import UserError

Warn = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The options that give persons and emotions; see `PrepareSettings`."""

    videos: tuple[str, ...]
    layout: str = ""
    persons: str = ""
    emotions: str = ""

    @property
    def option(self) -> str:
        """The option that gives the persons."""
        return f"--layout {self.layout}" if self.layout and not self.persons else f"--persons {self.persons or 'name'}"

    @property
    def expected(self) -> str:
        """What to do where that option names nobody."""
        if self.layout and not self.persons:
            return f"its clips are called as {layout_of(self.layout).example}, so choose another layout or --persons"
        return "correct it"


class Annotations(NamedTuple):
    """Person and emotion of the files, by path inside the tree."""

    person: Mapping[str, str | None]
    emotion: Mapping[str, str]


def annotate(sources: Sequence[Source], rules: Rules, warn: Warn) -> Annotations:
    """Person and emotion of every file. Calls `warn` for likely mistakes: rows that match no file, files with the same name.

    Raises:
        UserError: as the namers of `data.naming`; or the options name no person, or no emotion, of any video.
    """
    paths = {source.relative: source.path for source in sources}
    videos = [source.relative for source in sources if source.is_video]
    person, emotion = namers(rules, paths)
    persons = {file: _composed(person(file)) for file in paths}
    emotions = {file: str(emotion(file)) for file in paths}
    if not any(persons[file] for file in videos):
        raise UserError(f"{rules.option} names nobody in {len(videos)} videos, such as {videos[0]}: {rules.expected}.")
    if rules.emotions and not any(emotions[file] for file in videos):
        raise UserError(f"--emotions {rules.emotions} names none of {len(videos)} videos, such as {videos[0]}: correct it.")
    for option, table, namer in (("persons", rules.persons, person), ("emotions", rules.emotions, emotion)):
        if unused := namer.unused(videos):
            named = ", ".join(unused[:3]) + (" …" if len(unused) > 3 else "")
            warn(f"--{option} {table}: {len(unused)} of its rows match no video: {named}")
    if pairs := ambiguous_pairs(person, [file for file in videos if persons[file]]):
        warn(_confused(pairs))
    return Annotations(persons, emotions)


def _confused(pairs: Sequence[tuple[str, str]]) -> str:
    """The warning about files in different folders that get the same person."""
    first, second = pairs[0]
    more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
    names = f"{first} and {second} have one name and are taken for one person{more}"
    return f"{names}: where the folders tell people apart, give --persons path:REGEX or --layout"


def namers(rules: Rules, paths: Mapping[str, str]) -> tuple[Namer, Namer]:
    """The namers of persons and emotions, by path inside the tree. Explicit options take precedence over the layout."""
    person, emotion = person_namer(rules.persons or "name"), emotion_namer(rules.emotions)
    if not rules.layout:
        return person, emotion
    layout = layout_of(rules.layout)
    if not rules.persons:
        person = Namer(lambda file: layout.person(paths[file]))
    if not rules.emotions:
        info = read_info(layout, list(paths.values()), list(roots_of(rules.videos)))
        emotion = Namer(lambda file: track_of(file, layout.emotion(paths[file], info)))
    return person, emotion


def _composed(person: str | None) -> str | None:
    """The name in Unicode normal form C, since file systems store accents differently."""
    return person and unicodedata.normalize("NFC", person)
