"""Descriptor of a person's face: dlib's face recognition network (Davis King 2017), in the form of face-api.

A ResNet with 29 convolutions maps a face of 150 × 150 pixels to 128 numbers. Training put people into balls of radius .6, so
that two faces count as one person below a Euclidean distance of .6. The author reports an accuracy of .9938 on LFW.

(1)  unit      u(x) = s ∘ (w ∗ x + b) + o, with learned scales s and offsets o of each channel
(2)  block     relu(x + u(relu(u(x)))); with stride two, x is averaged over 2 × 2 pixels, and each summand is padded with
               zeros where the other has more channels or pixels
(3)  input     (picture − `MEAN`) / 255, RGB of 0 to 255
(4)  output    W · mean over the last picture's pixels

The picture is cut out so that five points lie where dlib's `get_face_chip_details` puts them, with a border of a quarter.
"""

from __future__ import annotations

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

SIDE = 150
"""Side of its pictures, pixels."""

NUMBERS = 128

SAME_PERSON = 0.6
"""Euclidean distance below which two faces count as one person."""

MEAN = (122.782, 117.001, 104.298)

STEM = 32
BLOCKS = ((32, 1), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1))
BLOCKS += ((256, 2), (256, 1), (256, 1), (256, 2))
"""(Channels, stride)."""

POINTS = (263, 362, 33, 133, 2)
"""Landmarks of Face Mesh: outer and inner corner of the person's left eye, then of the right eye; base of the nose."""

PLACES = ((0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677), (0.1205750620789, 0.2137274526848))
PLACES += ((0.3340850613712, 0.2290642403242), (0.4901123135679, 0.6277975316475))
"""Where dlib puts these points in a square, before the border is added."""

BORDER = 0.25
"""Of the square's side, on each side."""


class Unit(nn.Module):
    """A convolution, scaled for each channel (equation 1). Pictures are padded at stride 1 only."""

    features: int
    kernel: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        padding = "SAME" if self.stride == 1 else "VALID"
        x = nn.Conv(self.features, (self.kernel, self.kernel), self.stride, padding, name="conv")(x)
        scale = self.param("scale", nn.initializers.ones, (self.features,))
        return x * scale + self.param("offset", nn.initializers.zeros, (self.features,))


class Residual(nn.Module):
    """A residual block; stride 2 halves the side (equation 2)."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        y = nn.relu(Unit(self.features, stride=self.stride, name="first")(x))
        y = Unit(self.features, name="second")(y)
        if self.stride > 1:
            x = nn.avg_pool(x, (self.stride, self.stride), (self.stride, self.stride))
        shape = [max(a, b) for a, b in zip(x.shape, y.shape, strict=True)]
        return nn.relu(_padded(x, shape) + _padded(y, shape))


class FaceIdentity(nn.Module):
    """Descriptors of faces; see the module docstring."""

    @nn.compact
    def __call__(self, pictures: Float[Array, "b 150 150 3"]) -> Float[Array, "b 128"]:
        """Descriptors of RGB pictures of 0 to 255."""
        x = nn.relu(Unit(STEM, kernel=7, stride=2, name="stem")((pictures - jnp.array(MEAN)) / 255.0))
        x = nn.max_pool(x, (3, 3), (2, 2))
        for i, (features, stride) in enumerate(BLOCKS):
            x = Residual(features, stride, name=f"block_{i}")(x)
        return nn.Dense(NUMBERS, use_bias=False, name="last")(x.mean(axis=(1, 2)))


def _padded(x: Float[Array, "*any"], shape: list[int]) -> Float[Array, "*full"]:
    """The picture with zeros at its end, up to a given size."""
    return jnp.pad(x, [(0, full - size) for full, size in zip(shape, x.shape, strict=True)])


@jax.jit
def describe(variables: dict, pictures: UInt8[Array, "b 150 150 3"]) -> Float[Array, "b 128"]:
    """Descriptors of faces that `chip` cut out; the variables are `weights.load("identity")`."""
    return FaceIdentity().apply(variables, pictures.astype(jnp.float32))


def chip(image: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "468 d"]) -> UInt8[np.ndarray, "150 150 3"]:
    """The face with these landmarks (pixels), cut out as by dlib: the least-squares similarity of the five points."""
    target = (np.array(PLACES) + BORDER) / (1 + 2 * BORDER) * SIDE
    way = similarity(points[list(POINTS), :2].astype(np.float64), target)
    return cv2.warpAffine(image, way, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def similarity(source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 3"]:
    """The rotation, scale and shift that map points onto others with the least squared error.

    As complex numbers z → a z + c, with a = Σ conj(z) w / Σ |z|² of the centred points.
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    a = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean()).real
    c = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, c.real], [a.imag, a.real, c.imag]])
