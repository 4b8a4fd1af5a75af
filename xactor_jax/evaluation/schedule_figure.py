"""Figure of a scheduling matrix: the noise level of every chunk in every network call."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from xactor_jax.evaluation.figures import png

ABSENT = "#cfe0f1"
"""Colour of chunks that are not in the window."""


def schedule_picture(levels: Float[np.ndarray, "calls chunks"], *, title: str = "") -> bytes:
    """PNG of a matrix of noise levels: white is clean, black is noise; NaN means that a chunk is not in the window.

    Rows are network calls, from top to bottom; columns are chunks.
    """
    calls, chunks = levels.shape
    figure = Figure(figsize=(2.5 + min(0.35 * chunks, 12.0), 1.5 + min(0.14 * calls, 16.0)), layout="constrained")
    axis = figure.subplots()
    draw_schedule(axis, levels)
    axis.set_title(title, fontsize=9)
    return png(figure)


def draw_schedule(axis: Axes, levels: Float[np.ndarray, "calls chunks"]) -> None:
    """Draws the matrix on given axes. Grey is the square root of the level, so that the small levels of history are visible."""
    axis.set_facecolor(ABSENT)
    shades = {"cmap": "gray_r", "norm": PowerNorm(0.5, vmin=0.0, vmax=1.0)}
    image = axis.imshow(np.ma.masked_invalid(levels), aspect="auto", interpolation="nearest", **shades)
    axis.set(xlabel="chunk (blue: not in the window)" if np.isnan(levels).any() else "chunk", ylabel="network call")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.figure.colorbar(image, ax=axis, label="noise level", ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
