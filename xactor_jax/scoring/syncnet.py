"""Sync-C and Sync-D (in other papers LSE-C and LSE-D): whether lips and sound belong together, by SyncNet v2.

With the embeddings v_i of frames i to i + 4 and a_i of the sound from that moment on (`metric_networks/syncnet.py`), n of each:

    (1) d_i(δ) = ‖v_i − a_{i+δ} + 10⁻⁶‖,  δ = −15 … 15;  a = 0 before the first window and after the last
    (2) D(δ) = Σ_i d_i(δ) / n,            n = min(frames, ⌊samples / 640⌋) − 5
    (3) Sync-D = D(δ*),   Sync-C = median_δ D(δ) − D(δ*),   offset = −δ*,   δ* = argmin D

The offset is positive where the sound is ahead: it fits the lips best if it is delayed by so many frames. Sync-D and Sync-C are
the means over frames of d_i(δ*) and of median D − d_i(δ*), which are therefore their curves. (The published program prints the
latter after a median over nine frames, whose mean is another number.)

Source: Chung & Zisserman 2016, "Out of time: automated lip sync in the wild"; `SyncNetInstance.evaluate` and `run_pipeline.py`
of github.com/joonson/syncnet_python. Sound is 16 kHz, mono, 16 bits; column 4 i of its MFCC begins with frame i. For the
pictures see `syncnet_crop.py`.
"""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Float, Int16, Shaped

from xactor_jax.metric_networks.mfcc import HOP, int16, mfcc
from xactor_jax.metric_networks.syncnet import COLUMNS, FRAMES, SyncNetSettings, embed_lips, embed_sound
from xactor_jax.scoring.batches import apply_in_batches
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.syncnet_crop import Piece, face_piece, whole_piece
from xactor_jax.scoring.video import Case, Video
from xactor_jax.timing import SAMPLES_PER_FRAME

REACH = 15
"""Largest δ, frames."""
EPSILON = 1e-6
"""Added to each coordinate of a difference, by PyTorch's `pairwise_distance`."""
LEFT_OUT = 5
"""Frames at the end at which no window begins."""
BATCH = 8
"""Windows for each device in a batch."""

NUMBERS = (
    Number(name="sync_c", title="Sync-C", better="higher"),
    Number(name="sync_d", title="Sync-D", better="lower"),
    Number(name="sync_offset", title="AV offset, frames", better="truth", digits=1),
)
NOTHING = Measured(values={number.name: float("nan") for number in NUMBERS})

Cut = Callable[[Video], Piece | None]
"""Chooses the frames of a video that are scored, and crops them."""
Vector = Float[np.ndarray, "d"]


def measure(case: Case, network: Network | None, cut: Cut = face_piece, batch: int = BATCH) -> Measured:
    """Equations 1 to 3 for the generated video. All are `nan` without a face, sound, or at least six frames."""
    video = case.generated
    piece = cut(video) if video.waveform is not None else None
    if piece is None:
        return NOTHING
    start, end = (SAMPLES_PER_FRAME * frame for frame in (piece.first, piece.first + piece.count))
    samples = int16(video.waveform[start:end])
    count = min(piece.count, len(samples) // SAMPLES_PER_FRAME) - LEFT_OUT
    if count < 1:
        return NOTHING
    lips, sound = lip_vectors(network, piece, count, batch), sound_vectors(network, samples, count, batch)
    return scores(np.stack(list(distances(lips, sound))), piece.first, video.count)


def lip_vectors(network: Network, piece: Piece, count: int, batch: int) -> Iterator[Vector]:
    """v of the first `count` windows of frames. Colours are in the order blue, green, red, as OpenCV reads them."""
    windows = itertools.islice(sliding((crop[..., ::-1] for crop in piece.crops), FRAMES), count)
    embed = functools.partial(embed_lips, SyncNetSettings.from_network(network.config.network))
    return itertools.chain.from_iterable(apply_in_batches(embed, network.params, windows, batch))


def sound_vectors(network: Network, samples: Int16[np.ndarray, "samples"], count: int, batch: int) -> Iterator[Vector]:
    """a of the first `count` windows of MFCC."""
    cepstra, step = mfcc(samples).T.astype(np.float32), SAMPLES_PER_FRAME // HOP
    windows = (cepstra[:, step * i : step * i + COLUMNS] for i in range(count))
    embed = functools.partial(embed_sound, SyncNetSettings.from_network(network.config.network))
    return itertools.chain.from_iterable(apply_in_batches(embed, network.params, windows, batch))


def sliding(rows: Iterable[Shaped[np.ndarray, "*shape"]], size: int) -> Iterator[Shaped[np.ndarray, "{size} *shape"]]:
    """All windows of `size` consecutive rows."""
    held: collections.deque[np.ndarray] = collections.deque(maxlen=size)
    for row in rows:
        held.append(row)
        if len(held) == size:
            yield np.stack(held)


def distances(lips: Iterable[Vector], sound: Iterable[Vector]) -> Iterator[Float[np.ndarray, "31"]]:
    """d_i(δ) of each i in turn, for all δ in order (equation 1). Only the sound around i is kept in memory."""
    sound = iter(sound)
    first = next(sound)
    silence = [np.zeros_like(first)] * REACH
    windows = sliding(itertools.chain(silence, [first], sound, silence), 2 * REACH + 1)
    for v, near in zip(lips, windows, strict=True):
        yield np.linalg.norm(v - near + np.float32(EPSILON), axis=1)


def scores(d: Float[np.ndarray, "n 31"], first: int, frames: int) -> Measured:
    """Equations 3 of the distances of frames `first` to `first + n` of a video of so many frames, and their curves."""
    mean = d.mean(axis=0, dtype=np.float64)
    best, median = int(np.argmin(mean)), float(np.median(mean))
    values = {"sync_c": median - float(mean[best]), "sync_d": float(mean[best]), "sync_offset": float(REACH - best)}
    placed = lambda curve: np.pad(curve, (first, frames - first - len(curve)), constant_values=np.nan)
    return Measured(values=values, curves={"sync_c": placed(median - d[:, best]), "sync_d": placed(d[:, best])})


def make_protocol(cropped: bool = False, batch: int = BATCH) -> Protocol:
    """The protocol.

    Args:
        cropped: whether the videos are crops of faces already, as `run_pipeline.py` makes them.
        batch: windows for each device in a batch; it changes only the speed.
    """
    track = "The longest face track, cropped as by run_pipeline.py, but around landmarks and not S3FD's boxes"
    return Protocol(
        name="syncnet_cropped" if cropped else "syncnet",
        source="Chung & Zisserman 2016; github.com/joonson/syncnet_python (SyncNet v2, run_syncnet.py)",
        definition=f"{'Whole frames' if cropped else track}; 224 px, 25 fps, windows of 5 frames and 20 columns of MFCC. "
        "Distances are averaged over frames for each of 31 shifts: Sync-D is the least, Sync-C the median minus the least.",
        numbers=NUMBERS,
        measure=functools.partial(measure, cut=whole_piece if cropped else face_piece, batch=batch),
        kind="syncnet",
        needs_sound=True,
        limits="Crops and codecs change it: another codec by itself moves it by 0.4 to 1.2. Systems trained with SyncNet "
        "can exceed true video, so compare with its value. The shorter a clip, the more count the zeros beyond its ends.",
    )


PROTOCOL = make_protocol()
