"""Loss and gradients of every stage's task on a mesh of simulated devices, for comparison with one device."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from configs.stages import make_task
from tests.tiny import CHUNK, tiny_config, tiny_variables
from xactor_jax.parallel.collectives import Collective, collectives
from xactor_jax.parallel.constrain import split_over
from xactor_jax.parallel.mesh import batch_shardings, make_mesh, replicated
from xactor_jax.parallel.partition import path_name, tree_shardings
from xactor_jax.pictures import to_uint8
from xactor_jax.run_settings import MeshSettings
from xactor_jax.training.step import accumulate
from xactor_jax.variables import Variables

AXES = ("data", "fsdp", "tensor", "context")


def mesh_of(*shape: int) -> Mesh:
    """Mesh of as many devices as (data, fsdp, tensor, context) need; axes that are not given are 1."""
    return make_mesh(MeshSettings(**dict(zip(AXES, shape, strict=False))), jax.devices()[: int(np.prod(shape))])


def small_config(stage: str) -> ConfigDict:
    """As small as every part of the stage allows, with frames that divide by four."""
    c = tiny_config(stage)
    if stage == "actor":
        c.data.window = 4 * CHUNK
        c.network.audio_memory, c.objective.audio_emotion = 2 * CHUNK, 0.1
    if stage == "video":
        c.network.unet.update(blocks=1, feed_forward=1)
        c.loss.sampled_levels, c.diffusion.prediction = False, "x0"  # at others the target is mostly rounding, of small drafts
    return c


def stage_on(name: str) -> tuple[Any, Variables]:
    """(task, variables) of a stage, or of STAGE:PHASE, without the draft, which takes long to compile."""
    stage, _, phase = name.partition(":")
    config = small_config(stage)
    if phase:
        config.phase, config.network.draft = phase, False
    return make_task(config), tiny_variables(config)


def random_batch(task: Any, size: int) -> dict[str, np.ndarray]:
    """Noise in every entry but masks, boxes and labels; half of the last example is padding."""
    rng = np.random.default_rng(size)
    batch = {name: _entry(rng, x) for name, x in task.example_batch(size).items()}
    if "mask" in batch:
        batch["mask"][:] = 1
        batch["mask"][-1, batch["mask"].shape[1] // 2 :] = 0
        batch["emotion"] = rng.integers(-1, 5, batch["emotion"].shape).astype(np.int32)
    if "component_boxes" in batch:
        batch["component_boxes"][:] = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]])
    if "frames_apart" in batch:
        batch["frames_apart"] = np.arange(size) % 2 == 1
    return batch


def _entry(rng: np.random.Generator, like: jax.ShapeDtypeStruct) -> np.ndarray:
    """Uniform from -1 to 1; in pictures of four by four cells, as steeper slopes enlarge what the warping decoder rounds."""
    if like.dtype != np.uint8:
        return rng.uniform(-1, 1, like.shape).astype(like.dtype)
    cells = rng.uniform(-1, 1, (*like.shape[:-3], 4, 4, 3)).astype(np.float32)
    return np.asarray(to_uint8(jax.image.resize(cells, like.shape, "cubic")))


def compiled_gradients(task: Any, variables: Variables, batch: Mapping[str, Any], mesh: Mesh) -> Any:
    """Compiled (variables, batch) → (loss, gradients), with every array split that can be."""
    place = partial(tree_shardings, rules=task.partition_rules, mesh=mesh, min_elements=1)
    params, buffers = place(variables.params), place(variables.buffers)

    def function(variables: Variables, batch: Mapping[str, jax.Array]) -> tuple[jax.Array, Any]:
        with split_over(mesh):
            output, gradients = accumulate(task, variables, batch, jax.random.key(5), 1, mesh)
        return output.loss, gradients

    batch_at = batch_shardings(batch, mesh, task.frame_entries)
    jitted = jax.jit(function, in_shardings=(Variables(params, buffers), batch_at), out_shardings=(replicated(mesh), params))
    return jitted.lower(variables, batch).compile()


class OnMesh(NamedTuple):
    """What came out, on the host, and what the compiler says that one device had to do."""

    loss: float
    gradients: dict[str, np.ndarray]
    flops: float
    temporaries: int
    collectives: list[Collective]
    arrays: set[int]
    """Sizes of parameters, buffers and running statistics."""


def on_mesh(stage: str, size: int, shape: tuple[int, ...]) -> OnMesh:
    """One random batch of so many rows through a stage's loss and back."""
    task, variables = stage_on(stage)
    batch = random_batch(task, size)
    compiled = compiled_gradients(task, variables, batch, mesh_of(*shape))
    loss, gradients = compiled(*jax.device_put((variables, batch), compiled.input_shardings[0]))
    named = {path_name(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(gradients)}
    temporaries, exchanged = compiled.memory_analysis().temp_size_in_bytes, collectives(compiled.as_text(), int(np.prod(shape)))
    arrays = {x.size for x in jax.tree.leaves(variables)}
    return OnMesh(float(loss), named, compiled.cost_analysis()["flops"], temporaries, exchanged, arrays)


def apart(gradients: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> float:
    """‖g − g*‖ / ‖g*‖ over all arrays together."""
    norm = lambda arrays: np.sqrt(sum(float(np.square(x, dtype=np.float64).sum()) for x in arrays))
    return float(norm(gradients[name] - x for name, x in true.items()) / norm(true.values()))


def worst(gradients: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """Largest difference over the largest gradient of its array, and the array's name.

    An array whose gradients are below a millionth of the largest of all counts as that large: of what moves nothing, such as a
    bias before a normalisation, the gradient is only rounding.
    """
    largest = {name: float(np.abs(x).max()) for name, x in true.items()}
    top = max(largest.values())
    scale = {name: size if size > 1e-6 * top else top for name, size in largest.items()}
    return max((float(np.abs(gradients[name] - x).max()) / scale[name], name) for name, x in true.items())
