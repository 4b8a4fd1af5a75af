"""Measures how fast one core makes training examples, by stage and image size, and how the time is spent.

    python launch/benchmark/data.py --sizes 64,256,512
    python launch/benchmark/data.py --data DIR                          # your own clips, made by launch/prepare.py
    python launch/benchmark/data.py --presets base --sizes 256,512 --need    # also the cores that accelerators would need

A clip is one record that is read; a stage makes data.examples_per_clip examples of it. Times are processor seconds in one
thread, with the files in the page cache, so they do not include the cost of disks and of other threads. The puppets of --sizes
compress better than videos of people. There are only 64 clips of them; with more clips, shuffling has a smaller share.
Latents and audio features are random numbers with the sizes of the stage's config. The renderer is also measured with
latents of pictures in the records: with drafts, which need the reference picture, and without, when it reads no clips.

--need computes, from the FLOPs of a preset's training step, its speed at half the published peak of one H200, of eight, and of
a host with eight v5e, and how many cores its data then takes (launch/benchmark/_need.py). Examples per second of a core are
those measured here; a core of another machine may be faster or slower.
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import pathlib
import pstats
import sys
import tempfile
import time
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from launch.benchmark import _need
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import real
from xactor_jax.training.experiment import unknown_setting
from xactor_jax.training.plan import Setting, Step, config_of, parse_setting

STAGES = ("motion", "autoencoder", "actor", "video")
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "video": {
        "video": {"data.precomputed": "none"},
        "video, latents": {"data.precomputed": "latents"},
        "video, latents, no drafts": {"data.precomputed": "latents", "network.draft": False},
    }
}
"""Stage → its rows, and the settings that they change."""
PARTS = {
    "read": {("records.py", "__getitem__"), ("split_files.py", "read_pieces")},
    "decode": {("~", "imdecode"), ("frames.py", "_frame_of"), ("frames.py", "to_rgb")},
    "shuffle": {("~", "index_shuffle")},
}


class Experiment(NamedTuple):
    """A preset of a stage, with changed settings."""

    stage: str
    preset: str
    settings: list[Setting]

    def config(self, side: int = 0) -> Any:
        """The config for pictures of that side; 0: of its own. Raises `UserError` for a preset or setting that is unknown."""
        from configs.stages import STAGES as ENTRIES

        config = config_of(Step(self.stage, self.stage, self.preset, 1.0), self.settings)
        if side and (name := ENTRIES[self.stage].data.side):
            config.update_from_flattened_dict({name: side, "data.image_size": side})
        return config


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--stages", default=",".join(STAGES), help="separated by commas")
    add("--presets", default="default", help="presets of the stages' configs, separated by commas; each stage must have them")
    add(
        "--set",
        action="append",
        default=[],
        metavar="[STAGE:]KEY=VALUE",
        help="a setting of all stages that have it, or of one",
    )
    add("--need", action="store_true", help="also compute how many cores feed an H200, eight of them, and a v5e-8 host")
    add("--sizes", default="64,256,512", help="image sizes in pixels of puppets that are made for this, separated by commas")
    add("--data", default="", metavar="DIR", help="measure these clips instead of puppets")
    add("--clip_seconds", type=float, default=5.0, help="length of a puppet's clip")
    add("--seconds", type=float, default=5.0, help="shortest duration of each measurement")
    add("--json", default="", metavar="FILE", help="also write the numbers to this file")
    return about


def make_puppets(folder: pathlib.Path, size: int, seconds: float) -> None:
    """Writes 64 clips of four people. To save time, one second is drawn of each person and then repeated."""
    import numpy as np

    from data.performers.clips import make_clip
    from data.puppets import body
    from data.records import write_clips
    from xactor_jax.timing import FRAME_RATE

    times = max(1, round(seconds))
    repeat = lambda x: list(x) * times if isinstance(x, list) else np.concatenate([x] * times)
    names = ("frames", "audio", "emotion", "emotion_intensity", "controls", "component_boxes")
    clips = [make_clip(body, 0, person, 0, FRAME_RATE, size) for person in range(4)]
    longer = [dataclasses.replace(clip, **{name: repeat(getattr(clip, name)) for name in names}) for clip in clips]
    write_clips(folder, {"train": (dataclasses.replace(clip, clip=f"{i:02d}") for i in range(16) for clip in longer)})


def make_latents(folder: pathlib.Path, clips: str, latent_dim: int, audio_dim: int, autoencoder: Any = None) -> None:
    """Writes random latents and audio features for every clip of the training split; with settings of an `autoencoder`, also
    latents of pictures.
    """
    import numpy as np

    from data.encoded import EncodedClip, write_encoded
    from data.frames import decode_frames
    from data.records import open_clips

    def pictures(clip: dict[str, Any]) -> dict[str, Any]:
        cells = decode_frames(clip["frames"], [0]).shape[1] // autoencoder.factor
        shape = (len(clip["frames"]), cells, cells, autoencoder.latent_channels)
        latents = np.random.default_rng(0).standard_normal(shape, np.float32)
        return {"picture_latents": latents, "component_boxes": clip["component_boxes"]}

    def encoded(clip: dict[str, Any]) -> EncodedClip:
        kept = {name: clip[name] for name in ("person", "clip", "emotion", "emotion_intensity", "controls")}
        numbers = lambda size: np.random.default_rng(0).normal(size=(len(clip["frames"]), size)).astype(np.float32)
        kept |= pictures(clip) if autoencoder else {}
        return EncodedClip(**kept, motion_latents=numbers(latent_dim), audio_features=numbers(audio_dim))

    records = {"train": map(encoded, open_clips(clips, "train"))}
    networks, metadata = (["autoencoder"], {"autoencoder_hash": "random"}) if autoencoder else ([], {})
    write_encoded(folder, records, metadata=metadata, networks=networks)


def measure(config: Any, seconds: float) -> dict[str, Any]:
    """Clips and examples a second of processor time, and the share of every part, from a second round under the profiler."""
    from configs.stages import training_iterator

    config.data.threads, config.batch_size = 0, 4 * config.data.examples_per_clip
    batches = training_iterator(config, "train")
    next(batches)
    count, start = 0, time.process_time()
    while count < 3 or time.process_time() - start < seconds:
        next(batches)
        count += 1
    rate = 4 * count / (time.process_time() - start)
    with cProfile.Profile(time.process_time) as profile:
        for _ in range(count):
            next(batches)
    return {"clips/s": rate, "examples/s": rate * config.data.examples_per_clip, **shares(pstats.Stats(profile))}


def shares(stats: pstats.Stats) -> dict[str, float]:
    """Percentage of the time in each of `PARTS` and in the rest: choosing, stacking and batching."""
    seconds = lambda file, of: sum(t[3] for (path, _, name), t in stats.stats.items() if path.endswith(file) and of in name)
    inside = {part: sum(seconds(*place) for place in places) for part, places in PARTS.items()}
    percent = {f"% {part}": 100 * seconds / stats.total_tt for part, seconds in inside.items()}
    return {**percent, "% rest": 100 - sum(percent.values())}


def rows_of(experiments: list[Experiment], clips: str, label: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each experiment on the same clips, and for each of `VARIANTS` of the renderer."""
    from data.frames import decode_frames
    from data.records import open_clips

    side = decode_frames(open_clips(clips, "train")[0]["frames"], [0]).shape[1]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for experiment in experiments:
            for name, changes in VARIANTS.get(experiment.stage, {experiment.stage: {}}).items():
                config = experiment.config(side)
                config.update_from_flattened_dict(changes)
                config.data.path, config.data.encoded_path = clips, str(latents_of(config, pathlib.Path(temporary), clips))
                row = {"stage": name, "preset": experiment.preset, "pictures": label, "side": side}
                flops = (
                    {"GFLOP/example": 1e-9 * _need.example_flops(config.copy_and_resolve_references())}
                    if arguments.need
                    else {}
                )
                rows.append({**row, "batch": config.batch_size, **flops, **measure(config, arguments.seconds)})
    return rows


