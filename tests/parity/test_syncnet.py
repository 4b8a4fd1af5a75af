"""SyncNet v2 against the same layers put together in PyTorch, through a file that it has written."""

from __future__ import annotations

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from xactor_jax.checkpoints.exports import load_variables
from xactor_jax.metric_networks.syncnet import SyncNetSettings, embed_lips, embed_sound
from xactor_jax.pretrained.importing import import_weights


def convolution(kind: str, before: int, width: int, kernel, **given) -> list[nn.Module]:
    conv, norm = getattr(nn, f"Conv{kind}"), getattr(nn, f"BatchNorm{kind}")
    return [conv(before, width, kernel, **given), norm(width), nn.ReLU()]


def maps() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class Published(nn.Module):
    """The layer table of SyncNetModel.py."""

    def __init__(self):
        super().__init__()
        around, halved = (0, 1, 1), {"kernel_size": (1, 3, 3), "stride": (1, 2, 2)}
        self.netcnnaud = nn.Sequential(
            *convolution("2d", 1, 64, 3, padding=1),
            nn.MaxPool2d(1, 1),
            *convolution("2d", 64, 192, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *convolution("2d", 192, 384, 3, padding=1),
            *convolution("2d", 384, 256, 3, padding=1),
            *convolution("2d", 256, 256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            *convolution("2d", 256, 512, (5, 4)),
        )
        self.netcnnlip = nn.Sequential(
            *convolution("3d", 3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d(**halved),
            *convolution("3d", 96, 256, (1, 5, 5), stride=(1, 2, 2), padding=around),
            nn.MaxPool3d(**halved, padding=around),
            *convolution("3d", 256, 256, (1, 3, 3), padding=around),
            *convolution("3d", 256, 256, (1, 3, 3), padding=around),
            *convolution("3d", 256, 256, (1, 3, 3), padding=around),
            nn.MaxPool3d(**halved),
            *convolution("3d", 256, 512, (1, 6, 6)),
        )
        self.netfcaud, self.netfclip = maps(), maps()


def disturb(network: nn.Module) -> None:
    """Moments and scales that are not those of an untrained network."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.2, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)


def relative(found: jax.Array, expected: torch.Tensor) -> float:
    return float(np.abs(np.asarray(found) - expected.numpy()).max() / expected.abs().max())


def test_the_released_sizes(tmp_path, rng):
    torch.manual_seed(0)
    network = Published().eval()
    disturb(network)
    torch.save(network.state_dict(), tmp_path / "syncnet_v2.model")
    import_weights("syncnet", tmp_path / "syncnet_v2.model", tmp_path / "out")
    config, variables = load_variables(tmp_path / "out", "syncnet")
    settings = SyncNetSettings.from_network(config.network)
    pictures, columns = rng.integers(0, 256, (2, 5, 224, 224, 3)).astype(np.uint8), rng.normal(0, 10, (2, 13, 20))
    columns = columns.astype(np.float32)
    with torch.no_grad():
        lips = network.netcnnlip(torch.from_numpy(np.moveaxis(pictures, -1, 1).astype(np.float32)))
        sound = network.netcnnaud(torch.from_numpy(columns[:, None]))
        v, a = network.netfclip(lips.flatten(1)), network.netfcaud(sound.flatten(1))
    assert v.std(0).mean() > 1e-3 * v.std() and a.std(0).mean() > 1e-3 * a.std()  # inputs matter
    assert relative(embed_lips(settings, variables.params, pictures), v) < 1e-4
    assert relative(embed_sound(settings, variables.params, columns), a) < 1e-4
