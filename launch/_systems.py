"""The project's own systems on prepared clips, scored as videos.

launch/evaluate.py on real people and launch/benchmark/talking_heads.py do this.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch._clips import clip_sources
from launch._options import checkpoints, given, rollout_changes
from launch._scoring import load_judges, note, pairs_of, report_on, systems_of
from xactor_jax.errors import UserError

if TYPE_CHECKING:
    from etils import epath

    from xactor_jax.sampling.load import Models
    from xactor_jax.scoring.systems import Source

VIDEOS = "videos"
"""Folder of the report in which every system has a folder of videos."""
ORIGIN = "origin.json"

ABOUT = (
    "The portrait of every clip is its first frame. reference_repeated shows it in every frame; stage_1 moves it by stage 1's "
    "decoder and renderer renders it, with the clip's true motion; audio_driven renders motion that was generated from the "
    "clip's sound; across_people renders the changes of another person's motion, with that person's sound.",
    "All videos, the true ones too, were written by one encoder (H.264, crf 17), because compression itself changes numbers.",
)


def models_of(arguments: argparse.Namespace, stages: tuple[str, ...]):
    """The models, and their settings with the changes of the command line."""
    from xactor_jax.sampling.load import load_models
    from xactor_jax.sampling.pipeline import make_settings

    rollout = rollout_changes(arguments) | given(arguments, steps="actor_steps")
    models = load_models(checkpoints(arguments, stages), arguments.audio_checkpoint)
    return models, make_settings(models, rollout, given(arguments, steps="steps"))


def evaluate_systems(arguments: argparse.Namespace, models: Models, settings: Any, path: str, split: str) -> dict | None:
    """Writes the videos of this process's share of the clips, and scores them. The last process writes the report.

    Returns the content of the report; None while other processes are still busy.
    """
    from xactor_jax.scoring.studio import make_studio
    from xactor_jax.scoring.systems import Cast, true_videos, write_systems
    from xactor_jax.scoring.systems import pairs_of as own_pairs
    from xactor_jax.targets import make_folder

    folder, judges = make_folder(arguments.out), load_judges(arguments, true=True)
    cast = Cast.of(clip_sources(path, split, arguments.video_clips))
    studio = make_studio(models, settings, arguments.seed)
    origin = origin_of(arguments, models, settings, path, split)
    keep_origin(folder / VIDEOS, origin)
    mine = my_share(cast.sources, arguments.video_frames)
    write_systems(studio, cast, mine, arguments.video_frames, folder / VIDEOS, note)
    others, notes = pairs_of(systems_of(arguments.generated), true_videos(cast, folder / VIDEOS))
    pairs, names = [*own_pairs(studio, cast, folder / VIDEOS), *others], {cast.sources[i].name for i in mine}
    more = {**origin, "about": list(ABOUT), "people": sorted({source.person for source in cast.sources})}
    return report_on(arguments, judges, pairs, notes, more, names=names)


def my_share(sources: Sequence[Source], frames: int) -> list[int]:
    """Indices of this process's clips. All processes have about the same number of frames."""
    import jax

    from xactor_jax.sampling.jobs import balanced

    lengths = [float(min(frames, source.frames)) for source in sources]
    shares = balanced(lengths, jax.process_count())
    return [index for index, process in enumerate(shares) if process == jax.process_index()]


def origin_of(arguments: argparse.Namespace, models: Models, settings: Any, path: str, split: str) -> dict[str, Any]:
    """All that the videos depend on."""
    sizes = {name: getattr(arguments, name) for name in ("seed", "video_clips", "video_frames")}
    return {"checkpoints": models.origins, "settings": settings.to_dict(), "data": str(path), "split": split, **sizes}


def keep_origin(folder: epath.Path, origin: Mapping[str, Any]) -> None:
    """Writes what the videos in a folder were made with. Raises `UserError` if it has videos that were made otherwise."""
    from xactor_jax.unfinished import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(origin, indent=2) + "\n"
    try:
        if json.loads((folder / ORIGIN).read_text()) != json.loads(text):
            raise UserError(f"{folder} has videos of other checkpoints, clips or settings: name another folder with --out.")
    except FileNotFoundError:
        write_whole(folder / ORIGIN, text)
