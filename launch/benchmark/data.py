"""Measures how fast one core makes training examples, by stage and image size, and how the time is spent.

    python launch/benchmark/data.py --sizes 64,256,512
    python launch/benchmark/data.py --data DIR                          # your own clips, made by launch/prepare.py

A clip is one record that is read; a stage makes data.examples_per_clip examples of it. Times are processor seconds in one
thread, with the files in the page cache, so they do not include the cost of disks and of other threads. The puppets of --sizes
compress better than videos of people. There are only 64 clips of them; with more clips, shuffling has a smaller share.
Latents and audio features are random numbers with the sizes of the stage's config. The renderer is also measured with
latents of pictures in the records: with drafts, which need the reference picture, and without, when it reads no clips.
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
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from launch import _root  # noqa: F401
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.settings import real

STAGES = ("motion", "autoencoder", "actor", "video")
VARIANTS = {
    "video": {},
    "video, latents": {"data.precomputed": "latents"},
    "video, latents, no drafts": {"data.precomputed": "latents", "network.draft": False},
}
"""Rows of the stage video, and the settings that they change."""
PARTS = {
    "read": ("records.py", "__getitem__"),
    "decode": ("frames.py", "decode_frames"),
    "shuffle": ("~", "index_shuffle"),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--stages", default=",".join(STAGES), help="separated by commas")
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
    write_encoded(folder, records, metadata={}, networks=["autoencoder"] if autoencoder else [])


def measure(config: Any, seconds: float) -> dict[str, Any]:
    """Clips and examples a second of processor time, and the share of every part, from a second round under the profiler."""
    from launch.stages import training_iterator

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
    inside = {
        part: sum(t[3] for (path, _, name), t in stats.stats.items() if path.split("/")[-1] == file and function in name)
        for part, (file, function) in PARTS.items()
    }
    percent = {f"% {part}": 100 * seconds / stats.total_tt for part, seconds in inside.items()}
    return {**percent, "% rest": 100 - sum(percent.values())}


def rows_of(stages: list[str], clips: str, label: str, seconds: float) -> list[dict[str, Any]]:
    """One row for each stage, and for each of `VARIANTS` of the renderer."""
    from xactor_jax.training.experiment import load_config
    from xactor_jax.video.autoencoder import AutoencoderSettings

    sizes = load_config("configs/actor.py").network
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        encoded, latents = (pathlib.Path(temporary) / name for name in ("encoded", "latents"))
        make_latents(encoded, clips, sizes.latent_dim, sizes.audio_dim)
        if "video" in stages:
            autoencoder = AutoencoderSettings.from_config(load_config("configs/video.py").autoencoder)
            make_latents(latents, clips, sizes.latent_dim, sizes.audio_dim, autoencoder)
        for stage in stages:
            for name, changes in (VARIANTS if stage == "video" else {stage: {}}).items():
                config = load_config(f"configs/{stage}.py")
                config.update_from_flattened_dict(changes)
                config.data.path, config.data.encoded_path = clips, str(latents if changes else encoded)
                rows.append({"stage": name, "pictures": label, **measure(config, seconds)})
    return rows


def main() -> None:
    """Ends with exit status 2 and one sentence for an error that the user can fix."""
    arguments = parser().parse_args()
    stages = arguments.stages.split(",")
    with exit_on_user_error(), tempfile.TemporaryDirectory() as temporary:
        if unknown := [stage for stage in stages if stage not in STAGES]:
            raise UserError(f"there is no stage {unknown[0]!r}: use {', '.join(STAGES)}.")
        if not all(size.isdecimal() and int(size) >= 16 for size in arguments.sizes.split(",")):
            raise UserError(f"--sizes {arguments.sizes} must be whole numbers of at least 16, with commas.")
        check_numbers(arguments, dict.fromkeys(("seconds", "clip_seconds"), real(0.0, 36_000.0, above=True)))
        import cv2

        from launch.benchmark import _table

        cv2.setNumThreads(1)
        rows = rows_of(stages, arguments.data, "given", arguments.seconds) if arguments.data else []
        for size in [] if arguments.data else arguments.sizes.split(","):
            folder = pathlib.Path(temporary) / size
            make_puppets(folder, int(size), arguments.clip_seconds)
            rows += rows_of(stages, str(folder), f"{size} px", arguments.seconds)
        _table.show(rows)
        _table.write(arguments.json, rows)


if __name__ == "__main__":
    main()
