"""FID's Inception v3 against the same network put together in PyTorch, through a file that it has written."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn
from torch.nn import functional as F

from tests.parity.moments import random_moments
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.inception import InceptionModel
from xactor_jax.pretrained.files import open_weights
from xactor_jax.pretrained.importing import export_weights, import_weights


class Unit(nn.Module):
    def __init__(self, before: int, width: int, kernel=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def row(before: int, width: int) -> Unit:
    return Unit(before, width, (1, 7), 1, (0, 3))


def column(before: int, width: int) -> Unit:
    return Unit(before, width, (7, 1), 1, (3, 0))


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class A(nn.Module):
    def __init__(self, before: int, pooled: int):
        super().__init__()
        self.branch1x1 = Unit(before, 64)
        self.branch5x5_1, self.branch5x5_2 = Unit(before, 48), Unit(48, 64, 5, 1, 2)
        self.branch3x3dbl_1 = Unit(before, 64)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(64, 96, 3, 1, 1), Unit(96, 96, 3, 1, 1)
        self.branch_pool = Unit(before, pooled)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(average(x))], 1)


class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3 = Unit(288, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(288, 64), Unit(64, 96, 3, 1, 1), Unit(96, 96, 3, 2)

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.branch1x1 = Unit(768, 192)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = Unit(768, c), row(c, c), column(c, 192)
        self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3 = Unit(768, c), column(c, c), row(c, c)
        self.branch7x7dbl_4, self.branch7x7dbl_5 = column(c, c), row(c, 192)
        self.branch_pool = Unit(768, 192)

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(average(x))], 1)


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(768, 192), Unit(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Unit(768, 192), row(192, 192)
        self.branch7x7x3_3, self.branch7x7x3_4 = column(192, 192), Unit(192, 192, 3, 2)

    def forward(self, x):
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, before: int, pool: Callable):
        super().__init__()
        across, down = (lambda: Unit(384, 384, (1, 3), 1, (0, 1))), (lambda: Unit(384, 384, (3, 1), 1, (1, 0)))
        self.branch1x1, self.branch3x3_1 = Unit(before, 320), Unit(before, 384)
        self.branch3x3_2a, self.branch3x3_2b = across(), down()
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(before, 448), Unit(448, 384, 3, 1, 1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = across(), down()
        self.branch_pool, self.pool = Unit(before, 192), pool

    def forward(self, x):
        three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        three = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        double = [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *three, *double, self.branch_pool(self.pool(x))], 1)


class Published(nn.Module):
    """Names and shapes of the file pt_inception-2015-12-05-6726825d.pth."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = Unit(3, 32, 3, 2), Unit(32, 32, 3), Unit(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Unit(64, 80), Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a = A(192, 32), A(256, 64), A(288, 64), B()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e, self.Mixed_7a = C(128), C(160), C(160), C(192), D()
        self.Mixed_7b, self.Mixed_7c = E(1280, average), E(2048, lambda x: F.max_pool2d(x, 3, 1, 1))
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x):
        x = 2 * F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            x = block(x) if name.startswith("Mixed") else x
        return x.mean((2, 3))


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return random_moments(Published()).eval()


@pytest.fixture(scope="module")
def imported(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inception")
    torch.save(published.state_dict(), folder / "released.pth")
    import_weights("inception", folder / "released.pth", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("size", [(64, 80), (320, 310)])
def test_the_features_are_those_of_pytorch(published, imported, rng, size):
    pictures = rng.integers(0, 256, (2, *size, 3), np.uint8)
    with torch.no_grad():
        theirs = published(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).numpy()
    config, variables = load_variables(imported, "inception")
    ours = jax.jit(InceptionModel.from_network(config.network).features)(variables.params, pictures)
    assert ours.shape == (2, 2048) and np.abs(theirs[0] - theirs[1]).max() > 0.01 * theirs.std()
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * theirs.std())


def test_an_export_has_the_released_numbers(published, imported, tmp_path):
    export_weights("inception", imported, tmp_path / "back.safetensors")
    released = {name: value.numpy() for name, value in published.state_dict().items() if not name.startswith("fc.")}
    with open_weights(tmp_path / "back.safetensors") as back:
        assert set(back) == set(released)
        assert all(np.array_equal(back[name], value) for name, value in released.items())
