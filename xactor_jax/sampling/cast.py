"""Names of the faces in a picture that speak: `left=a.wav,right=b.wav`, or numbers from the left, `1=a.wav,2=b.wav`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from xactor_jax.errors import UserError
from xactor_jax.media.faces import FaceBox

NAMES = ("left", "middle", "right")
"""Names of faces, besides their numbers."""

_NAME = rf"(?:{'|'.join(NAMES)}|\d+)"


def parse_faces(text: str) -> dict[str, str]:
    """Name of a face → its recording. A comma only divides where a name and = follow, so that paths may have commas.

    Raises:
        UserError: it is not a list of NAME=FILE.
    """
    found: dict[str, str] = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text):
        name, equals, path = (piece.strip() for piece in part.partition("="))
        if not equals or not path:
            raise UserError(f"{part!r} is no face with a recording: write --faces as in left=a.wav,right=b.wav.")
        check_name(name)
        if name in found:
            raise UserError(f"--faces names {name} twice: give each face one recording.")
        found[name] = path
    return found


def check_name(name: str) -> None:
    """Raises `UserError` unless this can be the name of a face."""
    if not re.fullmatch(_NAME, name) or name.strip("0") == "":
        raise UserError(f"there is no face {name!r}: use {', '.join(NAMES)}, or a number from the left, from 1 on.")


def from_left(faces: Iterable[FaceBox]) -> list[FaceBox]:
    """Faces from the left to the right of the picture."""
    return sorted(faces, key=lambda face: face.centre[0])


def numbers_of(names: Sequence[str], count: int, picture: str) -> list[int]:
    """Index of each named face among `count` faces from the left; `picture` is for messages.

    Raises:
        UserError: there are not enough faces, no face of a name, or two names of one face.
    """
    if count < len(names):
        more = "give a picture that shows all of them, or their boxes by --detector csv:BOXES.csv"
        named = "1 face is named" if len(names) == 1 else f"{len(names)} faces are named"
        raise UserError(f"{named}, but {count} found in {picture}: {more}.")
    numbers = [_number(name, count, picture) for name in names]
    for i, number in enumerate(numbers):
        if number in numbers[:i]:
            raise UserError(f"{names[numbers.index(number)]} and {names[i]} are one face of {picture}: name each face once.")
    return numbers


def _number(name: str, count: int, picture: str) -> int:
    if name == "middle" and count % 2 == 0:
        raise UserError(f"there is no face in the middle of {picture}: {count} were found; use numbers, 1 is on the left.")
    number = {"left": 1, "middle": (count + 1) // 2, "right": count}.get(name) or int(name)
    if not 1 <= number <= count:
        raise UserError(f"there is no face {name} in {picture}: {count} were found, counted from the left.")
    return number - 1
