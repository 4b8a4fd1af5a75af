"""The smallest task that has everything: a hidden layer, a discriminator, a frozen parameter, buffers, noise, a picture."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from xactor_jax.run_settings import SECTIONS
from xactor_jax.settings import to_config
from xactor_jax.variables import LossOutput, Variables

DIM, HIDDEN = 8, 64
_KERNELS = DIM * HIDDEN + HIDDEN * HIDDEN + HIDDEN * DIM + DIM
FLOPS = 2 * (2 * _KERNELS + HIDDEN * HIDDEN + HIDDEN * DIM)
"""Of one example: forward; gradients of every kernel; gradients of what they see, but for data and what is frozen."""


def toy_config(**overrides: Any) -> ConfigDict:
    """A run of a few steps; overrides by dotted name with __ for the dot."""
    c = to_config(SECTIONS)
    c.stage = "toy"
    c.steps, c.batch_size, c.log_every, c.eval_every, c.preview_every, c.eval_batches = 8, 16, 2, 4, 4, 2
    c.optimizer.warmup_steps, c.optimizer.learning_rate = 2, 0.03
    c.checkpoint.every, c.checkpoint.keep = 4, 3
    c.noise = 0.1
    c.hidden = HIDDEN
    c.pause = 0.0  # seconds that a training batch takes
    c.terminated = -1  # index of the process that is sent SIGTERM, which all learn before anything is restored
    c.held = -1  # number of the training batch, counted from the start of a process, that never comes
    c.update_from_flattened_dict({name.replace("__", "."): value for name, value in overrides.items()})
    return c.lock()


@dataclasses.dataclass(frozen=True)
class ToyTask:
    """y = x·W* by a hidden layer, noise on x while training, and a head trained as a discriminator."""

    noise: float = 0.1
    hidden: int = HIDDEN
    poison_step: int = -1
    stage: str = "toy"
    frame_entries: tuple[str, ...] = ()
    folds_frames: bool = False
    partition_rules: tuple = (("hidden/kernel", P("fsdp", "tensor")), ("out/kernel", P("tensor", "fsdp")))
    pretrained: Any = None

    def example_batch(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: jax.ShapeDtypeStruct((batch_size, DIM), jnp.float32) for name in ("x", "y")}

    def init(self, key: jax.Array) -> Variables:
        k1, k2, k3, k4 = jax.random.split(key, 4)
        params = {
            "hidden": {"kernel": jax.random.normal(k1, (DIM, self.hidden)) * 0.3, "bias": jnp.zeros(self.hidden)},
            "middle": {"kernel": jax.random.normal(k2, (self.hidden, self.hidden)) * 0.1},
            "out": {"kernel": jax.random.normal(k3, (self.hidden, DIM)) * 0.1},
            "frozen": {"kernel": jnp.ones((DIM,))},
            "discriminator": {"kernel": jax.random.normal(k4, (DIM, 1))},
        }
        return Variables(params, {"mean": jnp.zeros(DIM), "teacher": {"kernel": jnp.zeros((DIM, DIM))}})

    def pretrained_buffers(self) -> Mapping[str, Any]:
        return {"teacher": {"kernel": np.eye(DIM, dtype=np.float32)}} if self.pretrained is None else self.pretrained

    def predict(self, params: Any, x: jax.Array) -> jax.Array:
        h = jnp.tanh(x * params["frozen"]["kernel"] @ params["hidden"]["kernel"] + params["hidden"]["bias"])
        return jnp.tanh(h @ params["middle"]["kernel"]) @ params["out"]["kernel"]

    def loss(self, variables: Variables, batch: Mapping[str, jax.Array], key: jax.Array, train: bool) -> LossOutput:
        params, buffers = variables
        noise = self.noise * jax.random.normal(key, batch["x"].shape) if train else 0.0
        error = jnp.mean(jnp.square(self.predict(params, batch["x"] + noise) - batch["y"]))
        poison = jnp.where(batch["x"].max() > 90.0, jnp.nan, 0.0)
        judged = batch["y"] @ params["discriminator"]["kernel"]
        critic = jnp.mean(jnp.square(judged - 1.0))
        mean = 0.9 * buffers["mean"] + 0.1 * batch["x"].mean(0) if train else buffers["mean"]
        metrics = {"error": error, "critic": critic}
        return LossOutput(error + critic + poison, metrics, {**buffers, "mean": mean})

    def param_labels(self, params: Any) -> Any:
        special = {"frozen": "frozen", "discriminator": "discriminator"}
        return {name: jax.tree.map(lambda _, n=name: special.get(n, "default"), tree) for name, tree in params.items()}

    def preview(self, variables: Variables, batch: Mapping[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
        image = jnp.clip(128 + 40 * self.predict(variables.params, batch["x"]), 0, 255).astype(jnp.uint8)
        return {"prediction": jnp.repeat(image[:, :, None], 3, axis=2), "brightness": image.mean()}


class Examples:
    """Random access source: example i depends only on i; from `poison` on, x is out of all bounds."""

    def __init__(self, size: int, offset: int, poison: int = -1) -> None:
        self._size, self._offset, self._poison = size, offset, poison
        self._matrix = np.random.default_rng(7).normal(size=(DIM, DIM)).astype(np.float32) / DIM**0.5

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> dict[str, np.ndarray]:
        x = np.random.default_rng(int(index) + self._offset).normal(size=DIM).astype(np.float32)
        y = np.tanh(x @ self._matrix)
        return {"x": x + 100.0 if 0 <= self._poison <= int(index) else x, "y": y}


def make_iterator_of(
    config: ConfigDict,
    poison: int = -1,
    epochs: int | None = None,
    examples: int = 512,
    on_batch: Callable[[], None] = lambda: None,
) -> Any:
    """The toy's data, shuffled by the seed unless it is poisoned; `on_batch` is called at every training batch."""

    def make_iterator(split: str, index: int, count: int) -> grain.DatasetIterator:
        train = split == "train"
        source = Examples(examples, 0, poison) if train else Examples(examples, 10_000)
        data = grain.MapDataset.source(source).seed(config.seed)
        data = data.shuffle() if train and poison < 0 else data
        data = data.repeat(epochs).batch(config.batch_size // count)[index::count]
        data = data.map(lambda batch: ((time.sleep(config.pause), on_batch()) if train else None, batch)[1])
        return iter(data.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)))

    return make_iterator
