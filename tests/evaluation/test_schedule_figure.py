"""The picture of a scheduling matrix, read back from its pixels."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.figure import Figure

from xactor_jax.evaluation.schedule_figure import draw_schedule, schedule_picture

LEVELS = np.array([[1.0, np.nan], [0.25, 1.0], [0.04, 0.0]])


def test_cells_are_as_dark_as_the_root_of_their_level() -> None:
    figure = Figure()
    axis = figure.subplots()
    draw_schedule(axis, LEVELS)
    (image,) = axis.images
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), np.isnan(LEVELS))
    drawn = image.to_rgba(image.get_array())
    present = ~np.isnan(LEVELS)
    np.testing.assert_allclose(drawn[present][:, 0], 1 - np.sqrt(LEVELS[present]), atol=0.01)
    assert (drawn[~present][:, 3] == 0).all()  # the axis's own colour shows
    assert axis.get_ylabel() == "network call" and axis.get_xlabel().startswith("chunk")
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first call is on top


def test_the_picture_has_white_black_and_blue_cells_where_they_belong() -> None:
    picture = cv2.imdecode(np.frombuffer(schedule_picture(LEVELS, title="a title"), np.uint8), cv2.IMREAD_COLOR_RGB)
    blue = np.argwhere((picture == (0xCF, 0xE0, 0xF1)).all(axis=-1))
    (top, left), (bottom, right) = blue.min(axis=0), blue.max(axis=0)
    height, width = bottom - top + 1, right - left + 1
    middle = (top + height // 2, left + width // 2)
    colour = lambda row, column: picture[middle[0] + row * height, middle[1] + (column - 1) * width]
    assert (colour(0, 0) < 5).all() and (colour(1, 1) < 5).all() and (colour(2, 1) > 250).all()
    assert 120 < colour(1, 0)[0] < 135
