"""X-Actor (arXiv 2508.02944) in JAX: makes an emotional talking video of any length from a portrait and speech."""

__version__ = "0.1.0"
