"""What a report says: numbers of every system with intervals, differences, segments over time, and the clips themselves.

The content is a mapping that JSON takes:

    protocols    name → source, definition, limits, weights, numbers
    scores       protocol → number → system → estimate {mean, low, high, count}; numbers of a whole set have no interval
    differences  the same for system minus the first system, on the clips that both have
    over_time    protocol → number → system → minutes and means of segments, and the estimate of the clips' slopes per minute
    clips        a list with system, name, values and problems of each video

The system "truth" are the true videos, as they were compared with the first system that has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from xactor_jax.evaluation.trends import slope
from xactor_jax.sampling.jobs import reason
from xactor_jax.scoring.protocol import Network, Protocol
from xactor_jax.scoring.results import Curve, Features, Result
from xactor_jax.scoring.run import RESULTS, TRUTH, Row
from xactor_jax.scoring.statistics import difference, estimate

Content = dict[str, Any]


class Measured(NamedTuple):
    """The results of a protocol: system → name of a clip → result, and those rows that have features."""

    protocol: Protocol
    systems: dict[str, dict[str, Result]]
    rows: list[Row]


def content_of(rows: Sequence[Row], networks: Mapping[str, Network], folder: epath.PathLike) -> Content:
    """The content of a report on rows that `run.score` returned; `folder` is the one that it got."""
    measured = list(_by_protocol(rows))
    scores = {m.protocol.name: _scores(m, epath.Path(folder) / RESULTS) for m in measured}
    return {
        "systems": systems_of(rows),
        "protocols": {m.protocol.name: described(m.protocol, networks) for m in measured},
        "scores": {name: found for name, (found, _) in scores.items()},
        "problems": {name: problems for name, (_, problems) in scores.items() if problems},
        "differences": {m.protocol.name: _differences(m) for m in measured},
        "over_time": {m.protocol.name: over for m in measured if (over := _over_time(m))},
        "clips": _clips(rows),
    }


def systems_of(rows: Sequence[Row]) -> list[str]:
    """Names of the systems in order, the truth first if there is any."""
    named = list(dict.fromkeys(row.system for row in rows))
    return [*([TRUTH] if any(row.true for row in rows) else []), *named]


def described(protocol: Protocol, networks: Mapping[str, Network]) -> Content:
    """What a reader must know about a protocol."""
    numbers = [{"name": n.name, "title": n.title, "better": n.better, "digits": n.digits} for n in protocol.numbers]
    weights = networks[protocol.kind].hash if protocol.kind else ""
    texts = {name: getattr(protocol, name) for name in ("source", "definition", "limits", "kind")}
    return {**texts, "weights": weights, "numbers": numbers}


def _by_protocol(rows: Sequence[Row]) -> Iterator[Measured]:
    protocols = {row.protocol.name: row.protocol for row in rows}
    for name, protocol in protocols.items():
        own = [row for row in rows if row.protocol.name == name]
        systems: dict[str, dict[str, Result]] = {}
        for row in sorted(own, key=lambda row: not row.true):
            of_system = systems.setdefault(TRUTH if row.true else row.system, {})
            if row.measured is not None and not row.measured.problem:
                of_system.setdefault(row.name, row.measured)
        yield Measured(protocol, systems, [row for row in own if row.measured and not row.measured.problem])


def _values(measured: Measured, number: str) -> dict[str, dict[str, float]]:
    """System → name of a clip → value, for systems that have any."""
    each = {s: {name: r.values[number] for name, r in of.items() if number in r.values} for s, of in measured.systems.items()}
    return {system: values for system, values in each.items() if values}


def _scores(measured: Measured, folder: epath.Path) -> tuple[Content, dict[str, str]]:
    """Estimates of all numbers, and system → why numbers of its whole set are missing."""
    found: Content = {}
    for number in measured.protocol.numbers:
        values = _values(measured, number.name)
        found[number.name] = {s: estimate(list(of.values()))._asdict() for s, of in values.items()}
    problems = {}
    for system in measured.systems if measured.protocol.pool else ():
        try:
            for name, value in _pooled(measured, system, folder).items():
                found[name][system] = value
        except Exception as error:  # too few clips, for instance
            problems[system] = reason(error)
    return found, problems


def _pooled(measured: Measured, system: str, folder: epath.Path) -> Content:
    """Numbers of the whole set of a system. Without truth of its own it is compared with the true videos of all others."""
    generated = {row.key for row in measured.rows if row.system == system and not row.true}
    true = {row.key for row in measured.rows if row.true and row.system == system} or {r.key for r in measured.rows if r.true}
    if not generated or not true:
        return {}
    pooled = measured.protocol.pool(*(Features(folder, sorted(keys)) for keys in (generated, true)))
    return {name: {"mean": float(v), "low": None, "high": None, "count": len(generated)} for name, v in pooled.items()}


def _differences(measured: Measured) -> Content:
    """Every system minus the first one that was given."""
    found: Content = {}
    for number in measured.protocol.numbers:
        values = {system: of for system, of in _values(measured, number.name).items() if system != TRUTH}
        first, *others = values or [""]
        found[number.name] = {other: difference(values[other], values[first])._asdict() for other in others}
        found[number.name] = {other: {"minus": first, **e} for other, e in found[number.name].items() if e["count"]}
    return {number: of for number, of in found.items() if of}


def _over_time(measured: Measured) -> Content:
    """Segments of the numbers that have curves, if any clip has two of them."""
    found: Content = {}
    for number in measured.protocol.numbers:
        for system, results in measured.systems.items():
            curves = [result.curves[number.name] for result in results.values() if number.name in result.curves]
            if any(len(curve.values) > 1 for curve in curves):
                found.setdefault(number.name, {})[system] = _trend(curves)
    return found


def _trend(curves: Sequence[Curve]) -> Content:
    """Means of the segments over the clips that are as long, and the estimate of the clips' slopes."""
    longest = max(curves, key=lambda curve: len(curve.values))
    at = lambda k: [curve.values[k] for curve in curves if len(curve.values) > k]
    means = [estimate(at(k)).mean for k in range(len(longest.values))]
    slopes = estimate([slope(*curve)[0] for curve in curves])
    return {"minutes": longest.minutes, "values": means, "slope": slopes._asdict()}


def _clips(rows: Sequence[Row]) -> list[Content]:
    """Each video once: its values by protocol and number, and why there are none."""
    clips: dict[tuple[str, str], Content] = {}
    for row in sorted(rows, key=lambda row: not row.true):
        system = TRUTH if row.true else row.system
        clip = clips.setdefault((system, row.name), {"system": system, "name": row.name, "values": {}, "problems": {}})
        if row.measured is not None and row.measured.problem:
            clip["problems"].setdefault(row.protocol.name, row.measured.problem)
        elif row.measured is not None and row.protocol.name not in clip["values"]:
            clip["values"][row.protocol.name] = dict(row.measured.values)
    return list(clips.values())
