"""Figures of a report, as PNG bytes. They do not use pyplot, because its state is global."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure

from xactor_jax.evaluation.motion import FACE, POSE
from xactor_jax.timing import FRAME_RATE

INK, TRUE, OWN, OTHER = "#1f2430", "#8a919e", "#c2410c", "#93b4d4"
COLOURS = {"true": TRUE, "own": OWN, "other": OTHER}
LABELS = {"true": "true", "own": "generated from this speech", "other": "generated from another's speech"}


def png(figure: Figure) -> bytes:
    """The bytes of a PNG file of the figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()


def _axes(width: float, height: float, rows: int = 1) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def r2_bars(r2: Mapping[str, float], targets: tuple[float, float]) -> bytes:
    """R² of every control, with lines at the targets (face, pose) of the controls that have one."""
    figure, (axis,) = _axes(8.0, 2.6)
    names = list(r2)
    kinds = [FACE if name in FACE else POSE if name in POSE else () for name in names]
    axis.bar(names, [max(r2[name], 0.0) for name in names], color=[OWN if kind else OTHER for kind in kinds], width=0.7)
    for i, kind in enumerate(kinds):
        if kind:
            axis.plot([i - 0.4, i + 0.4], [targets[kind is POSE]] * 2, color=INK, linewidth=1.5)
    axis.set(ylim=(0, 1), ylabel="R² on held-out people")
    axis.tick_params(axis="x", rotation=45)
    return png(figure)


def jaw_plot(curves: Mapping[str, Float[np.ndarray, "b t"]], titles: Sequence[str], most: int = 4) -> bytes:
    """The jaw over time, with a panel for each clip: "true" from the truth, "own" from generated motion."""
    count = min(most, len(titles))
    figure, axes = _axes(8.0, 1.5 * count, count)
    for i, axis in enumerate(axes):
        seconds = np.arange(curves["true"].shape[1]) / FRAME_RATE
        for name in ("true", "own"):
            axis.plot(seconds, curves[name][i], color=COLOURS[name], label=LABELS[name], linewidth=1.5)
        axis.set(ylabel="jaw", title=titles[i])
    axes[0].legend(frameon=False, ncols=2, loc="upper right")
    axes[-1].set_xlabel("seconds")
    return png(figure)


def lag_plot(lag_curves: Mapping[str, Sequence[float]]) -> bytes:
    """Correlation between the jaw read from motion and the true jaw, as a function of the lag."""
    figure, (axis,) = _axes(6.0, 2.8)
    half = len(lag_curves["own"]) // 2
    for name, curve in lag_curves.items():
        axis.plot(range(-half, half + 1), curve, color=COLOURS[name], label=LABELS[name], marker="o", markersize=3)
    axis.axvspan(-1, 1, color="#f1f3f6", zorder=0)
    axis.set(xlabel="lag of the motion, frames", ylabel="correlation of the jaw")
    axis.legend(frameon=False, fontsize="small")
    return png(figure)


def segment_plot(
    curves: Mapping[str, Mapping[str, Sequence[float]]], minutes: Sequence[float], names: Mapping[str, str], columns: int = 2
) -> bytes:
    """Plots curves (performer → measure → values) over minutes, with a panel for each measure and true motion in grey.

    `names`: measure → title of its panel.
    """
    measures = [name for name in names if any(name in curve for curve in curves.values())]
    figure = Figure(figsize=(4.5 * columns, 1.8 * -(-len(measures) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(measures) // columns), columns, squeeze=False).ravel()
    for axis, name in zip(axes, measures, strict=False):
        for colour, (who, curve) in zip(_colours(curves), curves.items(), strict=True):
            values = np.array(curve.get(name, []), np.float64)
            axis.plot(minutes[: len(values)], values, color=colour, label=LABELS.get(who, who), linewidth=1.2)
        axis.set_title(names[name], fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(measures) :]:
        axis.set_axis_off()
    axes[0].legend(frameon=False, fontsize=7)
    figure.supxlabel("minutes", fontsize=9)
    return png(figure)


def _colours(names: Iterable[str]) -> list[str]:
    """Grey for true motion, different colours for the others."""
    others = itertools.chain([OWN], itertools.cycle(TABLEAU_COLORS.values()))
    return [TRUE if name == "true" else next(others) for name in names]


def contact_sheet(
    reference: UInt8[np.ndarray, "h w 3"],
    rows: Mapping[str, UInt8[np.ndarray, "_ _ _ 3"]],
    columns: int = 8,
    rate: float = FRAME_RATE,
) -> bytes:
    """The reference, and evenly spaced frames of each row, which has `rate` frames a second."""
    figure = Figure(figsize=(1.1 * (columns + 1), 1.2 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns + 1, squeeze=False)
    for axis in grid.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    grid[0, 0].imshow(reference)
    grid[0, 0].set_title("reference", fontsize=8)
    for line, (name, frames) in zip(grid, rows.items(), strict=True):
        line[1].set_ylabel(name, fontsize=8)
        for axis, index in zip(line[1:], np.linspace(0, len(frames) - 1, columns).astype(int), strict=True):
            axis.imshow(frames[index])
            axis.set_xlabel(f"{index / rate:.2f} s", fontsize=6)
    return png(figure)


def curve_plot(read: Mapping[str, Float[np.ndarray, "t"]], true: Mapping[str, Float[np.ndarray, "t"]]) -> bytes:
    """Controls read from one generated motion, with a panel for each, and the true ones if they are known."""
    figure, axes = _axes(8.0, 1.1 * len(read), len(read))
    _draw_curves(axes, read, true)
    return png(figure)


def _draw_curves(axes: Sequence, read: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> None:
    for axis, (name, curve) in zip(axes, read.items(), strict=True):
        seconds = np.arange(len(curve)) / FRAME_RATE
        if name in true:
            axis.plot(seconds, true[name], color=TRUE, label="true motion of the speaker", linewidth=1.5)
        axis.plot(seconds, curve, color=OWN, label="generated from speech only", linewidth=1.5)
        axis.set_ylabel(name.replace("_", " "), fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
    axes[0].legend(frameon=False, ncols=2, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    axes[-1].set_xlabel("seconds")


def film_strip(
    portrait: UInt8[np.ndarray, "s s 3"],
    frames: UInt8[np.ndarray, "t h w 3"],
    read: Mapping[str, Float[np.ndarray, "t"]],
    true: Mapping[str, Float[np.ndarray, "t"]],
    columns: int = 7,
) -> bytes:
    """The portrait and evenly spaced frames, above curves with the same time axis."""
    figure = Figure(figsize=(10, 3.0), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.35, len(read)))
    pictures = [portrait, *frames[np.linspace(0, len(frames) - 1, columns).astype(int)]]
    titles = ["portrait", *(f"{i / FRAME_RATE:.1f} s" for i in np.linspace(0, len(frames) - 1, columns).astype(int))]
    for axis, picture, title in zip(top.subplots(1, columns + 1), pictures, titles, strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
        axis.set_title(title, fontsize=8)
    _draw_curves(bottom.subplots(len(read), 1, squeeze=False)[:, 0], read, true)
    return png(figure)
