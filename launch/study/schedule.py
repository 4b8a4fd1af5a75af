"""Draws a sampling schedule: the noise level of every chunk of a sequence in every network call.

    python launch/study/schedule.py --schedule pyramid --steps 12 --offset 4 --chunks 8 --history_level 0.05 --out schedule.png
    python launch/study/schedule.py --schedule autoregressive --steps 4 --chunks 4 --text

Rows are network calls and columns are chunks. In each row, the chunks in flight follow the finished chunks, which have the
level of the history schedule. Options have the names and defaults of `rollout` in configs/actor.py.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.diffusion.scheduling import HISTORY_SCHEDULES, SCHEDULES, history_levels, shown_levels, window_schedule
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import SHARE, real, whole

MOST_CELLS = 1_000_000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--schedule", default="autoregressive", choices=SCHEDULES)
    add("--steps", type=int, default=12, help="network calls from noise to motion, for each chunk")
    add("--offset", type=int, default=4, help="pyramid: network calls between a chunk and the next")
    add("--together", type=int, default=0, help="full_sequence: chunks denoised together; 0: all of them")
    add("--chunks", type=int, default=8, help="chunks of the sequence")
    add("--context", type=int, default=0, help="finished chunks that the window holds; 0: all of them")
    add(
        "--history", default="geometric", choices=HISTORY_SCHEDULES, help="how the level of a finished chunk depends on its age"
    )
    add("--history_level", type=float, default=0.05, help="noise level in [0, 1) of the newest finished chunk")
    add("--history_decay", type=float, default=0.5, help="geometric: factor of the level for every chunk of age")
    add("--history_span", type=int, default=4, help="linear: age in chunks at which the level is 0")
    add("--out", default="", metavar="FILE.png", help="image file to write")
    add("--text", action="store_true", help="print the levels as a table")
    return about


def check_usage(arguments: argparse.Namespace) -> None:
    """Raises `UserError` for options that do not define a schedule."""
    least = {"steps": 1, "offset": 1, "together": 0, "chunks": 1, "context": 0, "history_span": 1}
    levels = {"history_level": real(0.0, 1.0, below=True), "history_decay": SHARE}
    check_numbers(arguments, {**{name: whole(low, 100_000) for name, low in least.items()}, **levels})
    if arguments.schedule == "pyramid" and arguments.offset > arguments.steps:
        raise UserError(f"--offset {arguments.offset} does not fit {arguments.steps} steps: take at most {arguments.steps}.")
    if arguments.steps * arguments.chunks**2 > MOST_CELLS:
        raise UserError(f"{arguments.chunks} chunks of {arguments.steps} steps are more than can be seen: take fewer.")
    if not arguments.out and not arguments.text:
        raise UserError("give --out FILE.png for a picture or --text for a table.")


def levels(arguments: argparse.Namespace):
    """Noise level of every chunk in every network call, [calls, chunks]."""
    a = arguments
    schedule = window_schedule(a.schedule, a.steps, offset=a.offset, chunks=a.together or a.chunks)
    ages = a.context or a.chunks
    return shown_levels(schedule, history_levels(a.history, ages, a.history_level, a.history_decay, a.history_span), a.chunks)


def table(matrix) -> str:
    """Text table with a line for each call; a dot means that a chunk is not in the window."""
    import numpy as np

    rows = [["call", *map(str, range(matrix.shape[1]))]]
    rows += [[str(m), *("." if np.isnan(level) else f"{level:.3f}" for level in row)] for m, row in enumerate(matrix)]
    return "\n".join(" ".join(f"{cell:>5}" for cell in row) for row in rows)


def title(arguments: argparse.Namespace) -> str:
    """Title of the figure, with the settings."""
    a, offset = arguments, f", offset {arguments.offset}" if arguments.schedule == "pyramid" else ""
    fall = {"geometric": f" × {a.history_decay:g} per chunk", "linear": f" to 0 in {a.history_span} chunks"}
    history = f"{a.history} history from {a.history_level:g}{fall.get(a.history, '')}"
    return f"{a.schedule.replace('_', ' ')}, {a.steps} steps{offset}\n{'clean history' if a.history == 'none' else history}"


def write_picture(arguments: argparse.Namespace, matrix) -> None:
    """Writes the schedule as an image.

    Raises:
        UserError: the file cannot be written.
    """
    from etils import epath

    from xactor_jax.evaluation.schedule_figure import schedule_picture
    from xactor_jax.targets import check_target
    from xactor_jax.unfinished import write_whole

    check_target(arguments.out, ".png")
    write_whole(epath.Path(arguments.out), schedule_picture(matrix, title=title(arguments)))


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error():
        check_usage(arguments)
        matrix = levels(arguments)
        if arguments.out:
            write_picture(arguments, matrix)
        if arguments.text:
            print(table(matrix))


if __name__ == "__main__":
    main()
