"""Operations of a traced function: those of products of matrices and of convolutions, two to a multiplication.

(1)  C[b, m, n] = Σ_k A[b, m, k] B[b, k, n]            2 · b m n · k
(2)  a convolution                                     2 · outputs · (size of a filter)

Loops count as often as they run; `while`, whose number is not known, once; of the branches of a `cond`, the dearest.
"""

from __future__ import annotations

import math
from typing import Any


def operations(jaxpr: Any) -> float:
    """Equations 1 and 2 over a jaxpr, such as `jax.make_jaxpr(f)(x).jaxpr`."""
    return sum(map(_of_equation, jaxpr.eqns), 0.0)


def _of_equation(equation: Any) -> float:
    name = equation.primitive.name
    if name == "dot_general":
        return _of_product(equation)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    inner = [operations(jaxpr) for value in equation.params.values() for jaxpr in _jaxprs(value)]
    return max(inner, default=0.0) if name == "cond" else equation.params.get("length", 1) * sum(inner, 0.0)


def _jaxprs(value: Any) -> list[Any]:
    """Jaxprs in a parameter of an equation, closed or open, alone or several."""
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
