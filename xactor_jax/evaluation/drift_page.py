"""HTML page and tables of the measurements of long performances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

from xactor_jax.evaluation import figures, report
from xactor_jax.evaluation.drift import SPAN
from xactor_jax.evaluation.motion_report import NAMES

Measured = Mapping[str, Any]
"""Result of `Rulers`, with the cost if it was measured."""

COSTS = {"seconds_per_chunk": "seconds per chunk", "rss_mb": "memory of the process, MB"}

ABOUT = (
    "Each minute of motion is measured separately. FMD is the Fréchet distance of its motion latents to the true ones of all "
    "minutes of the same people. True motion is compared with its own other minutes. FMD depends on the number of frames, so "
    "compare it only with the FMD of true motion in the same table."
)


def number(value: float | None) -> str:
    """A number with three digits, or all digits before the point; a dash if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def slope(trend: Mapping[str, float | None]) -> str:
    """A slope with its standard error."""
    value, error = trend["slope"], trend["slope_error"]
    return "–" if number(value) == "–" else f"{value:+.2g} ± {error:.1g}"


def cells(measured: Measured) -> dict[str, str]:
    """Line of the table → text for one performer, measured by the minute."""
    minutes, cost = measured["minutes"], measured.get("cost") or {}
    curves, trends = minutes["curves"], minutes["trends"]
    fmd = np.array(curves["fmd"], np.float64)
    n = max(1, min(SPAN, len(fmd) // 2))
    lines = {
        "FMD, mean over minutes": number(trends["fmd"]["mean"]),
        f"FMD, first {n} / last {n}": f"{number(fmd[:n].mean())} / {number(fmd[-n:].mean())}",
        "FMD, last over first": number(trends["fmd"]["last_over_first"]),
    }
    lines |= {f"{NAMES[name]}, slope per minute": slope(trends[name]) for name in ("fmd", "fmd_velocity", "mean_norm")}
    for name in ("std_ratio", "velocity_ratio", "jaw_correlation", "boundary_jerk", "emotion_accuracy"):
        lines[NAMES[name]] = number(trends[name]["mean"]) if name in trends else "–"
        lines[f"{NAMES[name]}, slope per minute"] = slope(trends[name]) if name in trends else "–"
    lines["emotion accuracy of always predicting the most frequent emotion"] = number(minutes["emotion_chance"])
    lines["speech needed before the first frame, seconds"] = number(cost.get("needed_seconds"))
    lines |= {f"{COSTS[name]}, first / last minute": _ends(cost.get(name)) for name in COSTS}
    return lines


def _ends(values: list[float] | None) -> str:
    return f"{number(values[0])} / {number(values[-1])}" if values else "–"


def rows(measured: Mapping[str, Measured]) -> tuple[list[str], list[list[str]]]:
    """(head, lines) of the table, with a column for each performer, "true" first."""
    columns = {name: cells(of) for name, of in measured.items()}
    head = ["", *(figures.LABELS["true"] + " motion" if name == "true" else name for name in columns)]
    return head, [[line, *(column[line] for column in columns.values())] for line in next(iter(columns.values()))]


def rich_table(measured: Mapping[str, Measured]) -> Table:
    """The table for a terminal."""
    head, lines = rows(measured)
    table = Table(head[0])
    for name in head[1:]:
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(*line)
    return table


def plottable(curves: Mapping[str, list[float | None]]) -> dict[str, list[float]]:
    """Replaces None, which JSON has in place of a number that is not finite, by `nan`."""
    return {name: [math.nan if value is None else float(value) for value in values] for name, values in curves.items()}


def curves_of(measured: Mapping[str, Measured], size: str) -> bytes:
    """Plot of all measures over time, in segments of one `size`."""
    curves = {name: plottable(of[size]["curves"]) for name, of in measured.items()}
    return figures.segment_plot(curves, next(iter(measured.values()))[size]["minutes"], NAMES)


def costs_of(measured: Mapping[str, Measured]) -> dict[str, bytes]:
    """Caption → plot of the cost of each minute; empty if no whole piece was timed."""
    costs = {name: plottable({key: of["cost"][key] for key in COSTS}) for name, of in measured.items() if of.get("cost")}
    longest = max((len(cost["rss_mb"]) for cost in costs.values()), default=0)
    if not longest:
        return {}
    minutes = [float(minute) for minute in range(1, 1 + longest)]
    return {"Cost of each minute": figures.segment_plot(costs, minutes, COSTS)}


def body(measured: Mapping[str, Measured]) -> str:
    """Content of the HTML page."""
    seconds = next(iter(measured.values()))["segments"]["seconds"]
    pictures = {
        "By the minute": curves_of(measured, "minutes"),
        f"In segments of {seconds:g} s": curves_of(measured, "segments"),
        **costs_of(measured),
    }
    shown = (report.inlined(picture, caption) for caption, picture in pictures.items())
    return "".join([f"<p>{ABOUT}</p>", report.table(*rows(measured)), *shown])
