"""Puppets as a body of the performers: drawn in two dimensions from the controls alone."""

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
KNOWS_UNITS = False


@dataclasses.dataclass(frozen=True)
class Puppet:
    """A puppet, which looks the same in all of its clips."""

    identity: Identity

    def render(self, acting: Acting, size: int, first: int = 0) -> UInt8[np.ndarray, "t size size 3"]:
        """RGB frames, one for each row of the controls; they do not depend on their place in the clip."""
        del first
        return face.render(self.identity, acting.controls, size)

    def component_boxes(self, acting: Acting) -> Float[np.ndarray, "t 2 4"]:
        """Boxes of (eyes with brows, mouth with chin), each (y0, x0, y1, x1) as fractions of the picture."""
        return face.component_boxes(self.identity, acting.controls)


def is_man(seed: int, person: int) -> None:
    """They are of no sex."""
    del seed, person


def make_figure(seed: int, person: int, clip: int, acting: Acting) -> Puppet:
    """The puppet, which is the same in all clips, and drawn without a camera that would be moved."""
    del clip, acting
    return Puppet(make_identity(seed, person))
