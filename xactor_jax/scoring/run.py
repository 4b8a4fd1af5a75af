"""Measures pairs of videos with protocols, on several processes, and continues where it was stopped.

The true videos are measured, too, if a protocol needs no truth to compare with, or compares sets: their values are the row
"truth" of a report. They are measured as they are compared, at the size and length of the generated video.

A process measures its share of the names. Processes do not wait for each other: the last one finds all results in the folder,
which all of them share. A video that cannot be measured is a row with one sentence, and does not end the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.media.audio_io import seconds_of
from xactor_jax.sampling.jobs import balanced, reason
from xactor_jax.sampling.provenance import sha256
from xactor_jax.scoring import results
from xactor_jax.scoring.files import Pair, open_case
from xactor_jax.scoring.protocol import Network, Protocol
from xactor_jax.scoring.results import Result
from xactor_jax.scoring.video import Case
from xactor_jax.targets import make_folder

TRUTH = "truth"
"""System of the rows of true videos."""
RESULTS = "results"

Note = Callable[[str], None]


class Row(NamedTuple):
    """The result of one protocol for one video; `measured` is None while another process is still to make or measure it.

    `key`: of its files; "" if the video cannot be opened. For true videos, `system` is the one that they are the truth of.
    """

    system: str
    name: str
    protocol: Protocol
    true: bool
    measured: Result | None
    key: str = ""


class _Job(NamedTuple):
    """One measurement: of a pair, or only of its true video."""

    pair: Pair
    protocol: Protocol
    true: bool


class _Scorer(NamedTuple):
    """The part of scoring that is the same for all pairs."""

    protocols: Sequence[Protocol]
    networks: Mapping[str, Network]
    folder: epath.Path
    hashed: Callable[[str], str]

    def jobs(self, pair: Pair) -> Iterator[_Job]:
        """The measurements that make sense for a pair."""
        for protocol in self.protocols:
            if pair.truth or protocol.pool or not protocol.needs_truth:
                yield _Job(pair, protocol, False)
            if pair.truth and (protocol.pool or not protocol.needs_truth):
                yield _Job(pair, protocol, True)

    def key(self, job: _Job, case: Case) -> str:
        """The name of the result."""
        generated, truth = self.hashed(job.pair.generated), self.hashed(job.pair.truth) if job.pair.truth else ""
        shape = {"side": list(case.generated.side), "frames": case.generated.count}
        files = {"truth": truth, **shape} if job.true else {"generated": generated, "truth": truth, **shape}
        return results.key_of(job.protocol, self.network(job.protocol), files)

    def network(self, protocol: Protocol) -> Network | None:
        """The network of a protocol; None if it needs none."""
        return self.networks[protocol.kind] if protocol.kind else None


def score(
    pairs: Sequence[Pair],
    protocols: Sequence[Protocol],
    networks: Mapping[str, Network],
    folder: epath.PathLike,
    note: Note = print,
    names: Collection[str] | None = None,
    process: tuple[int, int] | None = None,
) -> list[Row]:
    """Measures this process's share of the pairs. Returns the rows of all pairs, as they are found in the folder.

    Args:
        protocols: those that can run: `networks` has the kinds that they need.
        folder: for results; the same for all processes.
        names: those of the pairs that this process measures; default: its share of them.
        process: (index, number of processes) for this share; default: those of JAX.

    Raises:
        UserError: the folder cannot be written to.
    """
    scorer = _Scorer(protocols, networks, make_folder(epath.Path(folder) / RESULTS), functools.lru_cache(None)(sha256))
    own = share(pairs, *(process or (jax.process_index(), jax.process_count()))) if names is None else names
    mine = [pair for pair in pairs if pair.name in own]
    for number, pair in enumerate(mine, 1):
        note(f"measuring {pair.system}, {pair.name} ({number} of {len(mine)})")
        _measure_pair(scorer, pair)
    return [row for pair in pairs for row in _rows(scorer, pair)]


def share(pairs: Sequence[Pair], index: int, count: int) -> set[str]:
    """The names of one of `count` processes. All systems' videos of a name are together, so their truth is measured once."""
    longest: dict[str, float] = {}
    for pair in pairs:
        longest[pair.name] = longest.get(pair.name, 0.0) + seconds_of(pair.generated)
    processes = balanced(list(longest.values()), count)
    return {name for name, process in zip(longest, processes, strict=True) if process == index}


def finished(rows: Sequence[Row]) -> bool:
    """Whether every row is measured, by whichever process."""
    return all(row.measured is not None for row in rows)


def _measure_pair(scorer: _Scorer, pair: Pair) -> None:
    try:
        case = open_case(pair)
    except Exception:  # of any library: `_rows` reports it
        return
    for job in scorer.jobs(pair):
        key = scorer.key(job, case)
        known = results.read(scorer.folder, key)
        if known is None or known.problem:
            _measure(scorer, job, case, key)


def _measure(scorer: _Scorer, job: _Job, case: Case, key: str) -> None:
    """Measures and writes one result, or why there is none."""
    network, about = scorer.network(job.protocol), _about(scorer, job)
    case = Case(case.truth, case.truth) if job.true else case
    try:
        if job.protocol.needs_sound and case.generated.waveform is None:
            raise UserError("it has no sound that can be read")
        measured = job.protocol.measure(case, network)
    except Exception as error:
        results.write_problem(scorer.folder, key, reason(error), about)
        return
    results.write(scorer.folder, key, measured, case.generated.count, about)


def _about(scorer: _Scorer, job: _Job) -> dict[str, Any]:
    network = scorer.network(job.protocol)
    path = job.pair.truth if job.true else job.pair.generated
    return {"protocol": job.protocol.name, "weights": network.hash if network else "", "file": path, "name": job.pair.name}


def _rows(scorer: _Scorer, pair: Pair) -> Iterator[Row]:
    there = all(epath.Path(path).exists() for path in (pair.generated, pair.truth) if path)
    try:
        case, unopened = (open_case(pair, sound=False) if there else None), None
    except Exception as error:
        case, unopened = None, Result(problem=reason(error))
    for job in scorer.jobs(pair):
        about = (pair.system, pair.name, job.protocol, job.true)
        key = scorer.key(job, case) if case else ""
        yield Row(*about, results.read(scorer.folder, key) if case else unopened, key)
