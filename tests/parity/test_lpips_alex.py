"""LPIPS by AlexNet, against its published definition put together in PyTorch, through files that it has written."""

from __future__ import annotations

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.layers.perceptual import PerceptualModel
from xactor_jax.pretrained.importing import import_weights

ENDS = (1, 4, 7, 9, 11)
"""Places of the rectified convolutions that are compared."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""The published scaling of pictures in [-1, 1]."""


def alexnet() -> torch.nn.Sequential:
    """The convolutions of torchvision's AlexNet."""
    conv, relu, pool = torch.nn.Conv2d, torch.nn.ReLU, lambda: torch.nn.MaxPool2d(3, 2)
    first = conv(3, 64, 11, 4, 2), relu(), pool(), conv(64, 192, 5, padding=2), relu(), pool()
    rest = conv(192, 384, 3, padding=1), relu(), conv(384, 256, 3, padding=1), relu(), conv(256, 256, 3, padding=1), relu()
    return torch.nn.Sequential(*first, *rest)


def features(network: torch.nn.Sequential, x: np.ndarray) -> list[torch.Tensor]:
    y = (torch.from_numpy(np.moveaxis(x, -1, 1)) - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    found = []
    for place, layer in enumerate(network):
        y = layer(y)
        found += [y] if place in ENDS else []
    return found


def distance(network: torch.nn.Sequential, lin: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    unit = lambda f: f / (f.norm(dim=1, keepdim=True) + 1e-10)
    pairs = enumerate(zip(features(network, x), features(network, y), strict=True))
    scales = [((unit(a) - unit(b)) ** 2 * lin[f"lin{i}.model.1.weight"]).sum(1).mean((1, 2)) for i, (a, b) in pairs]
    return torch.stack(scales).sum(0).numpy()


def test_the_released_sizes(tmp_path, rng):
    torch.manual_seed(0)
    network = alexnet()
    lin = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate((64, 192, 384, 256, 256))}
    more = {"classifier.6.bias": torch.zeros(1000)}
    torch.save({f"features.{name}": x for name, x in network.state_dict().items()} | more, tmp_path / "alexnet.pth")
    torch.save(lin, tmp_path / "lin.pth")
    import_weights("lpips_alex", {"alexnet": tmp_path / "alexnet.pth", "lin": tmp_path / "lin.pth"}, tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "perceptual")
    x, y = rng.uniform(-1, 1, (2, 2, 70, 95, 3)).astype(np.float32)  # sides that no stride divides
    with torch.no_grad():
        theirs = distance(network, lin, x, y)
    ours = jax.jit(PerceptualModel.from_network(config.network).distance)(variables.params, x, y)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
