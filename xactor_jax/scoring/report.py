"""Writes a report on systems: JSON for programs, HTML with pictures for people, Markdown and LaTeX rows for papers.

There is a table for each protocol, with a row for each system. A column's head has the number's title, an arrow to good values
(= : close to the value of the truth), and the name of the protocol.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.evaluation.report import finite, inlined, page, table
from xactor_jax.markdown import markdown
from xactor_jax.unfinished import write_whole

Content = Mapping[str, Any]
ARROWS = {"higher": "↑", "lower": "↓", "truth": "="}
UNKNOWN = "–"
NAME = "report"
"""Files are called NAME.json, NAME.html, NAME.md, NAME.tex."""


INTERVALS = (
    "Mean over clips [95 % interval by the bootstrap over clips, too narrow for fewer than some ten clips]; a dash where there "
    "is no value."
)


class Table(NamedTuple):
    """A table: its title, the head, and the rows, whose first cells are names."""

    title: str
    head: list[str]
    rows: list[list[str]]


def heading(number: Content, protocol: str) -> str:
    """Head of a number's column."""
    return f"{number['title']} {ARROWS[number['better']]} ({protocol})"


def shown(estimate: Content | None, digits: int, signed: bool = False) -> str:
    """A mean with its interval; a dash if it is unknown."""
    if estimate is None or estimate["mean"] is None or not math.isfinite(estimate["mean"]):
        return UNKNOWN
    form = f"{'+' if signed else ''}.{digits}f"
    mean, low, high = (estimate[name] for name in ("mean", "low", "high"))
    known = low is not None and math.isfinite(low)
    return format(mean, form) + (f" [{format(low, form)}, {format(high, form)}]" if known else "")


def score_tables(content: Content) -> Iterator[Table]:
    """The scores of each protocol: a row for each system that has any."""
    for name, about in content["protocols"].items():
        numbers, scores = about["numbers"], content["scores"][name]
        systems = [s for s in content["systems"] if any(s in scores[number["name"]] for number in numbers)]
        if systems:
            yield Table(name, ["", *(heading(n, name) for n in numbers), "clips"], [_row(s, numbers, scores) for s in systems])


def _row(system: str, numbers: Sequence[Content], scores: Content) -> list[str]:
    """Cells of one system. The number of clips is that of the number with the most."""
    found = [scores[number["name"]].get(system) for number in numbers]
    cells = [shown(one, number["digits"]) for one, number in zip(found, numbers, strict=True)]
    return [system, *cells, str(max(one["count"] for one in found if one))]


def difference_tables(content: Content) -> Iterator[Table]:
    """Differences to the first system on the same clips, of protocols that have any."""
    for name, about in content["protocols"].items():
        found = content["differences"][name]
        numbers = [number for number in about["numbers"] if number["name"] in found]
        systems = [s for s in content["systems"] if any(s in of for of in found.values())]
        if systems:
            first = next(one["minus"] for of in found.values() for one in of.values())
            rows = [[f"{s} − {first}", *_signed(s, numbers, found)] for s in systems]
            title = f"{name}: difference to {first} on the same clips"
            yield Table(title, ["", *(heading(n, name) for n in numbers)], rows)


def _signed(system: str, numbers: Sequence[Content], found: Content) -> list[str]:
    return [shown(found[number["name"]].get(system), number["digits"], signed=True) for number in numbers]


def time_tables(content: Content) -> Iterator[Table]:
    """Means of segments of 10 seconds, and slopes."""
    for name, numbers in content["over_time"].items():
        for number in content["protocols"][name]["numbers"]:
            if systems := numbers.get(number["name"]):
                yield _time_table(heading(number, name), systems, number["digits"])


def _time_table(title: str, systems: Content, digits: int) -> Table:
    minutes = max((of["minutes"] for of in systems.values()), key=len)
    head = ["", *(f"{60 * minute:.0f} s" for minute in minutes), "slope per minute"]
    rows = []
    for system, of in systems.items():
        cells = [shown(_alone(value), digits) for value in of["values"]]
        empty = [""] * (len(minutes) - len(cells))
        rows.append([system, *cells, *empty, shown(of["slope"], digits + 1, signed=True)])
    return Table(f"{title} over time", head, rows)


