"""Options and steps of programs that score videos: launch/score.py, evaluate.py and benchmark/talking_heads.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from xactor_jax.errors import UserError

if TYPE_CHECKING:
    from xactor_jax.scoring.files import Pair
    from xactor_jax.scoring.protocol import Network, Protocol

TITLE = "xactor_jax: scores"


def add_systems(about: argparse.ArgumentParser) -> None:
    """Adds --generated, for folders of videos of any system."""
    what = "folder of generated videos, of any system; may be repeated, each row of the report has its NAME"
    about.add_argument("--generated", action="append", default=[], metavar="NAME=DIR", help=what)


def add_protocols(about: argparse.ArgumentParser) -> None:
    """Adds options that choose protocols and name their weights."""
    add = about.add_argument
    kind = "weights of a protocol, made by launch/import_weights.py --what KIND; may be repeated"
    add("--weights", action="append", default=[], metavar="KIND=CKPT", help=kind)
    add("--only", default="", metavar="NAME,…", help="protocols that are measured; default: all that can be")
    add("--without", default="", metavar="NAME,…", help="protocols that are not measured")
    about_file = "data/example.avi of github.com/joonson/syncnet_python, to check synchrony on"
    add("--example_avi", default="", metavar="FILE", help=about_file)


def named(options: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE, repeated, as a mapping. Raises `UserError` for a name that is missing or given twice."""
    found: dict[str, str] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{option} {text} has no name: write NAME=FOLDER.")
        if name in found:
            raise UserError(f"{option} names {name} twice: give each a name of its own.")
        found[name] = value
    return found


def systems_of(options: Sequence[str]) -> dict[str, str]:
    """Name of a system → its folder. A folder without a name is called by its last part."""
    from xactor_jax.scoring.run import TRUTH

    whole = [text if "=" in text else f"{text.rstrip('/').rpartition('/')[2]}={text}" for text in options]
    systems = named(whole, "--generated")
    if TRUTH in systems:
        raise UserError(f"--generated {TRUTH}=… would be confused with the true videos: give it another name.")
    return systems


class Judges(NamedTuple):
    """Protocols that measure, their networks, and sentences on the protocols that cannot."""

    protocols: list[Protocol]
    networks: dict[str, Network]
    lacking: list[str]


def chosen_protocols(arguments: argparse.Namespace) -> tuple[list[Protocol], dict[str, Network]]:
    """The protocols that were asked for, and the networks whose weights were given."""
    from xactor_jax.scoring.protocols import chosen, load_networks

    split = lambda text: [name for name in text.split(",") if name]
    return chosen(split(arguments.only), split(arguments.without)), load_networks(named(arguments.weights, "--weights"))


def load_judges(arguments: argparse.Namespace, true: bool) -> Judges:
    """The protocols that can measure. `true`: whether there are true videos. Raises `UserError` if there are none."""
    from xactor_jax.scoring.protocols import runnable

    protocols, networks = chosen_protocols(arguments)
    some, lacking = runnable(protocols, networks, true)
    return Judges(some, networks, lacking)


def pairs_of(systems: Mapping[str, str], true: Mapping[str, str] | None) -> tuple[list[Pair], list[str]]:
    """All pairs, and sentences on files without a partner. `true`: name → true video; None: there are none."""
    from xactor_jax.scoring.files import list_videos, pair

    pairs, notes = [], []
    for system, folder in systems.items():
        found = pair(system, list_videos(folder), true)
        pairs += found.pairs
        notes += [f"{system}, {name}: there is no true video of this name, so it is left out." for name in found.without_truth]
        notes += [f"{system} has no video of the true one {name}." for name in found.unused_truth]
    return pairs, notes


def note(message: str) -> None:
    """Prints progress."""
    print(f"{message} …", file=sys.stderr)


def report_on(
    arguments: argparse.Namespace,
    judges: Judges,
    pairs: Sequence[Pair],
    notes: Sequence[str],
    more: Mapping[str, Any],
    names: Collection[str] | None = None,
    process: tuple[int, int] | None = None,
) -> dict[str, Any] | None:
    """Measures this process's share of the pairs. The last process writes the report and returns its content.

    Args:
        notes: sentences on what is missing.
        more: further content of the report; `about` are sentences at its beginning.
        names: those that this process measures; default: its share, as `process` says (`run.score`).
    """
    from xactor_jax.sampling.provenance import versions
    from xactor_jax.scoring import files, report, run, sheets, summary

    rows = run.score(pairs, judges.protocols, judges.networks, arguments.out, note, names, process)
    if not run.finished(rows):
        return None
    note("writing the report")
    content = {**summary.content_of(rows, judges.networks, arguments.out), **more, "versions": versions()}
    content |= {"notes": [*notes, *judges.lacking], "about": [*more.get("about", []), files.ABOUT]}
    for name, outcomes in checked(arguments, judges).items():
        content["protocols"][name]["sanity"] = outcomes
    report.write_report(arguments.out, content, sheets.sheets(pairs, arguments.sheets), TITLE)
    return content


def checked(arguments: argparse.Namespace, judges: Judges) -> dict[str, list[dict[str, Any]]]:
    """Name of a protocol → outcomes of its checks against published values."""
    from xactor_jax.scoring import sanity

    outcomes: dict[str, list[dict[str, Any]]] = {}
    files = {sanity.EXAMPLE: arguments.example_avi}
    for outcome in sanity.run_checks(sanity.CHECKS, judges.protocols, judges.networks, files):
        outcomes.setdefault(outcome.check.protocol, []).append(outcome.to_dict())
    return outcomes


def tell(arguments: argparse.Namespace, content: Mapping[str, Any] | None) -> None:
    """Prints the scores of a report and where it is; or that other processes are still busy."""
    from xactor_jax.scoring.report import as_markdown, score_tables

    if content is None:
        note("other processes are still busy; the last one writes the report")
        return
    print(as_markdown(score_tables(content)))
    print(f"{arguments.out}/report.html")
