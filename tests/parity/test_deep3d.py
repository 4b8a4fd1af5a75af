"""Deep3D against the same layers put together in PyTorch, through a file as its training program writes them."""

from __future__ import annotations

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from tests.parity.moments import random_moments
from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.deep3d import make_network
from xactor_jax.pretrained.importing import import_weights


class Bottleneck(nn.Module):
    """As torchvision's: the stride is on the 3×3 convolution."""

    def __init__(self, before: int, width: int, stride: int, first: bool):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(before, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        h = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(h)) + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.maxpool = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        before = 64
        for n, (depth, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), start=1):
            blocks = [Bottleneck(4 * width if i else before, width, 1 if i or n == 1 else 2, i == 0) for i in range(depth)]
            setattr(self, f"layer{n}", nn.Sequential(*blocks))
            before = 4 * width

    def forward(self, x):
        h = self.layer4(self.layer3(self.layer2(self.layer1(self.maxpool(torch.relu(self.bn1(self.conv1(x))))))))
        return nn.functional.adaptive_avg_pool2d(h, 1)


class ReconNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList([nn.Conv2d(2048, n, 1) for n in (80, 64, 80, 3, 27, 2, 1)])

    def forward(self, x):
        h = self.backbone(x)
        return torch.flatten(torch.cat([layer(h) for layer in self.final_layers], dim=1), 1)


def test_the_released_size(tmp_path, rng):
    torch.manual_seed(0)
    network = random_moments(ReconNet()).eval()
    released = {"net_recon": network.state_dict(), "opt_00": {"param_groups": [{"lr": 1e-4}]}, "sched_00": {"step_size": 10}}
    torch.save(released, tmp_path / "epoch_20.pth")
    import_weights("deep3d", tmp_path / "epoch_20.pth", tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "deep3d")
    x = rng.uniform(0, 1, (2, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    ours = jax.jit(make_network(config.network).apply)({"params": variables.params}, x)
    assert ours.shape == (2, 257) and np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs[0] - theirs[1]).max()
