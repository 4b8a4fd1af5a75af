"""Draws the frames of one clip: light at the places of the mesh, visible fragments on a grid of points, colours, averages.

Visibility is decided at `SUPERSAMPLING`² points per pixel. Light is averaged over them before the tone curve is applied.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from data.heads import background, shadow
from data.heads.camera import REST, Framing, Pose, project
from data.heads.framing import middle_of_eyes
from data.heads.light import Colours, exposed, luminance, unit
from data.heads.model import Model
from data.heads.raster import Fragments, interpolate, rasterise
from data.heads.scene import Scene
from data.heads.sensor import develop
from data.heads.shading import Eyes, eye_colour, eye_highlight, linear, lit
from data.heads.shape import Shape
from data.heads.stage import Atlas, EyeBall, Stage, make_stage, shadow_box
from xactor_jax.labels import CONTROLS

SUPERSAMPLING = 2

LOOK = np.radians(28.0)
"""Rotation of the eyes at gaze 1, radians."""

WELL_LIT = 0.64
"""Exposure: linear brightness of a face with light skin."""

_BALANCE = 0.6
"""Share of the light's tint that the camera's white balance removes."""

GAZE_X, GAZE_Y = CONTROLS.index("gaze_x"), CONTROLS.index("gaze_y")

Places = Float32[np.ndarray, "g 3"]

_COVERAGE = np.array([32, 160, 224, 96], np.uint8)
"""Opacity thresholds of the points of a pixel: a partly opaque texel covers the matching share of the points."""


def _gaze(row: Float[np.ndarray, "14"], turn: Float32[np.ndarray, "3 3"]) -> Float32[np.ndarray, "3"]:
    """Gaze direction in space. gaze_x, gaze_y > 0 look right and down in the head's own frame; 0 looks straight ahead."""
    x, y = LOOK * row[GAZE_X], LOOK * row[GAZE_Y] - REST
    ahead = np.array([np.sin(x) * np.cos(y), -np.sin(y), np.cos(x) * np.cos(y)], np.float32)
    return turn @ ahead


def _texels(where: Float32[np.ndarray, "n 2"], side: int) -> np.ndarray:
    """Indices of texels in a flattened picture of `side`."""
    at = np.clip(where * np.float32(side), 0.0, np.float32(side - 1)).astype(np.int32)
    return (side - 1 - at[:, 1]) * np.int32(side) + at[:, 0]


