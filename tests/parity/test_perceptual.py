"""VGG16's features as a loss, against the same layers put together in PyTorch, through files that it has written."""

from __future__ import annotations

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.layers.perceptual import PerceptualModel
from xactor_jax.pretrained.importing import import_weights

LAYERS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512)
ENDS = (3, 8, 15, 22, 29)
"""Places of the rectified convolutions that are compared."""


def vgg16() -> torch.nn.Sequential:
    layers, before = [], 3
    for width in LAYERS:
        if width == "pool":
            layers.append(torch.nn.MaxPool2d(2))
        else:
            layers += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
            before = width
    return torch.nn.Sequential(*layers)


def features(network, x: np.ndarray) -> list[torch.Tensor]:
    y = (torch.from_numpy(np.moveaxis(x, -1, 1)) + 1) / 2
    y = (y - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    found = []
    for place, layer in enumerate(network):
        y = layer(y)
        found += [y] if place in ENDS else []
    return found


def distance(network, lin: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    pairs = zip(features(network, x), features(network, y), strict=True)
    if not lin:
        return torch.stack([(a - b).abs().mean((1, 2, 3)) for a, b in pairs]).mean(0).numpy()
    unit = lambda f: f / (f.norm(dim=1, keepdim=True) + 1e-10)
    scales = [((unit(a) - unit(b)) ** 2 * lin[f"lin{i}.model.1.weight"]).sum(1).mean((1, 2)) for i, (a, b) in enumerate(pairs)]
    return torch.stack(scales).sum(0).numpy()


@pytest.mark.parametrize("what", ["vgg16", "lpips"])
def test_the_released_sizes(tmp_path, rng, what):
    torch.manual_seed(0)
    network = vgg16()
    lin = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate((64, 128, 256, 512, 512))}
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, tmp_path / "vgg16.pth")
    torch.save(lin, tmp_path / "lin.pth")
    files = {"vgg": tmp_path / "vgg16.pth", "lin": tmp_path / "lin.pth"}
    import_weights(what, files if what == "lpips" else files["vgg"], tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "perceptual")
    x, y = rng.uniform(-1, 1, (2, 2, 32, 48, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = distance(network, lin if what == "lpips" else {}, x, y)
    ours = jax.jit(PerceptualModel.from_network(config.network).distance)(variables.params, x, y)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
