"""Prints the numbers of reports as tables in Markdown, as docs/results.md has them.

    python launch/study/tables.py REPORT.json [REPORT.json …]

A report is what launch/evaluate.py or launch/score.py writes (report.json), or of the programs here compare_motion.py
(report.json), compare_video.py (comparison.json) and drift.py (drift.json). It may be gs://.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401
from xactor_jax.errors import UserError, exit_on_user_error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("reports", nargs="+", metavar="REPORT.json", help="what a program that measures has written")
    return about


def table(path: str) -> str:
    """The table of one report, or a table for each protocol of launch/score.py.

    Raises:
        UserError: the file is missing, is no JSON, or is no report.
    """
    from etils import epath

    from xactor_jax.evaluation.markdown import table_of
    from xactor_jax.markdown import markdown
    from xactor_jax.scoring.report import as_markdown, score_tables

    try:
        content = json.loads(epath.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): name the JSON of a report.") from None
    if isinstance(content, dict) and {"protocols", "scores", "systems"} <= content.keys():
        return as_markdown(score_tables(content)).rstrip()
    try:
        return markdown(*table_of(content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def main() -> None:
    """Ends with status 2 and one sentence on what a person can put right."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        print("\n\n".join(map(table, arguments.reports)))


if __name__ == "__main__":
    main()
