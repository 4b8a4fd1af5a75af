"""Collectives read from HLO text: lines as compilers for TPU and CPU print them, and programs whose collectives are known."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from xactor_jax.parallel.collectives import collectives, group_size, totals

MODULE = """HloModule jit_f, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %add = f32[] add(%a, %b)
}

%body (p: (s32[], bf16[16,128])) -> (s32[], bf16[16,128]) {
  %x = bf16[16,128]{1,0:T(8,128)(2,1)} get-tuple-element(%p), index=1
  ROOT %ag = bf16[64,128]{1,0:T(8,128)(2,1)S(1)} all-gather(%x), channel_id=2, replica_groups=[2,4]<=[8], dimensions={0}, \
metadata={op_name="jit(f)/scan/dot_general"}
}

%all-reduce-scatter.1 (x: f32[32,8]) -> f32[4,8] {
  ROOT %r = f32[32,8]{1,0} all-reduce(%x), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%sum
}

ENTRY %main (q: f32[8]) -> f32[8] {
  %w = (s32[], bf16[16,128]) while(%t), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %all-reduce.7 = (f32[8]{0:T(128)}, /*index=1*/bf16[2,3]{1,0}) all-reduce(%q, %k), replica_groups=mesh['axis_0'=8,\
'axis_1'=1] {'axis_0','axis_1'}, to_apply=%sum
  %fused = f32[4,8]{1,0} fusion(%g), kind=kCustom, calls=%all-reduce-scatter.1
  %ags = (f32[8]{0}, f32[64]{0}) all-gather-start(%q), replica_groups={}, dimensions={0}
  %agd = f32[64]{0} all-gather-done(%ags)
  %cp = (f32[10]{0}, f32[10]{0}, u32[], u32[]) collective-permute-start(%q), source_target_pairs={{0,1},{1,0}}
  %single = f32[8]{0} all-reduce(%q), replica_groups={{0},{1},{2},{3},{4},{5},{6},{7}}, to_apply=%sum
  ROOT %rs = f32[2]{0} reduce-scatter(%q), replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}, to_apply=%sum
}
"""


def test_kinds_sizes_groups_and_loops_of_a_module() -> None:
    found = totals(collectives(MODULE, 8))
    assert found["all-gather"] == {
        "count": 6,
        "bytes": 5 * 64 * 128 * 2 + 64 * 4,
        "sent": 5 * 64 * 128 * 2 * 3 / 4 + 256 * 7 / 8,
    }
    assert found["all-reduce"] == {"count": 1, "bytes": 32 + 12, "sent": 2 * 44 * 7 / 8}
    assert found["reduce-scatter"] == {"count": 2, "bytes": 1024 + 32, "sent": 1024 * 7 / 8 + 32 * 3 / 4}
    assert found["collective-permute"] == {"count": 1, "bytes": 40, "sent": 40}


def test_a_collective_has_its_source_and_its_shape() -> None:
    gathered = next(one for one in collectives(MODULE, 8) if one.kind == "all-gather")
    assert gathered.shapes == ((64, 128),) and gathered.source == "jit(f)/scan/dot_general" and gathered.times == 5


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("replica_groups={{0,1},{2,3}}", 2),
        ("replica_groups=[32,8]<=[16,16]T(1,0)", 8),
        ("replica_groups=mesh['axis_0'=16,'axis_1'=4] {'axis_1'}", 4),
        ("replica_groups=mesh['axis_0'=16,'axis_1'=4] {'axis_0':(1)2,'axis_1'}", 8),
        ("replica_groups={}", 64),
    ],
)
def test_spellings_of_groups(groups: str, size: int) -> None:
    assert group_size(f"%a = f32[] all-reduce(%b), {groups}, to_apply=%sum", 64) == size


def test_a_program_whose_collectives_are_known() -> None:
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)

    @partial(jax.shard_map, mesh=mesh, in_specs=P(None, "b"), out_specs=P(None, "b"))
    def program(x: jax.Array) -> jax.Array:
        body = lambda i, x: x + jax.lax.psum(x * x, "b")
        return jax.lax.fori_loop(0, 5, body, x) + jax.lax.all_gather(x, "b", axis=1, tiled=True).sum()

    x = jax.ShapeDtypeStruct((16, 64), jnp.float32, sharding=NamedSharding(mesh, P(None, "b")))
    found = totals(collectives(jax.jit(program).lower(x).compile().as_text(), 8))
    assert found["all-reduce"] == {"count": 5, "bytes": 5 * 16 * 16 * 4, "sent": 5 * 2 * 1024 * 3 / 4}
    assert found["all-gather"] == {"count": 1, "bytes": 16 * 64 * 4, "sent": 4096 * 3 / 4}
