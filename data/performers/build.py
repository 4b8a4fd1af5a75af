"""Builds the embedded data set: clips of many performers, split by person; recorded voices are split, too."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.pool import Pool
from typing import Any, NamedTuple

import numpy as np
import rich.progress
from etils import epath

from data import storage
from data.frames import DEFAULT, check_format
from data.isolation import interrupts_blocked
from data.performers.bodies import load_body
from data.performers.clips import make_clip
from data.performers.voices import VoiceKind, check_voice
from data.records import Clip, write_clips
from xactor_jax.errors import UserError
from xactor_jax.threads import use_one_thread
from xactor_jax.timing import FRAME_RATE

AHEAD = 4
"""Clips for each worker process that are made before they are written. Pool.imap has no such bound."""


def split_persons(persons: int, seed: int) -> dict[str, list[int]]:
    """Persons of each split: a tenth for validation, a tenth for test, at least one each; the rest for training.

    Raises:
        UserError: fewer than three people.
    """
    if persons < 3:
        raise UserError(f"{persons} people cannot be split into train, validation and test: give 3 or more.")
    order = np.random.default_rng(np.random.SeedSequence([seed], spawn_key=(1,))).permutation(persons)
    held = max(1, round(0.1 * persons))
    parts = {"validation": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
    return {split: sorted(int(person) for person in parts[split]) for split in ("train", "validation", "test")}


class Job(NamedTuple):
    """One clip to make."""

    person: int
    clip: int
    split: str


def _make(job: Job, kind: str, voice: VoiceKind, seed: int, num_frames: int, size: int, frames: str) -> Clip:
    given = {"voice": voice, "split": job.split, "frames": frames}
    return make_clip(load_body(kind), seed, job.person, job.clip, num_frames, size, **given)


def ordered(pool: Pool, ahead: int, make: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """A lazy, ordered `map`. At most `ahead` results are being made or waiting, so memory does not grow with the items."""
    waiting = deque()
    for item in items:
        waiting.append(pool.apply_async(make, (item,)))
        if len(waiting) == ahead:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


@contextlib.contextmanager
def _mapper(processes: int) -> Iterator[Callable[[Callable, Iterable], Iterator]]:
    """A lazy, ordered `map`, over worker processes if `processes` is more than one."""
    if processes <= 1:
        yield map
        return
    with interrupts_blocked():
        pool = multiprocessing.get_context("spawn").Pool(processes, initializer=use_one_thread)
    with pool:
        yield functools.partial(ordered, pool, AHEAD * processes)


@contextlib.contextmanager
def _bar(title: str, total: int, shown: bool) -> Iterator[Callable[[], None]]:
    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
    with rich.progress.Progress(*columns, disable=not shown) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def build(
    path: epath.PathLike,
    persons: int = 48,
    clips_per_person: int = 4,
    seconds: float = 5.0,
    size: int = 64,
    seed: int = 0,
    processes: int = 2,
    progress: bool = True,
    *,
    kind: str = "puppets",
    voice: str = "",
    frames: str = DEFAULT,
) -> None:
    """Writes a data set of performers to `path`. The same arguments give the same records, for any number of processes.

    Args:
        kind: the body, puppets or heads.
        voice: formant or recorded; empty: the body's default.
        frames: their format, see `data.frames`.

    Raises:
        UserError: too few people or frames, an unknown kind, voice or format, or `path` is not empty.
    """
    num_frames = round(seconds * FRAME_RATE)
    if num_frames < 1 or clips_per_person < 1 or size < 16:
        raise UserError(f"{kind} need at least one clip each, one frame per clip and 16 pixels a side.")
    check_format(frames)
    voice = check_voice(voice or load_body(kind).VOICE)
    storage.require_free(path)
    splits = split_persons(persons, seed)
    make = functools.partial(_make, kind=kind, voice=voice, seed=seed, num_frames=num_frames, size=size, frames=frames)
    settings = {"persons": persons, "clips_per_person": clips_per_person, "num_frames": num_frames, "size": size, "seed": seed}

    with _mapper(processes) as mapper, _bar(f"making {kind}", persons * clips_per_person, progress) as advance:

        def clips(split: str, people: list[int]) -> Iterator[Clip]:
            for clip in mapper(make, [Job(person, clip, split) for person in people for clip in range(clips_per_person)]):
                advance()
                yield clip

        made = {split: clips(split, people) for split, people in splits.items()}
        write_clips(path, made, name=kind, metadata={"kind": kind, "voice": voice, **settings})
