"""Clips for measurements. This connects `data` and `xactor_jax.evaluation`, which do not import each other."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from typing import Any

from xactor_jax.errors import UserError


def true_clips(path, split: str, most: int, known: bool = False):
    """At most `most` decoded clips of a split (0: all), evenly spaced over its people. Real people have no controls.

    Raises:
        UserError: there is no such split, or `known` is set and a clip has no controls.
    """
    from data.records import open_clips
    from xactor_jax.evaluation.run import spread

    source = open_clips(path, split)
    records = [source[i] for i in spread(len(source), most or len(source))]
    if known and any(len(record["controls"]) == 0 for record in records):
        raise UserError(f"{path} has true controls of some clips only: evaluate on puppets or heads, or only on real people.")
    return [decoded(record) for record in records]


def decoded(record: Mapping[str, Any]):
    """A record as a clip with pictures and sound."""
    from data.encode import clip_frames, clip_waveform
    from xactor_jax.clips import TrueClip

    names = ("person", "clip", "controls", "emotion", "units", "component_boxes")
    same = {name: record[name] for name in names}
    return TrueClip(frames=clip_frames(record), waveform=clip_waveform(record["audio"]), **same)


def clip_sources(path, split: str, most: int):
    """At most `most` clips of a split (0: all), evenly spaced over its people, to be read when they are needed.

    Raises:
        UserError: there is no such split.
    """
    from data.records import open_clips
    from xactor_jax.evaluation.run import spread
    from xactor_jax.scoring.systems import Source

    clips = open_clips(path, split)
    name = lambda i: f"{clips.persons[i]}_{clips.clips[i]}".replace("/", "__")
    read = lambda i: functools.partial(lambda i: decoded(clips[i]), i)
    return [Source(name(i), clips.persons[i], clips.num_frames[i], read(i)) for i in spread(len(clips), most or len(clips))]


def has_controls(path, split: str) -> bool:
    """Whether the clips of a split have true controls, as those of synthetic people do. Raises `UserError` as `true_clips`."""
    from data.records import open_clips

    return len(open_clips(path, split)[0]["controls"]) > 0


def data_path(arguments: argparse.Namespace, models):
    """The records in --data; else synthetic people of the kind that stage 1 was trained on, with a seed of no training."""
    from configs.stages import default_config
    from data.embedded import ensure_clips

    if arguments.data:
        return arguments.data
    config = default_config("motion")
    config.data.update(persons=arguments.persons, clips_per_person=arguments.clips_per_person, image_size=max(models.sides))
    config.data.seed = 1 + max(stage.config.data.seed for stage in models.present.values())
    trained_on = models.motion.config.data
    config.data.update(kind=trained_on.kind, voice=trained_on.voice)
    return ensure_clips(config)
