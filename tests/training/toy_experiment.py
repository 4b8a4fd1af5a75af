"""Config file of the toy run, for `--config=tests/training/toy_experiment.py`."""

from ml_collections import ConfigDict

from tests.training.toy import toy_config


def get_config(preset: str = "default") -> ConfigDict:
    long = {"steps": 100_000}
    return toy_config(**{"default": {}, "long": long, "slow": {"pause": 0.02}}[preset])
