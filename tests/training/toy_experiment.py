"""Config file of the toy run, for `--config=tests/training/toy_experiment.py`."""

from ml_collections import ConfigDict

from tests.training.toy import toy_config


def get_config(preset: str = "default") -> ConfigDict:
    return {"default": toy_config, "long": lambda: toy_config(steps=100_000)}[preset]()
