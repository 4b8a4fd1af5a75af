"""ArcFace's r50 against the same layers put together in PyTorch, through a file that it has written."""

from __future__ import annotations

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from etils import epath
from torch import nn

from tests.parity.moments import random_moments
from tests.pretrained.keys import check_keys
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.arcface import make_network
from xactor_jax.pretrained import arcface
from xactor_jax.pretrained.importing import import_weights


class Block(nn.Module):
    """As arcface_torch's IBasicBlock: its parts and their order."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(before), nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.prelu = nn.PReLU(width)
        nn.init.uniform_(self.prelu.weight, 0.0, 0.5)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        h = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(h)) + (self.downsample(x) if hasattr(self, "downsample") else x)


class IResNet(nn.Module):
    def __init__(self, depths: tuple[int, ...]):
        super().__init__()
        self.conv1, self.bn1, self.prelu = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        before = 64
        for n, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), start=1):
            blocks = [Block(width if i else before, width, 1 if i else 2) for i in range(depth)]
            setattr(self, f"layer{n}", nn.Sequential(*blocks))
            before = width
        self.bn2, self.fc, self.features = nn.BatchNorm2d(512), nn.Linear(512 * 7**2, 512), nn.BatchNorm1d(512)

    def forward(self, x):
        h = self.layer4(self.layer3(self.layer2(self.layer1(self.prelu(self.bn1(self.conv1(x)))))))
        return self.features(self.fc(torch.flatten(self.bn2(h), 1)))


def test_r50(tmp_path, rng):
    torch.manual_seed(0)
    network = random_moments(IResNet((3, 4, 14, 3))).eval()
    torch.save(network.state_dict(), tmp_path / "backbone.pth")
    import_weights("arcface", tmp_path / "backbone.pth", tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "arcface")
    x = rng.uniform(-1, 1, (2, 112, 112, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    ours = jax.jit(make_network(config.network).apply)({"params": variables.params}, x)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs[0] - theirs[1]).max()


def test_r100_has_the_names_and_shapes_of_its_depth():
    with torch.device("meta"):
        released = {name: tuple(value.shape) for name, value in IResNet((3, 13, 30, 3)).state_dict().items()}
    config = arcface.with_depths(arcface.read_config(epath.Path("."), ""), released)
    assert config.network.depths == (3, 13, 30, 3)
    used = check_keys(released, arcface.TABLE, arcface.parameter_shapes(config))
    assert released.keys() - used.keys() == {name for name in released if "num_batches_tracked" in name}
