"""Scores videos of any system by the protocols of published tables.

    python launch/score.py --generated DIR --truth DIR --out REPORT
    python launch/score.py --generated ours=DIR --generated theirs=DIR --truth none --out REPORT --weights syncnet=CKPT
    python launch/score.py --self_test --weights i3d=CKPT --example_avi example.avi
    python launch/score.py --list

Videos of any format are paired by name with those of --truth. Protocols without weights run by default; with --weights (folders
of launch/import_weights.py) those of that kind run, too. REPORT has report.html with pictures, report.json, and rows in
Markdown and LaTeX; every number comes with its protocol and the hash of its weights. The same command continues after a stop.
Several processes (see launch/train.py, or --process 0 --processes 2) split the videos; the last one writes the report.
--self_test compares numbers with published ones, and says which it could not check.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch._scoring import add_protocols, add_systems, chosen_protocols, load_judges, pairs_of, report_on, systems_of, tell
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel import processes, supervision
from xactor_jax.settings import whole
from xactor_jax.targets import make_folder


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add_systems(about)
    add("--truth", default="", metavar="DIR", help="true videos of the same moments; none: there are none")
    add("--out", default="", metavar="REPORT", help="folder for the report and for results; created if it is missing")
    add_protocols(about)
    add("--sheets", type=int, default=4, help="contact sheets in the report")
    add("--process", type=int, help="number of this process, from 0, of processes that are not joined")
    add("--processes", type=int, help="how many of these there are")
    add("--self_test", action="store_true", help="compare protocols with published numbers instead")
    add("--list", action="store_true", help="list the protocols and their numbers instead")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` unless the options say what is scored, and by which process."""
    if not (arguments.generated and arguments.truth and arguments.out):
        raise UserError("give --generated DIR, --truth DIR (or none) and --out REPORT; or --self_test or --list.")
    if (arguments.process is None) != (arguments.processes is None):
        raise UserError("--process and --processes belong together: give both or none.")
    check_numbers(arguments, {"sheets": whole(0, 1000), "processes": whole(1, 100_000)})
    if arguments.processes:
        check_numbers(arguments, {"process": whole(0, arguments.processes - 1)})


def show_list() -> None:
    """Prints the protocols as a table."""
    from xactor_jax.markdown import markdown
    from xactor_jax.scoring.protocols import HEAD, PROTOCOLS, listed

    print(markdown(HEAD, listed(PROTOCOLS)))


def self_test(arguments: argparse.Namespace) -> None:
    """Prints the outcomes of all checks. Ends with status 1 if a number is not reproduced."""
    from xactor_jax.scoring.sanity import CHECKS, EXAMPLE, run_checks

    outcomes = run_checks(CHECKS, *chosen_protocols(arguments), {EXAMPLE: arguments.example_avi})
    for outcome in outcomes:
        print(outcome)
    if not all(outcome.passed for outcome in outcomes if not outcome.reason):
        sys.exit(1)


def score(arguments: argparse.Namespace) -> None:
    """Measures this process's share; the last process writes the report."""
    from xactor_jax.scoring.files import list_videos

    true = None if arguments.truth == "none" else list_videos(arguments.truth)
    pairs, notes = pairs_of(systems_of(arguments.generated), true)
    process = None if arguments.process is None else (arguments.process, arguments.processes)
    judges = load_judges(arguments, true is not None)
    make_folder(arguments.out)
    tell(arguments, report_on(arguments, judges, pairs, notes, {"arguments": vars(arguments)}, process=process))


def main() -> None:
    """Runs the program. Errors that a person can correct end with status 2 and one sentence."""
    arguments = parser().parse_args()
    several = processes.several() and not (arguments.list or arguments.self_test)
    with exit_on_user_error(), supervision.leaving_at_once(several):
        if arguments.list:
            show_list()
        elif arguments.self_test:
            self_test(arguments)
        else:
            check_usage(arguments)
            supervision.guard(several)
            processes.initialize()
            score(arguments)


if __name__ == "__main__":
    main()
