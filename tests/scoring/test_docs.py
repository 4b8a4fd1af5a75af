"""docs/evaluate.md lists the protocols that there are."""

from __future__ import annotations

from xactor_jax.markdown import markdown
from xactor_jax.scoring.protocols import HEAD, PROTOCOLS, listed


def test_the_table_of_protocols_is_that_of_the_program(repository):
    assert markdown(HEAD, listed(PROTOCOLS)) in (repository / "docs" / "evaluate.md").read_text()
