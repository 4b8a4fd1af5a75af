"""X-Actor (arXiv 2508.02944) in JAX: a portrait and speech become a talking, feeling video of any length."""

__version__ = "0.1.0"
