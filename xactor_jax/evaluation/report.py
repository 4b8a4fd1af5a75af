"""The report: `report.json` for programs, and `report.html`, one file that includes its figures, for people."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.evaluation.motion_report import HEAD, trend_rows
from xactor_jax.unfinished import write_whole

Scores = Mapping[str, Any]

FACE_R2, POSE_R2, JAW, SHUFFLED, AUDIO_GAIN, GAIN = 0.85, 0.95, 0.8, 3.0, 2.0, 6.0
LIVELY = (0.85, 1.15)
DETAIL, BACKGROUND, FLICKER = (0.95, 1.05), (0.98, 1.02), (0.95, 1.10)
EMOTION = 0.10
ACROSS_GAIN, ACROSS_LOSS, IDENTITY = 5.0, 3.0, 0.95
"""Targets on held-out heads and held-out voices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A number of the scores that must be at least `least` and at most `most`."""

    name: str
    stage: str
    value: Callable[[Scores], float]
    least: Callable[[Scores], float]
    most: Callable[[Scores], float] = lambda s: math.inf
    beside: str = ""
    applies: Callable[[Scores], bool] = lambda s: True

    def check(self, scores: Scores) -> dict[str, Any]:
        """The outcome for the report. A value that is `nan` misses every target."""
        value, least, most = self.value(scores), self.least(scores), self.most(scores)
        bounds = {"at_least": least, "at_most": most if math.isfinite(most) else None}
        beside = self.beside.format(**scores)
        return {"name": self.name, "value": value, **bounds, "passed": least <= value <= most, "beside": beside}


def _ratio(field: str, name: str, bounds: tuple[float, float]) -> Target:
    """Target for one of `detail_scores`, in video from a person's own motion. It does not apply if no clip has this score."""
    return Target(
        name=name,
        stage="video",
        applies=lambda s: s["true_motion"].get(field) is not None,
        value=lambda s: s["true_motion"][field],
        least=lambda s: bounds[0],
        most=lambda s: bounds[1],
    )


TARGETS = (
    Target(
        name="R² of jaw, lip width, smile, brows and lids read from motion latents (mean)",
        stage="motion",
        value=lambda s: s["r2_face"],
        least=lambda s: FACE_R2,
    ),
    Target(
        name="R² of yaw, pitch and roll read from motion latents (mean)",
        stage="motion",
        value=lambda s: s["r2_pose"],
        least=lambda s: POSE_R2,
    ),
    Target(
        name="correlation of the generated jaw with the true one, within one frame of lag",
        stage="actor",
        value=lambda s: s["jaw_correlation"],
        least=lambda s: JAW,
        beside="true motion scores {jaw_correlation_true_motion:.2f}; best lag {jaw_best_lag} frames",
    ),
    Target(
        name="the same, compared with three times its value for another person's speech",
        stage="actor",
        value=lambda s: s["jaw_correlation"],
        least=lambda s: SHUFFLED * max(0.0, s["jaw_correlation_shuffled"]),
        beside="with another's speech {jaw_correlation_shuffled:.2f}",
    ),
    Target(
        name="error of jaw, lip width and rounding with another person's speech / with the right speech (audio gain)",
        stage="actor",
        value=lambda s: s["audio_gain"]["gain"],
        least=lambda s: AUDIO_GAIN,
        beside="true motion scores {audio_gain[true_motion]:.2f}",
    ),
    Target(
        name="standard deviation over time, generated / true (Std-R)",
        stage="actor",
        value=lambda s: s["std_ratio"],
        least=lambda s: LIVELY[0],
        most=lambda s: LIVELY[1],
    ),
    Target(
        name="standard deviation of frame differences, generated / true (VC-R)",
        stage="actor",
        value=lambda s: s["velocity_ratio"],
        least=lambda s: LIVELY[0],
        most=lambda s: LIVELY[1],
    ),
    Target(
        name="accuracy of the emotion read from generated motion, compared with true motion minus 0.10",
        stage="actor",
        applies=lambda s: s["emotion"] is not None,
        value=lambda s: s["emotion"]["accuracy"],
        least=lambda s: s["emotion"]["true_motion"] - EMOTION,
        beside="true motion {emotion[true_motion]:.2f}, another person's speech {emotion[other_speech]:.2f}, always the most "
        "frequent emotion {emotion[chance]:.2f}; {emotion[windows]:.0f} windows of 2 s",
    ),
    Target(
        name="PSNR of video from true motion minus that of the repeated reference, dB",
        stage="video",
        value=lambda s: s["gain_db"],
        least=lambda s: GAIN,
        beside="{true_motion[psnr]:.2f} dB against {reference_repeated[psnr]:.2f} dB",
    ),
    _ratio("detail", "fine detail of moving regions, rendered / true", DETAIL),
    _ratio("background", "fine detail of still regions, rendered / reference", BACKGROUND),
    _ratio("flicker", "change from frame to frame, rendered / true", FLICKER),
    Target(
        name="PSNR gain if another person's motion drives (truth: the person of the reference with that motion), dB",
        stage="transfer",
        value=lambda s: s["gain_db"],
        least=lambda s: ACROSS_GAIN,
        beside="{cross[psnr]:.2f} dB against {repeated[psnr]:.2f} dB",
    ),
    Target(
        name="PSNR if another person's motion drives, compared with one's own motion minus 3 dB",
        stage="transfer",
        value=lambda s: s["cross"]["psnr"],
        least=lambda s: s["same"]["psnr"] - ACROSS_LOSS,
        beside="own motion {same[psnr]:.2f} dB",
    ),
    Target(
        name="share of these frames whose inner face is classified as the person of the reference",
        stage="transfer",
        value=lambda s: s["identity"]["cross"],
        least=lambda s: IDENTITY,
        beside="true frames {identity[true_frames]:.2f}, classified as the driver {identity[cross_is_driver]:.2f}; "
        "of {identity[people]} people",
    ),
)


