"""Batch normalisations of PyTorch as a training leaves them."""

from __future__ import annotations

from typing import Any


def random_moments(network: Any) -> Any:
    """The network, with random scales, offsets, means and variances in all of its normalisations.

    Its weights become so large that signals keep their size through many layers of rectification.
    """
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, torch.nn.modules.conv._ConvNd):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network