def latents_of(config: Any, folder: pathlib.Path, clips: str) -> pathlib.Path:
    """Folder of random latents and audio features of the sizes that the stage reads. Made once for each pair of sizes."""
    from configs.stages import STAGES as ENTRIES
    from data.fit import value_of
    from xactor_jax.training.experiment import load_config
    from xactor_jax.video.autoencoder import AutoencoderSettings

    of, actor = ENTRIES[config.stage].data, load_config("configs/actor.py").network
    latent_dim = value_of(config, of.latents) if of.latents else actor.latent_dim
    audio_dim = value_of(config, of.features) if of.features else actor.audio_dim
    pictures = config.data.get("precomputed", "none") == "latents"
    encoded = folder / f"{latent_dim}-{audio_dim}-{pictures}"
    if not encoded.exists():
        autoencoder = AutoencoderSettings.from_config(config.autoencoder) if pictures else None
        make_latents(encoded, clips, latent_dim, audio_dim, autoencoder)
    return encoded


def needed(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the second table for a row of the first one with its FLOPs: the cores that each machine needs."""
    load = _need.Load(1e9 * row["GFLOP/example"], row["batch"], row["examples/s"])
    of = {name: row[name] for name in ("stage", "preset", "pictures")}
    return [{**of, **cells} for cells in _need.needs(load, _need.goal_of(row["stage"].split(",")[0], row["side"]))]


def chosen(arguments: argparse.Namespace) -> list[Experiment]:
    """The experiments of the options. Raises `UserError` for options that are not possible."""
    stages = arguments.stages.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise UserError(f"there is no stage {unknown[0]!r}: use {', '.join(STAGES)}.")
    if not all(size.isdecimal() and int(size) >= 16 for size in arguments.sizes.split(",")):
        raise UserError(f"--sizes {arguments.sizes} must be whole numbers of at least 16, with commas.")
    check_numbers(arguments, dict.fromkeys(("seconds", "clip_seconds"), real(0.0, 36_000.0, above=True)))
    settings = [parse_setting(text, [Step(stage, stage, "", 1.0) for stage in stages]) for text in arguments.set]
    experiments = [Experiment(stage, preset, settings) for preset in arguments.presets.split(",") for stage in stages]
    configs = [experiment.config() for experiment in experiments]
    for setting in settings:
        if not any(setting.concerns(Step(config.stage, config.stage, "", 1.0), config) for config in configs):
            raise unknown_setting(setting.key, configs[0])
    return experiments


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    with exit_on_user_error(), tempfile.TemporaryDirectory() as temporary:
        experiments = chosen(arguments)
        import cv2

        from launch.benchmark import _table

        cv2.setNumThreads(1)
        rows = rows_of(experiments, arguments.data, "given", arguments) if arguments.data else []
        for size in [] if arguments.data else arguments.sizes.split(","):
            folder = pathlib.Path(temporary) / size
            make_puppets(folder, int(size), arguments.clip_seconds)
            rows += rows_of(experiments, str(folder), f"{size} px", arguments)
        _table.show(rows)
        if arguments.need:
            needs = [line for row in rows for line in needed(row)]
            print(f"\nComputed for {_need.UTILISATION:.0%} of the published peak:")
            _table.show(needs)
            rows = {"measured": rows, "computed": needs}
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