def check_targets(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Outcomes of the targets of all evaluated stages. Targets that need data which are not there are omitted."""
    present = [(target, scores[target.stage]) for target in TARGETS if target.stage in scores]
    return [target.check(s) for target, s in present if target.applies(s)]


def bounds(target: Mapping[str, Any]) -> str:
    """Text for the allowed range of a target."""
    least = f"{target['at_least']:.2f}"
    return f"at least {least}" if target["at_most"] is None else f"{least} to {target['at_most']:.2f}"


def share(value: float | None) -> str:
    """A number as a percentage; a dash for what is not known, which is None in the JSON of a report."""
    return "–" if value is None or math.isnan(value) else f"{value:.0%}"


def facts(scores: Mapping[str, Scores]) -> list[tuple[str, str]]:
    """Further numbers without a target: (name, value), with a number for comparison in the value."""
    rows: list[tuple[str, str]] = []
    if m := scores.get("motion"):
        identity = m["identity"]
        rows.append(("R² of the head's shift in the image (mean)", f"{m['r2_shift']:.2f}"))
        if "r2_units" in m:
            rows.append((f"R² of the {len(m['r2_unit'])} expression units that are used (mean)", f"{m['r2_units']:.2f}"))
        accuracy = f"{share(identity['frames'])} of frames, {share(identity['clips'])} of clips"
        rows.append((f"identity read from the latents of other clips, of {identity['people']:.0f} people", accuracy))
        rows.append(("the same by chance", share(identity["chance"])))
    if a := scores.get("actor"):
        rows += actor_facts(a)
    if v := scores.get("video"):
        rows.append(("SSIM of video from true motion", f"{v['true_motion']['ssim']:.3f}"))
        rows.append(("SSIM of the repeated reference", f"{v['reference_repeated']['ssim']:.3f}"))
        ratios = {"detail": "fine detail of moving regions", "background": "fine detail of still regions", "flicker": "flicker"}
        known = {name: v["true_motion"][name] for name in ratios if v["true_motion"].get(name) is not None}
        rows += [(f"{ratios[name]}, video from true motion / truth", f"{value:.2f}") for name, value in known.items()]
    if t := scores.get("transfer"):
        ssim = ", ".join(f"{t[name]['ssim']:.3f}" for name in ("cross", "same", "repeated"))
        rows.append(("SSIM with another person's motion, with one's own, and of the repeated reference", ssim))
    return rows


def actor_facts(a: Scores) -> list[tuple[str, str]]:
    """Further numbers of generated motion, each with the score of true motion."""
    beside = lambda value, true: f"{value:.2f} (true motion {true:.2f})"
    fmd, speed = a["fmd"], a["fmd_velocity"]
    return [
        ("Fréchet distance of motion latents to other true clips (FMD)", beside(fmd["across"], fmd["true_motion"])),
        ("the same to true motion of the same clips", f"{fmd['paired']:.2f}"),
        ("FMD of frame differences, to other clips", beside(speed["across"], speed["true_motion"])),
        ("jerk at the joins of chunks / inside chunks", beside(a["boundary_jerk"], a["boundary_jerk_true_motion"])),
        (f"distance between {a['seeds']} seeds / between true clips", f"{a['diversity']:.2f}"),
    ]


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2430; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .35rem .8rem; text-align: left; }
tr { border-bottom: 1px solid #e3e6eb; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
.numbers td + td { text-align: right; font-variant-numeric: tabular-nums; }
.reached { color: #15803d; } .missed { color: #b91c1c; } .beside { color: #667; }
img { max-width: 100%; } figure { margin: 1.5rem 0; } figcaption { color: #667; } code { font-size: .85em; }
"""


def table_of_targets(targets: list[dict[str, Any]]) -> str:
    """HTML table of the outcomes of targets."""
    rows = []
    for t in targets:
        verdict = "reached" if t["passed"] else "missed"
        cells = f'<td class="n">{t["value"]:.2f}</td><td class="n">{bounds(t)}</td><td class="{verdict}">{verdict}</td>'
        rows.append(f'<tr><td>{html.escape(t["name"])}</td>{cells}<td class="beside">{html.escape(t["beside"])}</td></tr>')
    head = "<tr><th>on held-out people and voices</th><th>value</th><th>target</th><th></th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """HTML table; the first column has names, the others have numbers."""
    line = lambda tag, cells: "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    lines = [line("th", head), *(line("td", row) for row in rows)]
    return f'<table class="numbers">{"".join(f"<tr>{cells}</tr>" for cells in lines)}</table>'


def table_over_time(report: Mapping[str, Any]) -> str:
    """HTML table of `motion_report.over_time`."""
    trends = report["trends"]
    return table(HEAD, trend_rows(trends["own"], trends["true"]))


def table_of_facts(rows: list[tuple[str, str]]) -> str:
    """HTML table of names and values."""
    cells = (f'<tr><td>{html.escape(name)}</td><td class="n">{html.escape(value)}</td></tr>' for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def inlined(picture: bytes, caption: str) -> str:
    """HTML of a PNG that is part of the page itself."""
    data = base64.b64encode(picture).decode()
    return f'<figure><img src="data:image/png;base64,{data}"><figcaption>{html.escape(caption)}</figcaption></figure>'


def body(report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Content of the report's HTML page. `pictures`: caption → PNG."""
    parts = [table_of_targets(report["targets"]), table_of_facts(facts(report["scores"]))]
    if over := report["scores"].get("actor", {}).get("over_time"):
        parts.append(table_over_time(over))
    parts += [inlined(picture, caption) for caption, picture in pictures.items()]
    origins = ", ".join(f"{name} {html.escape(o['hash'])}" for name, o in report["checkpoints"].items())
    return "".join([*parts, f'<p class="beside">Checkpoints: {origins}.</p>'])


def page(title: str, content: str) -> str:
    """A complete HTML page."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{html.escape(title)}</h1>{content}</body></html>\n'


def finite(value: Any) -> Any:
    """Replaces numbers that are not finite by None, because JSON does not have them."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(folder: epath.PathLike, report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """Writes `report.json` and `report.html` into an existing folder, local or gs://.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = epath.Path(folder)
    try:
        write_whole(folder / "report.html", page("xactor_jax: report", body(report, pictures)))
        write_whole(folder / "report.json", json.dumps(finite(report), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error}): name another folder.") from error
