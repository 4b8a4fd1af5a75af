"""What is said of the files of a tree of videos: whose they are and what is felt in them, and what may be a slip in that."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data.layouts import layout_of, read_info
from data.naming import Namer, alike, emotion_namer, person_namer, track_of
from data.sources import Source, roots_of
from xactor_jax.errors import UserError

Warn = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """By what persons and emotions are known; see `PrepareSettings`."""

    videos: tuple[str, ...]
    layout: str = ""
    persons: str = ""
    emotions: str = ""

    @property
    def asked(self) -> str:
        """The option that says who is seen."""
        return f"--layout {self.layout}" if self.layout and not self.persons else f"--persons {self.persons or 'name'}"

    @property
    def expected(self) -> str:
        """What to do where that names nobody."""
        if self.layout and not self.persons:
            return f"its clips are called as {layout_of(self.layout).example}, so choose another layout or --persons"
        return "correct it"


class Told(NamedTuple):
    """What is said of the files, by path inside the tree."""

    person: Mapping[str, str | None]
    emotion: Mapping[str, str]


def told_of(sources: Sequence[Source], rules: Rules, warn: Warn) -> Told:
    """Tells `warn` of what may be a slip: rows that match no file, files that are not told apart.

    Raises:
        UserError: as the namers of `data.naming`, or one of them knows none of the videos.
    """
    paths = {source.relative: source.path for source in sources}
    videos = [source.relative for source in sources if source.is_video]
    person, emotion = namers(rules, paths)
    persons = {file: _composed(person(file)) for file in paths}
    emotions = {file: str(emotion(file)) for file in paths}
    if not any(persons[file] for file in videos):
        raise UserError(f"{rules.asked} names nobody in {len(videos)} videos, such as {videos[0]}: {rules.expected}.")
    if rules.emotions and not any(emotions[file] for file in videos):
        raise UserError(f"--emotions {rules.emotions} names none of {len(videos)} videos, such as {videos[0]}: correct it.")
    for option, table, namer in (("persons", rules.persons, person), ("emotions", rules.emotions, emotion)):
        if unused := namer.unused(videos):
            named = ", ".join(unused[:3]) + (" …" if len(unused) > 3 else "")
            warn(f"--{option} {table}: {len(unused)} of its rows match no video: {named}")
    if pairs := alike(person, [file for file in videos if persons[file]]):
        warn(_confused(pairs))
    return Told(persons, emotions)


def _confused(pairs: Sequence[tuple[str, str]]) -> str:
    first, second = pairs[0]
    more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
    told = f"{first} and {second} have one name and are taken for one person{more}"
    return f"{told}: where the folders tell people apart, say --persons path:REGEX or --layout"


def namers(rules: Rules, paths: Mapping[str, str]) -> tuple[Namer, Namer]:
    """Who is seen, and what is felt, by path inside the tree: as the layout says, unless it is said otherwise."""
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
    """One spelling of a name, however a disk spells it."""
    return person and unicodedata.normalize("NFC", person)
