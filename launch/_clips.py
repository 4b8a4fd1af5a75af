"""Clips for measurements. This connects `data` and `xactor_jax.evaluation`, which do not import each other."""

from __future__ import annotations

import argparse

from xactor_jax.errors import UserError


def true_clips(path, split: str, most: int, known: bool = False):
    """At most `most` decoded clips of a split (0: all), evenly spaced over its people. Real people have no controls.

    Raises:
        UserError: there is no such split, or `known` is set and a clip has no controls.
    """
    from data.encode import clip_frames, clip_waveform
    from data.records import open_clips
    from xactor_jax.clips import TrueClip
    from xactor_jax.evaluation.run import spread

    source = open_clips(path, split)
    records = [source[i] for i in spread(len(source), most or len(source))]
    if known and any(len(record["controls"]) == 0 for record in records):
        raise UserError(f"{path} has no true controls: evaluate on puppets or heads, or leave --data out.")
    names = ("person", "clip", "controls", "emotion", "units", "component_boxes")
    named = [{name: r[name] for name in names} for r in records]
    return [
        TrueClip(frames=clip_frames(r), waveform=clip_waveform(r["audio"]), **n) for r, n in zip(records, named, strict=True)
    ]


def data_path(arguments: argparse.Namespace, models):
    """The records in --data; else synthetic people of the kind that stage 1 was trained on, with a seed of no training."""
    from data.embedded import ensure_clips
    from launch.stages import default_config

    if arguments.data:
        return arguments.data
    config = default_config("motion")
    config.data.update(persons=arguments.persons, clips_per_person=arguments.clips_per_person, image_size=max(models.sides))
    config.data.seed = 1 + max(stage.config.data.seed for stage in models.present.values())
    trained_on = models.motion.config.data
    config.data.update(kind=trained_on.kind, voice=trained_on.voice)
    return ensure_clips(config)
