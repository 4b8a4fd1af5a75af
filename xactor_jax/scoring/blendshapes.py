"""Expression units of MediaPipe's Face Landmarker, against those of the true video.

With u_t the 51 units of a frame (ARKit's without tongueOut, 0 to 1) and ũ_t those of the true video:

(1)  jaw       max over |ℓ| ≤ 3 of corr(u[t + ℓ], ũ[t]) for jawOpen, and its ℓ (positive: the generated jaw is late)
(2)  distance  mean over frames and units of |u − ũ|

Needs the package mediapipe and its file face_landmarker.task, which this project does not contain. Install the package with
`pip install --no-deps mediapipe`: its other dependencies replace OpenCV by one without the cascades.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float
from ml_collections import ConfigDict

from xactor_jax.errors import UserError
from xactor_jax.labels import UNITS
from xactor_jax.scoring.curves import lagged, mean
from xactor_jax.scoring.lips_truth import MOST
from xactor_jax.scoring.protocol import Measured, Network, Number, Protocol
from xactor_jax.scoring.video import Case, Video
from xactor_jax.timing import FRAME_RATE

READ = tuple(unit for unit in UNITS if unit != "tongueOut")
"""The units that MediaPipe gives, in our order."""

JAW = READ.index("jawOpen")


def library() -> ModuleType:
    """The package. Raises `UserError` if it is not installed."""
    try:
        import mediapipe
    except ImportError:
        raise UserError("blendshapes are read by MediaPipe: pip install --no-deps mediapipe.") from None
    return mediapipe


def open_task(path: epath.PathLike) -> Network:
    """Face Landmarker in a file face_landmarker.task, as the network of this protocol. Raises `UserError`."""
    library()
    file = epath.Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {path}: give the path of MediaPipe's face_landmarker.task.")
    return Network(ConfigDict({"path": str(file)}), None, hashlib.sha256(file.read_bytes()).hexdigest()[:12])


def landmarker(path: str) -> Any:
    """A Face Landmarker that follows one face through a video."""
    tasks = library().tasks
    options = tasks.vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=path),
        running_mode=tasks.vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
    )
    return tasks.vision.FaceLandmarker.create_from_options(options)


def units_of(video: Video, path: str) -> Float[np.ndarray, "t 51"]:
    """Units of every frame; `nan` without a face."""
    with landmarker(path) as reader:
        return np.stack(list(_units(video, reader)))


def _units(video: Video, reader: Any) -> Iterator[Float[np.ndarray, "51"]]:
    image = library().Image
    for t, frame in enumerate(video):
        picture = image(image_format=library().ImageFormat.SRGB, data=np.ascontiguousarray(frame))
        faces = reader.detect_for_video(picture, round(1000 * t / FRAME_RATE)).face_blendshapes
        found = {unit.category_name: unit.score for unit in faces[0]} if faces else {}
        yield np.array([found.get(name, np.nan) for name in READ])


def compared(generated: Float[np.ndarray, "t 51"], true: Float[np.ndarray, "u 51"]) -> Measured:
    """Equations 1 and 2."""
    frames = min(len(generated), len(true))
    generated, true = generated[:frames], true[:frames]
    jaw, lag = lagged(generated[:, JAW], true[:, JAW], MOST)
    distance = np.abs(generated - true).mean(axis=1)
    values = {"jaw_truth": jaw, "jaw_truth_lag": lag, "blendshape_distance": mean(distance)}
    return Measured(values=values, curves={"blendshape_distance": distance})


def measure(case: Case, network: Network) -> Measured:
    """See the module docstring."""
    return compared(*(units_of(video, network.config.path) for video in (case.generated, case.truth)))


PROTOCOL = Protocol(
    name="blendshapes",
    source="MediaPipe Face Landmarker (face_landmarker.task)",
    definition=f"Correlation of jawOpen with the true video's, largest within ±{MOST} frames, and its lag; mean absolute "
    "difference of 51 expression units from the true ones. Face Landmarker in video mode.",
    numbers=(
        Number(name="jaw_truth", title="jawOpen correlation with truth", better="higher"),
        Number(name="jaw_truth_lag", title="its lag, frames", better="truth", digits=0),
        Number(name="blendshape_distance", title="Blendshape distance", better="lower", digits=4),
    ),
    measure=measure,
    kind="mediapipe",
    needs_truth=True,
    limits="MediaPipe smooths over time. Its units of people differ at rest.",
)