def _alone(value: float | None) -> Content:
    """A value without an interval."""
    return {"mean": value, "low": None, "high": None}


def clip_table(content: Content) -> Table:
    """All values of all clips."""
    columns = [(name, number) for name, about in content["protocols"].items() for number in about["numbers"]]
    some = [(p, n) for p, n in columns if any(n["name"] in clip["values"].get(p, {}) for clip in content["clips"])]
    cells = lambda clip: [shown(_alone(clip["values"].get(p, {}).get(n["name"])), n["digits"]) for p, n in some]
    rows = [[f"{clip['system']}, {clip['name']}", *cells(clip)] for clip in content["clips"]]
    return Table("Clips", ["", *(heading(n, p) for p, n in some)], rows)


def problems_of(content: Content) -> list[str]:
    """Sentences on what is missing in the tables."""
    of_clips = [
        f"{clip['system']}, {clip['name']}: {problem} ({protocol})."
        for clip in content["clips"]
        for protocol, problem in clip["problems"].items()
    ]
    of_sets = [f"{s}: {problem} ({p})." for p, each in content["problems"].items() for s, problem in each.items()]
    return [*content.get("notes", []), *of_sets, *of_clips]


def tables_of(content: Content) -> list[Table]:
    """All tables but that of the clips."""
    return [*score_tables(content), *difference_tables(content), *time_tables(content)]


def body(content: Content, pictures: Mapping[str, bytes]) -> str:
    """Content of the HTML page. `pictures`: caption → PNG."""
    parts = [f"<p>{html.escape(line)}</p>" for line in [*content.get("about", []), INTERVALS]]
    parts += [_section(one) for one in tables_of(content)]
    if problems := problems_of(content):
        parts.append(f"<h2>Missing</h2><ul>{''.join(f'<li>{html.escape(line)}</li>' for line in problems)}</ul>")
    parts += ["<h2>Protocols</h2>", *(_about(name, about) for name, about in content["protocols"].items())]
    parts += [inlined(picture, caption) for caption, picture in pictures.items()]
    return "".join([*parts, _section(clip_table(content))])


def _section(one: Table) -> str:
    return f"<h2>{html.escape(one.title)}</h2>{table(one.head, one.rows)}"


def _about(name: str, about: Content) -> str:
    """A paragraph about a protocol."""
    weights = f"Weights: {about['kind']}, hash {about['weights']}." if about["kind"] else "It needs no weights."
    limits = f"It does not show: {about['limits']}" if about["limits"] else ""
    checks = [check["sentence"] for check in about.get("sanity", [])]
    lines = [about["definition"], f"Source: {about['source']}.", weights, *checks, limits]
    return f"<h3>{html.escape(name)}</h3><p>{' '.join(html.escape(line) for line in lines if line)}</p>"


def as_markdown(tables: Iterable[Table]) -> str:
    """Tables in Markdown."""
    return "\n\n".join(f"### {one.title}\n\n{markdown(one.head, one.rows)}" for one in tables) + "\n"


def as_latex(tables: Iterable[Table]) -> str:
    """Tables as rows of LaTeX, each below a comment with its title."""
    return "\n\n".join(map(latex, tables)) + "\n"


LATEX = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "−": "$-$", "–": "--", "²": "$^2$", "°": r"$^\circ$", "×": r"$\times$"}


def latex(one: Table) -> str:
    """Rows of a tabular."""
    line = lambda cells: " & ".join("".join(LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"
    return "\n".join([f"% {one.title}", line(one.head), r"\hline", *map(line, one.rows)])


def write_report(folder: epath.PathLike, content: Content, pictures: Mapping[str, bytes], title: str) -> None:
    """Writes the four files into an existing folder, local or gs://.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder, content = epath.Path(folder), finite(content)
    tables = tables_of(content)
    texts = {"html": page(title, body(content, pictures)), "md": as_markdown(tables), "tex": as_latex(tables)}
    texts["json"] = json.dumps(content, indent=2, allow_nan=False) + "\n"
    try:
        for end, text in texts.items():
            write_whole(folder / f"{NAME}.{end}", text)
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error}): name another folder.") from error
