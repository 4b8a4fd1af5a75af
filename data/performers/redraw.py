"""People of a data set drawn again as somebody else moves, which is the truth of reenactment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import UInt8

from data.performers.bodies import BODY_KINDS, Body, Figure, load_body, perform, person_name
from data.performers.build import split_persons
from data.performers.performance import Acting
from data.records import clips_metadata, decode_frame, open_clips
from xactor_jax.clips import Draw, TrueClip
from xactor_jax.labels import UNITS

TOLERANCE = 12.0
"""Mean difference of a frame from its record, of 255, that JPEG explains; of another person it is several times that."""

RECIPE = {"persons", "clips_per_person", "num_frames", "size", "seed"}
"""What the metadata of a data set of performers has at least."""


def redrawer(path: epath.PathLike) -> Draw | None:
    """Draws the people of a data set; None where they are no performers, or performers that looked otherwise."""
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
    frames = decode_frame(record["frames"][0])[None]
    names = {name: record[name] for name in ("person", "clip")}
    truth = {name: record[name][:1] for name in ("controls", "units")}
    return TrueClip(frames=frames, waveform=np.zeros(0, np.float32), **names, **truth)


def _figures(body: Body, recipe: Mapping[str, Any]) -> Callable[[TrueClip], Figure]:
    """The person of a clip as they look in it: framed for all that they do in it, of which an evaluation may see a part."""
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
