"""Puppets of a data set drawn again with other controls than their own, which is the truth of reenactment."""

from __future__ import annotations

import numpy as np
from etils import epath
from jaxtyping import Float, UInt8

from data.performers.clips import person_name
from data.puppets import face
from data.puppets.identity import make_identity
from data.records import clips_metadata, decode_frame, open_clips
from xactor_jax.evaluation.transfer import Draw

TOLERANCE = 12.0
"""Mean difference of a frame from its record, of 255, that JPEG explains; of another person it is several times that."""


def redrawer(path: epath.PathLike) -> Draw | None:
    """Draws the people of a data set; None where they are no puppets, or puppets that looked otherwise."""
    metadata = clips_metadata(path)
    if not {"persons", "clips_per_person", "size", "seed"} <= set(metadata):
        return None
    numbers = {person_name(person): person for person in range(metadata["persons"])}

    def draw(person: str, controls: Float[np.ndarray, "t controls"]) -> UInt8[np.ndarray, "t h w 3"]:
        return face.render(make_identity(metadata["seed"], numbers[person]), controls, metadata["size"])

    record = open_clips(path, "test")[0]
    again = draw(record["person"], record["controls"][:1])[0].astype(float)
    return draw if np.abs(again - decode_frame(record["frames"][0])).mean() < TOLERANCE else None
