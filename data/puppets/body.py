"""Puppets as a body of the performers: drawn in two dimensions, from the controls only."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from data.performers.performance import Acting
from data.performers.voices import VoiceKind
from data.puppets import face
from data.puppets.identity import Identity, make_identity

PERSON = "puppet"
GENERATOR = 2
VOICE: VoiceKind = "formant"
HAS_UNITS = False


@dataclasses.dataclass(frozen=True)
class Puppet:
    """A puppet. It looks the same in all of its clips."""

    identity: Identity

    def render(self, acting: Acting, size: int, first: int = 0) -> UInt8[np.ndarray, "t size size 3"]:
        """RGB frames, one per row of the controls. They do not depend on `first`."""
        del first
        return face.render(self.identity, acting.controls, size)

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
        return face.component_boxes(self.identity, acting.controls)


def is_man(seed: int, person: int) -> None:
    """None: puppets have no sex."""
    del seed, person


def make_figure(seed: int, person: int, clip: int, acting: Acting) -> Puppet:
    """The puppet of a person. It does not depend on the clip, and no camera is placed."""
    del clip, acting
    return Puppet(make_identity(seed, person))
