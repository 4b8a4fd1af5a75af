"""Draws a person of a data set with the motion of another clip: the ground truth of reenactment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import UInt8

from data.frames import decode_frames
from data.performers.bodies import BODY_KINDS, Body, Figure, load_body, perform, person_name
from data.performers.build import split_persons
from data.performers.performance import Acting
from data.records import clips_metadata, open_clips
from xactor_jax.clips import Draw, TrueClip
from xactor_jax.labels import UNITS

TOLERANCE = 12.0
"""Largest mean difference, of 255, of a drawn frame from its record. JPEG causes less, another person several times it."""

RECIPE = {"persons", "clips_per_person", "num_frames", "size", "seed"}
"""Names that the metadata of a data set of performers has at least."""


def redrawer(path: epath.PathLike) -> Draw | None:
    """A function that draws the people of a data set; None if they are no performers, or do not look like the records."""
    metadata = clips_metadata(path)
    kind = metadata.get("kind", "puppets")
    if not set(metadata) >= RECIPE or kind not in BODY_KINDS:
        return None
    figures = _figures(load_body(kind), metadata)

    def draw(target: TrueClip, driver: TrueClip) -> UInt8[np.ndarray, "t h w 3"]:
        return figures(target).render(_acting(driver), metadata["size"])

    clip = _first_frame(path)
    difference = draw(clip, clip).astype(float) - clip.frames
    return draw if np.abs(difference).mean() < TOLERANCE else None


def _acting(clip: TrueClip) -> Acting:
    return Acting(clip.controls, np.zeros((0, len(UNITS))) if clip.units is None else clip.units)


def _first_frame(path: epath.PathLike) -> TrueClip:
    record = open_clips(path, "test")[0]
    frames = decode_frames(record["frames"], [0])
    names = {name: record[name] for name in ("person", "clip")}
    truth = {name: record[name][:1] for name in ("controls", "units")}
    return TrueClip(frames=frames, waveform=np.zeros(0, np.float32), **names, **truth)


def _figures(body: Body, recipe: Mapping[str, Any]) -> Callable[[TrueClip], Figure]:
    """The person of a clip. The camera depends on the whole clip, so the whole performance is made again."""
    seed, frames, voice = recipe["seed"], recipe["num_frames"], recipe.get("voice", body.VOICE)
    people = {
        person_name(body, person): (person, split)
        for split, persons in split_persons(recipe["persons"], seed).items()
        for person in persons
    }

    def figure(clip: TrueClip) -> Figure:
        person, split = people[clip.person]
        performance = perform(body, seed, person, int(clip.clip), frames, voice=voice, split=split)
        return body.make_figure(seed, person, int(clip.clip), performance.acting)

    return figure
