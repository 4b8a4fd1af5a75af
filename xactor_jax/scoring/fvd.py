"""FVD: Fréchet distance between clips of the generated and of the true videos (Unterthiner et al. 2018).

d² of `xactor_jax/evaluation/frechet.py` between the features of `xactor_jax/metric_networks/i3d.py`.

Programs cut videos into clips in several ways: the first 16 frames, or 16 at a random place, or all of a short video. Here all
whole clips of 16 frames count, one after the other, so that the end of a long video counts as much as its beginning.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt8

from xactor_jax.metric_networks.i3d import I3DModel, I3DSettings
from xactor_jax.scoring.batches import Apply, apply_in_batches, batches
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.sets import rows, set_distance
from xactor_jax.scoring.video import Case, Video

CLIP = 16
"""Frames of a clip."""
BATCH = 2
"""Clips in a batch on each device."""
SANITY = 151.2565
"""Published FVD of 8 black clips against 8 white ones, of 30 frames of 64 × 64 pixels, with the released weights."""
SANITY_SPREAD = 1.0
"""By how much published programs differ from it: versions of PyTorch by about 1; TensorFlow's original gives 151.39."""
SANITY_SHAPE = (8, 30, 64, 64, 3)


def measure(case: Case, network: Network | None) -> Measured:
    """Features of all whole clips."""
    return Measured(values={}, features=_features_of(clips(case.generated), network, BATCH))


def pool(generated: Sequence[Float[np.ndarray, "_ d"]], true: Sequence[Float[np.ndarray, "_ d"]]) -> dict[str, float]:
    """FVD of the whole set; `nan` for fewer than two clips."""
    return {"fvd": set_distance(generated, true)}


def clips(video: Video) -> Iterator[UInt8[np.ndarray, "16 h w 3"]]:
    """Clips of `CLIP` frames that do not overlap; the frames that are left at the end are dropped."""
    return (clip for clip in batches(video.read(), CLIP) if len(clip) == CLIP)


def sanity(network: Network) -> tuple[float, float]:
    """(`SANITY`, the same number with this network). With the released weights they differ by less than `SANITY_SPREAD`."""
    count, *shape = SANITY_SHAPE
    # Equal clips have equal features, so one of each is computed.
    black, white = (_features_of(iter([np.full(shape, level, np.uint8)]), network, 1) for level in (0, 255))
    return SANITY, set_distance([np.repeat(black, count, axis=0)], [np.repeat(white, count, axis=0)])


def _features_of(
    found: Iterator[UInt8[np.ndarray, "t h w 3"]], network: Network | None, batch: int
) -> Float[np.ndarray, "n classes"]:
    settings = I3DModel.from_network(network.config.network).settings
    return rows(apply_in_batches(_features(settings), network.params, found, batch), settings.classes)


@functools.cache
def _features(settings: I3DSettings) -> Apply:
    """One compiled program for all videos of a size."""
    return jax.jit(I3DModel(settings).features)


PROTOCOL = Protocol(
    name="fvd",
    source="Unterthiner et al. 2018; VideoGPT's i3d_pretrained_400.pt, as in common_metrics_on_video_quality",
    definition=(
        "All whole clips of 16 frames of all generated videos, one after the other without overlap, against those of all true "
        "ones: shorter side resized to 224 pixels (bilinear, no low-pass filter), square in the middle; 400 logits of I3D "
        "(Kinetics-400); unbiased covariances."
    ),
    numbers=(Number(name="fvd", title="FVD", better="lower", digits=1),),
    measure=measure,
    kind="i3d",
    needs_truth=True,
    pool=pool,
    limits=(
        "It depends on the number of clips: compare only values of sets of the same size. With fewer than 400 clips "
        "(4.3 minutes of video) the covariance does not have full rank and the value is far too high. Papers cut and resize "
        "clips in other ways, so values of different programs cannot be compared. It sees nothing slower than 16 frames."
    ),
)
