"""Names and shapes of a released network held against a table, with no array allocated: networks of any size can be checked."""

from __future__ import annotations

import numpy as np

from xactor_jax.pretrained import name_map
from xactor_jax.pretrained.name_map import Shapes, Table


def check_keys(released: Shapes, table: Table, shapes: Shapes) -> dict[str, str]:
    """Released name → path of the parameter that it is (part of), of every name that becomes one.

    Args:
        released: shape of every array in the released files.
        shapes: path → shape of every parameter here.

    Raises:
        UserError: as `name_map.convert`.
        ValueError: an export would not have the same names and shapes again.
    """
    reading = name_map._read(released, table, shapes)
    stand_ins = {name: np.broadcast_to(np.float32(1.0), tuple(shape)) for name, shape in released.items()}
    for constant in reading.constants:
        name_map._check_constant(constant._replace(exact=False), stand_ins[constant.key])
    ours = {path: name_map._transformed(path, parts, stand_ins, shapes[path]) for path, parts in reading.parts.items()}
    back = {name: value.shape for name, value in name_map._exported(ours, table).items()}
    used = {part.key: path for path, parts in reading.parts.items() for part in parts.values()}
    expected = {name: tuple(released[name]) for name in (*used, *(c.key for c in reading.constants))}
    if odd := sorted(name for name in back.keys() | expected.keys() if back.get(name) != expected.get(name)):
        raise ValueError(f"an export would not be what was released: {odd}")
    return used