def _used(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of `numbers` (in 0 … count - 1), in increasing order, and the index of every number among them."""
    there = np.zeros(count, bool)
    there[numbers] = True
    some = np.flatnonzero(there)
    place = np.empty(count, np.int32)
    place[some] = np.arange(len(some), dtype=np.int32)
    return some, np.take(place, numbers)


class Painter:
    """Draws frames of `size` pixels of one clip, with a `margin` on every side (fraction of the framed square's side).

    Args:
        stage: the result of `make_stage` for model and shape, if it exists already.
        points: number of sample points along either side of a pixel at which visibility is decided.
    """

    def __init__(
        self,
        model: Model,
        shape: Shape,
        scene: Scene,
        framing: Framing,
        size: int,
        margin: float = 0.0,
        stage: Stage | None = None,
        points: int = SUPERSAMPLING,
    ):
        self.scene, self.framing, self.size, self.margin = scene, framing, size, margin
        self.side = points * size
        self.stage = stage or make_stage(model, shape)
        within = round(size / (1.0 + 2.0 * margin))
        self.atlas = Atlas.of(model, within)
        self.eyes = Eyes(linear(model.iris), linear(model.sclera))
        self.middle = middle_of_eyes(shape)
        self.canvas = np.square(background.draw(scene.background, within)) * np.float32(scene.background.gain)
        self.light = exposed(scene.light, self._exposure(), _BALANCE)
        self.camera = np.array([*framing.middle, framing.plane + scene.lens.distance], np.float32)

    def _exposure(self) -> float:
        """Light at which the face is well exposed. Like a real camera, it compensates dark skin only in part."""
        colour = self.atlas.colour
        face = np.take(colour.reshape(-1, 4), _texels(self.stage.uv[self.stage.face], colour.shape[0]), axis=0)
        albedo = luminance(face[:, :3].mean(0))
        return WELL_LIT * (0.4 / max(albedo, 0.01)) ** 0.35

    def frame(
        self, vertices: Float32[np.ndarray, "v 3"], row: Float[np.ndarray, "14"], number: int
    ) -> UInt8[np.ndarray, "s s 3"]:
        """The picture of one frame."""
        stage = self.stage
        pose = Pose.from_controls(row, self.middle, self.framing.side)
        points = pose.apply(stage.places(vertices), stage.share)
        picture = self._pixels(project(points, self.scene.lens, self.framing))
        seen = rasterise(picture, stage.faces, self.side, stage.two_sided, stage.cut, lambda f: self._solid(picture, f))
        colours = self._colours(picture, points, pose, row, seen)
        light = self._compose(seen, colours, number)
        rng = np.random.default_rng([self.scene.noise, number])
        return develop(light, self.scene.sensor, rng)

    def _pixels(self, picture: Float32[np.ndarray, "g 3"]) -> Float32[np.ndarray, "g 3"]:
        scale = np.float32(self.side / (1.0 + 2.0 * self.margin))
        picture[:, :2] = (picture[:, :2] + np.float32(self.margin)) * scale
        return picture

    def _solid(self, picture: Float32[np.ndarray, "g 3"], fragments: Fragments) -> Bool[np.ndarray, "n"]:
        some, among = _used(fragments.triangle, len(self.stage.faces))
        uv = [np.take(self.stage.uv, corner, axis=0) for corner in np.take(self.stage.corners, some, axis=0).T]
        uv = interpolate(picture, self.stage.faces[some], uv, fragments._replace(triangle=among), self.side)
        alpha = self.atlas.alpha
        opacity = np.take(alpha.ravel(), _texels(uv, alpha.shape[0]))
        row, column = np.divmod(fragments.pixel, np.int32(self.side))
        place = (row & 1) * 2 + (column & 1) + (fragments.triangle >> 1)
        return opacity > np.take(_COVERAGE, place & 3)

    def _colours(self, picture: Places, points: Places, pose: Pose, row: np.ndarray, seen: Fragments) -> list[np.ndarray]:
        """Colours of the fragments (equation 1 of shading.py): red, green and blue [n] each."""
        stage = self.stage
        some, among = _used(seen.triangle, len(stage.faces))
        faces, corners = np.take(stage.faces, some, axis=0), np.take(stage.corners, some, axis=0)
        places, face_places = _used(faces.ravel(), len(points))
        light = np.concatenate(self._lit(points, pose, places), axis=1)
        light_at = lambda i: np.take(light, face_places[i::3], axis=0)
        values = [np.concatenate([np.take(stage.uv, corners[:, i], axis=0), light_at(i)], axis=1) for i in range(3)]
        at = interpolate(picture, faces, values, seen._replace(triangle=among), self.side)
        colour = self.atlas.colour
        paint = np.take(colour.reshape(-1, 4), _texels(at, colour.shape[0]), axis=0)
        out = [paint[:, i] * at[:, 2 + i] + paint[:, 3] * at[:, 5 + i] for i in range(3)]
        for number, ball in enumerate(stage.balls):
            mine = np.flatnonzero(np.take(stage.ball, seen.triangle) == number)
            eye = self._eye(ball, picture, points, pose, row, seen.of(mine), at[mine, 2:5])
            for channel, value in zip(out, eye.T, strict=True):
                channel[mine] = value
        return out

    def _lit(self, points: Places, pose: Pose, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Diffuse light, highlights) at some of the places."""
        stage, light = self.stage, self.light
        normals = stage.normals(points)
        lifted = np.take(points + shadow.LIFT * normals, places, axis=0)
        box = shadow_box(pose.apply(self.middle[None], np.ones(1, np.float32))[0])
        # all places cast shadows, but only visible ones receive them
        shares = [shadow.reached(lifted, points, stage.casters, light.key.direction, light.key.size, box)]
        shares += [np.take(stage.openness.towards(np.asarray(lamp.direction) @ pose.turn), places) for lamp in light.others]
        normals = np.take(normals, places, axis=0)
        surfaces = stage.surfaces.of(places)
        normals[surfaces.turning & (normals[:, 2] < 0)] *= -1.0
        return lit(surfaces, light, np.take(points, places, axis=0), normals, self.camera, shares)

    def _eye(
        self, ball: EyeBall, picture: Places, points: Places, pose: Pose, row: np.ndarray, seen: Fragments, diffuse: Colours
    ):
        """Colours of fragments on an eyeball."""
        some, among = _used(seen.triangle, len(self.stage.faces))
        faces = self.stage.faces[some]
        at = interpolate(picture, faces, [points[faces[:, i]] for i in range(3)], seen._replace(triangle=among), self.side)
        centre = pose.apply(ball.centre[None], np.ones(1, np.float32))[0]
        outwards, gaze = unit(at - centre), _gaze(row, pose.turn)
        shade = np.minimum(diffuse.mean(1), 1.0)
        albedo = eye_colour(self.eyes, outwards, gaze, pose.turn[:, 1])
        return albedo * diffuse + eye_highlight(self.light, outwards, gaze, unit(self.camera - centre), shade)

    def _compose(self, seen: Fragments, colours: list[np.ndarray], number: int) -> Float32[np.ndarray, "s s 3"]:
        """The person over the background, averaged over the points of every pixel."""
        layers = []
        for values in (*colours, np.float32(1.0)):
            canvas = np.zeros(self.side * self.side, np.float32)
            canvas[seen.pixel] = values
            layers.append(cv2.resize(canvas.reshape(self.side, -1), (self.size, self.size), interpolation=cv2.INTER_AREA))
        behind = self._behind(number)
        behind *= (1.0 - layers[3])[..., None]
        behind += cv2.merge(layers[:3])
        return behind

    def _behind(self, number: int) -> Float32[np.ndarray, "s s 3"]:
        right, down = background.sway(self.scene.background, number)
        n, span = self.canvas.shape[0], background.SPAN
        scale = n / span * (1.0 + 2.0 * self.margin) / self.size
        start = n * (0.5 - (0.5 + self.margin) / span)
        move = np.array([[scale, 0.0, start - right * n / span], [0.0, scale, start - down * n / span]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(self.canvas, move, (self.size, self.size), flags=flags, borderMode=cv2.BORDER_REFLECT)
