"""FLOPs (floating point operations) of a traced function: matrix products and convolutions, two for each multiplication.

(1)  C[b, m, n] = Σ_k A[b, m, k] B[b, k, n]            2 · b m n · k
(2)  a convolution                                     2 · outputs · (size of a filter)
(3)  model FLOPs = forward pass + everything that depends on dL/dL, the cotangent that starts the backward pass

A `scan` counts once for each iteration; a `while`, whose number of iterations is unknown, counts once; a `cond` counts as its
most expensive branch. Rematerialisation recomputes parts of the forward pass inside the backward pass, from saved values only.
It depends on no cotangent, so (3) excludes it, as the usual definition of model FLOPs utilisation does.
"""

from __future__ import annotations

import math
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name

COTANGENT = "cotangent"


@jax.custom_vjp
def marked(loss: jax.Array) -> jax.Array:
    """Returns the loss unchanged. In the backward pass its cotangent gets a name, which equation 3 needs."""
    return loss


marked.defvjp(lambda loss: (loss, None), lambda _, cotangent: (checkpoint_name(cotangent, COTANGENT),))


def count_flops(jaxpr: Any) -> float:
    """All FLOPs of a jaxpr, such as `jax.make_jaxpr(f)(x).jaxpr` (equations 1 and 2)."""
    return sum(map(_of_equation, jaxpr.eqns), 0.0)


def model_flops(jaxpr: Any) -> float:
    """Model FLOPs of a jaxpr that takes the gradient of a `marked` loss (equation 3)."""
    return _counted(jaxpr, [False] * len(jaxpr.invars), False)[0]


def _counted(jaxpr: Any, given: list[bool], again: bool) -> tuple[float, list[bool]]:
    """(FLOPs, which results depend on a cotangent).

    `given` marks the arguments that depend on a cotangent; `again` says that the rest is rematerialised and does not count.
    """
    depends = {var for var, marked_so in zip(jaxpr.invars, given, strict=True) if marked_so}
    total = 0.0
    for equation in jaxpr.eqns:
        inputs = [_is_in(depends, atom) for atom in equation.invars]
        count, outputs = _of_dependent(equation, inputs, again)
        total += count
        depends.update(var for var, marked_so in zip(equation.outvars, outputs, strict=True) if marked_so)
    return total, [_is_in(depends, atom) for atom in jaxpr.outvars]


def _is_in(depends: set[Any], atom: Any) -> bool:
    return not hasattr(atom, "val") and atom in depends  # a literal has a value and cannot be hashed


def _of_dependent(equation: Any, inputs: list[bool], again: bool) -> tuple[float, list[bool]]:
    name, params = equation.primitive.name, equation.params
    inner = [jaxpr for value in params.values() for jaxpr in _jaxprs(value)]
    if name == "scan":
        return _of_scan(params, inner[0], inputs, again)
    if name == "cond":
        inputs = inputs[1:]
    if inner and all(len(jaxpr.invars) == len(inputs) for jaxpr in inner):
        results = [_counted(jaxpr, inputs, again or bool(params.get("differentiated"))) for jaxpr in inner]
        return max(count for count, _ in results), [any(column) for column in zip(*(out for _, out in results), strict=True)]
    dependent = any(inputs) or (name == "name" and params["name"] == COTANGENT)
    return 0.0 if again and not dependent else _of_equation(equation), [dependent] * len(equation.outvars)


def _of_scan(params: Any, body: Any, inputs: list[bool], again: bool) -> tuple[float, list[bool]]:
    """A carry that depends on a cotangent after one iteration also does at the start of the next, so repeat until stable."""
    first, count = params["num_consts"], params["num_carry"]
    while True:
        total, outputs = _counted(body, inputs, again)
        carried = [a or b for a, b in zip(inputs[first : first + count], outputs[:count], strict=True)]
        if carried == inputs[first : first + count]:
            return params["length"] * total, outputs
        inputs = [*inputs[:first], *carried, *inputs[first + count :]]


def _of_equation(equation: Any) -> float:
    name = equation.primitive.name
    if name == "dot_general":
        return _of_product(equation)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    inner = [count_flops(jaxpr) for value in equation.params.values() for jaxpr in _jaxprs(value)]
    return max(inner, default=0.0) if name == "cond" else equation.params.get("length", 1) * sum(inner, 0.0)


def _jaxprs(value: Any) -> list[Any]:
    """Jaxprs in a parameter of an equation: one or several, closed or open."""
    several = value if isinstance(value, tuple | list) else (value,)
    found = [getattr(one, "jaxpr", one) for one in several]
    return [one for one in found if hasattr(one, "eqns")]


def _of_product(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)


def _of_convolution(equation: Any) -> float:
    kernel = equation.invars[1].aval
    outputs = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * equation.outvars[0].aval.size * kernel.size / outputs
