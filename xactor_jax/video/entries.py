"""Which pictures, and which precomputed values in their place, a phase of the renderer's training reads.

The autoencoder and CLIP's image encoder are frozen, so what they compute from a frame is the same in every epoch. Encoded
records can have it (launch/encode.py --autoencoder, --image_encoder). Pixels are then only read for what is left:

    frames       the losses of the phase `finish` compare pictures; a motion encoder that is trained too encodes augmented
                 frames, and the reference, in every step
    reference    drafts are drawn from the reference picture (draft.py): they depend on the pair of frames, so neither they nor
                 their latents can be computed in advance; `finish` reports how far the reference is from the true frames
"""

from __future__ import annotations

from typing import NamedTuple

from ml_collections import ConfigDict

PRECOMPUTED = ("none", "latents", "all")
"""Values that records may have: none, the latents of pictures, or these and their embeddings."""


class BatchEntries(NamedTuple):
    """Whether a batch has these entries; task.py describes them."""

    frames: bool = True
    reference: bool = True
    frame_latents: bool = False
    reference_latent: bool = False
    reference_embedding: bool = False

    @property
    def pixels(self) -> bool:
        """Whether any picture is read."""
        return self.frames or self.reference


PIXELS = BatchEntries()
"""The entries of a phase without a trained motion encoder, where nothing is precomputed."""


def batch_entries(config: ConfigDict) -> BatchEntries:
    """The entries of a batch for a config of the video stage. This is the one place that decides what a phase reads."""
    finish, trains_motion, embeds = config.phase == "finish", config.train_motion, config.clip.depth > 0
    latents, embeddings = (config.data.precomputed in PRECOMPUTED[level:] for level in (1, 2))
    own = config.network.draft or trains_motion or finish
    return BatchEntries(
        frames=finish or trains_motion or not latents,
        reference=own or not latents or (embeds and not embeddings),
        frame_latents=latents and not finish,
        reference_latent=latents,
        reference_embedding=embeds and embeddings,
    )
