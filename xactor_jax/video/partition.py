"""How the mesh splits attention and feed-forward weights of the video stage. Convolutions follow the rule for shapes."""

from __future__ import annotations

from jax.sharding import PartitionSpec

from xactor_jax.variables import Rules

ATTENTION_RULES: Rules = (
    (r"attention\d*/(query|key|value)/kernel", PartitionSpec("fsdp", "tensor")),
    (r"attention\d*/out/kernel", PartitionSpec("tensor", "fsdp")),
)
TRANSFORMER_RULES: Rules = (
    *ATTENTION_RULES,
    (r"feed_forward/in/kernel", PartitionSpec("fsdp", "tensor")),
    (r"feed_forward/out/kernel", PartitionSpec("tensor", "fsdp")),
)
