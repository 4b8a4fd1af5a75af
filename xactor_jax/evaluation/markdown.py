"""Tables of docs/results.md from the JSON of a report, in Markdown.

The programs that measure write these reports: launch/evaluate.py (report.json), and of launch/study compare_motion.py
(report.json), compare_video.py (comparison.json) and drift.py (drift.json).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xactor_jax.errors import UserError
from xactor_jax.evaluation import drift_page, report, side_by_side

Report = Mapping[str, Any]
Table = tuple[Sequence[str], list[list[str]]]
"""Head and rows; the cells of a row are as many as those of the head."""

DECODED = ("", "PSNR, dB", "over repeating the reference, dB", "SSIM", "L1 (repeated)", "better; at the mouth")
RATIOS = ("detail", "background", "flicker")


def shown(value: float | None, form: str = ".2f") -> str:
    """A number, or a dash for one that is unknown."""
    return "–" if value is None else format(value, form)


def evaluation_table(content: Report) -> Table:
    """The targets of launch/evaluate.py, then the other numbers of its report, which have no target."""
    bounds = lambda t: (shown(t["at_least"]), *([shown(t["at_most"])] if t["at_most"] is not None else []))
    rows = [[t["name"], shown(t["value"]), "–".join(bounds(t)), t["beside"]] for t in content["targets"]]
    facts = [[name, value, "", ""] for name, value in report.facts(content["scores"])]
    return ("", "reached", "target", "for comparison"), rows + facts


def decoder_table(content: Report) -> Table:
    """Stage 1's decoders, as launch/study/compare_motion.py measures them."""
    return (*DECODED, *RATIOS), [_decoder_row(name, scores) for name, scores in content["scores"].items()]


def _decoder_row(name: str, scores: Report) -> list[str]:
    own, repeated = scores["true_motion"], scores["reference_repeated"]
    l1 = f"{shown(own['l1'], '.4f')} ({shown(repeated['l1'], '.4f')})"
    better = f"{shown(scores['better'], '.0%')}; {shown(scores['better_mouth'], '.0%')}"
    quality = [shown(own["psnr"]), shown(scores["gain_db"], "+.2f"), shown(own["ssim"], ".3f"), l1, better]
    return [name, *quality, *(shown(own[ratio]) for ratio in RATIOS)]


def renderer_table(content: Report) -> Table:
    """Renderers side by side, as launch/study/compare_video.py measures them."""
    return side_by_side.HEAD, side_by_side.rows(content["renderers"])


def drift_table(content: Report) -> Table:
    """Long performances, as launch/study/drift.py measures them."""
    return drift_page.rows(content["measured"])


KINDS: dict[str, Callable[[Report], Table]] = {
    "targets": evaluation_table,
    "renderers": renderer_table,
    "measured": drift_table,
    "scores": decoder_table,
}
"""What only a report of one kind has, the first that is found → its table."""


def table_of(content: Any) -> Table:
    """The table of a report of any kind. Raises `UserError` for what is no such report."""
    try:
        return next(table for name, table in KINDS.items() if name in content)(content)
    except (StopIteration, KeyError, TypeError, AttributeError):
        raise UserError(
            "this is no report of launch/evaluate.py, score.py, compare_motion.py, compare_video.py or drift.py: name its JSON."
        ) from None
