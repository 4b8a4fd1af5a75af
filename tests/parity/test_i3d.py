"""FVD's I3D against the same network put together in PyTorch, through a file that it has written."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn
from torch.nn import functional as F

from tests.parity.moments import random_moments
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.i3d import I3DModel
from xactor_jax.pretrained.files import open_weights
from xactor_jax.pretrained.importing import export_weights, import_weights

BLOCKS = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}


def padded(x, window: tuple[int, ...], strides: tuple[int, ...]):
    """Zeros as TensorFlow's "SAME" adds them: the odd one at the end."""
    missing = [max(k - (s if n % s == 0 else n % s), 0) for n, k, s in zip(x.shape[2:], window, strides, strict=True)]
    return F.pad(x, [amount for m in reversed(missing) for amount in (m // 2, m - m // 2)])


def maximum(x, window: tuple[int, ...], strides: tuple[int, ...]):
    return F.max_pool3d(padded(x, window, strides), window, strides)


class Unit(nn.Module):
    def __init__(self, before: int, width: int, side: int = 1, stride: int = 1):
        super().__init__()
        self.conv3d = nn.Conv3d(before, width, side, stride, bias=False)
        self.bn = nn.BatchNorm3d(width, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv3d(padded(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Block(nn.Module):
    def __init__(self, before: int, w0: int, w1a: int, w1b: int, w2a: int, w2b: int, w3: int):
        super().__init__()
        self.b0, self.b1a, self.b1b = Unit(before, w0), Unit(before, w1a), Unit(w1a, w1b, 3)
        self.b2a, self.b2b, self.b3b = Unit(before, w2a), Unit(w2a, w2b, 3), Unit(before, w3)

    def forward(self, x):
        pooled = maximum(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv3d = nn.Conv3d(1024, 400, 1)


class Published(nn.Module):
    """Names and shapes of the file i3d_pretrained_400.pt."""

    def __init__(self):
        super().__init__()
        self.Conv3d_1a_7x7, self.Conv3d_2b_1x1, self.Conv3d_2c_3x3 = Unit(3, 64, 7, 2), Unit(64, 64), Unit(64, 192, 3)
        for name, widths in BLOCKS.items():
            self.add_module(name, Block(*widths))
        self.logits = Logits()

    def forward(self, x):
        x = maximum(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = maximum(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        x = maximum(self.Mixed_3c(self.Mixed_3b(x)), (3, 3, 3), (2, 2, 2))
        x = self.Mixed_4f(self.Mixed_4e(self.Mixed_4d(self.Mixed_4c(self.Mixed_4b(x)))))
        x = self.Mixed_5c(self.Mixed_5b(maximum(x, (2, 2, 2), (2, 2, 2))))
        return self.logits.conv3d(F.avg_pool3d(x, (2, 7, 7), 1)).squeeze(4).squeeze(3).mean(2)


def prepared(clip: np.ndarray):
    """One clip [t, h, w, 3] of bytes → [3, t, 224, 224], as the published program does it."""
    video = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
    h, w = clip.shape[1:3]
    scale = 224 / min(h, w)
    size = (224, math.ceil(w * scale)) if h < w else (math.ceil(h * scale), 224)
    video = F.interpolate(video, size=size, mode="bilinear", align_corners=False)
    left, top = (video.shape[3] - 224) // 2, (video.shape[2] - 224) // 2
    return ((video[:, :, top : top + 224, left : left + 224] - 0.5) * 2).permute(1, 0, 2, 3)


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return random_moments(Published()).eval()


@pytest.fixture(scope="module")
def imported(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("i3d")
    torch.save(published.state_dict(), folder / "released.pt")
    import_weights("i3d", folder / "released.pt", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("shape", [(16, 60, 81), (19, 82, 82)])
def test_the_logits_are_those_of_pytorch(published, imported, rng, shape):
    clips = rng.integers(0, 256, (1, *shape, 3), np.uint8)
    with torch.no_grad():
        theirs = torch.stack([published(prepared(clip)[None])[0] for clip in clips]).numpy()
    config, variables = load_variables(imported, "i3d")
    ours = jax.jit(I3DModel.from_network(config.network).features)(variables.params, clips)
    assert ours.shape == (1, 400)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * theirs.std())


def test_an_export_has_the_released_numbers(published, imported, tmp_path):
    export_weights("i3d", imported, tmp_path / "back.safetensors")
    released = {name: value.numpy() for name, value in published.state_dict().items()}
    with open_weights(tmp_path / "back.safetensors") as back:
        assert set(back) == set(released)
        assert all(np.array_equal(back[name], value) for name, value in released.items())
