"""X-Actor (arXiv 2508.02944) in JAX: makes an emotional talking video of any length from a portrait and speech."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Pipeline"]


def __getattr__(name: str) -> Any:
    """Imports `Pipeline` on first use, so that importing the package or a module of it does not import JAX."""
    if name != "Pipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xactor_jax.sampling.api import Pipeline

    return Pipeline
