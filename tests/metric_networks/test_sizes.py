"""Sizes of the published networks; tests/parity holds their outputs against PyTorch."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from xactor_jax.checkpoints.trees import shapes
from xactor_jax.metric_networks.i3d import I3DModel, I3DSettings
from xactor_jax.metric_networks.inception import InceptionModel, InceptionSettings

MODELS = {"inception": InceptionModel(InceptionSettings()), "i3d": I3DModel(I3DSettings())}


@pytest.mark.parametrize(
    ("name", "count"),
    # torchvision counts 23,834,568 parameters for 1,000 classes, of which 2,049,000 are the classifier's, and PyTorch's I3D
    # 12,697,264 for 400 classes. Both leave out the running statistics.
    [("inception", 23_834_568 - 2_049_000), ("i3d", 12_697_264)],
)
def test_they_have_the_published_number_of_parameters(name, count):
    found = shapes(jax.eval_shape(MODELS[name].init, jax.random.key(0)))
    assert sum(int(np.prod(shape)) for path, shape in found.items() if not path.endswith(("/mean", "/variance"))) == count


def test_inception_has_2048_features():
    assert InceptionSettings().features == 2048
