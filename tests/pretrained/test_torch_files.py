"""Files of PyTorch, put together by hand: good ones, damaged ones, and some that would run something."""

from __future__ import annotations

import pickle
import resource
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests.pretrained.archives import (
    built,
    called,
    dictionary,
    named,
    number,
    ordered,
    parameter,
    storage,
    tensor,
    text,
    tuple_of,
    write_archive,
    write_tensors,
)
from xactor_jax.errors import UserError
from xactor_jax.pretrained.files import open_weights

SIX = np.arange(6, dtype=np.float32)


def read(path) -> dict[str, np.ndarray]:
    with open_weights(path) as weights:
        return dict(weights)


def test_a_state_dict_is_read(tmp_path):
    arrays = {"a.weight": SIX.reshape(2, 3), "a.bias": SIX[:3], "scalar": np.array(2.5, np.float32), "none": SIX[:0]}
    found = read(write_tensors(tmp_path / "x.bin", arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


def test_views_parameters_and_shared_storages(tmp_path):
    entries = {
        "transposed": tensor("FloatStorage", "0", 6, (3, 2), (1, 3)),
        "part": parameter(tensor("FloatStorage", "0", 6, (2,), (2,), offset=1)),
        "repeated": tensor("FloatStorage", "0", 6, (2, 2), (0, 1), offset=4),
    }
    content = dictionary({"epoch": number(3), "state_dict": ordered(entries)})
    found = read(write_archive(tmp_path / "x.pt", content, {"0": SIX.tobytes()}, byteorder=b"little"))
    np.testing.assert_array_equal(found["transposed"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(found["part"], [1, 3])
    np.testing.assert_array_equal(found["repeated"], [[4, 5], [4, 5]])


def test_a_network_beside_its_optimiser_is_read(tmp_path):
    """As Deep3DFaceRecon's training program saves it."""
    others = {"opt_00": dictionary({"lr": number(1)}), "sched_00": dictionary({"step": number(2)})}
    network = ordered({"a": tensor("FloatStorage", "0", 6, (6,), (1,))})
    found = read(write_archive(tmp_path / "x.pth", dictionary({"net_recon": network, **others}), {"0": SIX.tobytes()}))
    assert found.keys() == {"a"} and np.array_equal(found["a"], SIX)


@pytest.mark.parametrize(
    "kind, dtype",
    [
        ("HalfStorage", np.float16),
        ("BFloat16Storage", ml_dtypes.bfloat16),
        ("DoubleStorage", np.float64),
        ("LongStorage", np.int64),
        ("ByteStorage", np.uint8),
        ("BoolStorage", np.bool_),
    ],
)
def test_number_types(tmp_path, kind, dtype):
    values = np.array([1, 0, 1]).astype(dtype)
    found = read(write_archive(tmp_path / "x.pth", ordered({"a": tensor(kind, "0", 3, (3,), (1,))}), {"0": values.tobytes()}))
    assert found["a"].dtype == dtype
    np.testing.assert_array_equal(found["a"], values)


def touching(path) -> dict[str, bytes]:
    """Pickles that make a file when they are opened in the usual way."""
    command = text(f"touch {path}")
    opened = called(named("builtins", "open"), text(str(path)), text("w"))
    return {
        "a system call": called(named("posix", "system"), command),
        "an open file": opened,
        "a name taken apart": text("posix") + text("system") + b"\x93" + tuple_of(command) + b"R",
        "an instance": b"(" + command + b"iposix\nsystem\n",
        "an object": b"(" + named("posix", "system") + command + b"o",
        "evaluated text": called(named("builtins", "eval"), text(f"open({str(path)!r}, 'w')")),
        "inside a tensor": called(named("torch._utils", "_rebuild_tensor_v2"), opened, number(0), tuple_of(), tuple_of()),
        "as a device": tuple_of(text("storage"), named("torch", "FloatStorage"), text("0"), opened, number(1)) + b"Q",
        "a state": built(called(named("collections", "OrderedDict")), dictionary({"_metadata": opened})),
    }


@pytest.mark.parametrize("trick", list(touching("")))
def test_nothing_in_a_file_is_run(tmp_path, trick):
    target = tmp_path / "touched"
    content = dictionary({"weight": touching(target)[trick]})
    path = write_archive(tmp_path / "x.bin", content, {"0": b"\0" * 4})
    with pytest.raises(UserError, match="only tensors are read from a PyTorch file"):
        read(path)
    assert not target.exists()
    if trick in ("a system call", "an open file", "evaluated text", "a state"):  # the trick does work elsewhere
        pickle.loads(b"\x80\x02" + content + b".")
        assert target.exists()


@pytest.mark.parametrize("module, name", [("torch", "load"), ("torch._utils", "os.system"), ("collections", "namedtuple")])
def test_other_names_of_known_modules_are_refused(tmp_path, module, name):
    path = write_archive(tmp_path / "x.bin", dictionary({"weight": called(named(module, name), text("true"))}), {})
    with pytest.raises(UserError, match=f"holds {module}.{name}"):
        read(path)


@pytest.mark.parametrize(
    "shape, strides, offset, size",
    [
        ((7,), (1,), 0, 6),
        ((2,), (1,), 5, 6),
        ((2, 2), (100, 1), 0, 6),
        ((2,), (-1,), 1, 6),
        ((-2,), (1,), 0, 6),
        ((2,), (), 0, 6),
        ((2,), (1,), -1, 6),
        ((2,), (1,), 0, 7),
        ((2**40,), (0,), 7, 6),
    ],
)
def test_tensors_beyond_their_numbers_are_refused(tmp_path, shape, strides, offset, size):
    content = ordered({"a": tensor("FloatStorage", "0", size, shape, strides, offset)})
    with pytest.raises(UserError, match="damaged at a"):
        read(write_archive(tmp_path / "x.bin", content, {"0": SIX.tobytes()}))


def test_a_tensor_cannot_be_changed_after_it_was_described(tmp_path):
    state = tuple_of(b"N", dictionary({"offset": number(2**20)}))
    content = ordered({"a": built(tensor("FloatStorage", "0", 6, (6,), (1,)), state)})
    with pytest.raises(UserError, match="damaged"):
        read(write_archive(tmp_path / "x.bin", content, {"0": SIX.tobytes()}))


def test_what_a_pickle_does_to_a_known_function_does_not_last(tmp_path):
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    tampered = built(rebuild, tuple_of(b"N", dictionary({"__defaults__": tuple_of(tuple_of(number(6)), tuple_of(number(1)))})))
    with pytest.raises(UserError):
        read(write_archive(tmp_path / "x.bin", ordered({"a": tampered}), {}))
    short = called(rebuild, storage("FloatStorage", "0", 6), number(0))
    with pytest.raises(UserError, match="damaged"):
        read(write_archive(tmp_path / "y.bin", ordered({"a": short}), {"0": SIX.tobytes()}))


def test_files_that_are_something_else_are_refused(tmp_path):
    whole = write_tensors(tmp_path / "whole.bin", {"a": SIX}).read_bytes()
    cases = {
        "no zip": pickle.dumps({"a": 1}),
        "cut off": whole[: len(whole) // 2],
        "a flipped bit": whole.replace(SIX.tobytes(), SIX[::-1].tobytes()),
        "empty": b"",
    }
    for name, data in cases.items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"damaged"):
            read(path)


def test_archives_that_hold_something_else_are_refused(tmp_path):
    cases = {
        "a list": (b"]", {}, "tensors by name"),
        "a text": (dictionary({"a": text("hello")}), {}, "something other than a tensor under 'a'"),
        "big": (ordered({}), {"byteorder": b"big"}, "byte order"),
    }
    for name, (content, members, reason) in cases.items():
        with pytest.raises(UserError, match=reason):
            read(write_archive(tmp_path / f"{name}.bin", content, {}, **members))
    missing = write_archive(tmp_path / "missing.bin", ordered({"a": tensor("FloatStorage", "9", 6, (6,), (1,))}), {})
    with pytest.raises(UserError, match="damaged at a"):
        read(missing)


def nested(levels: int) -> bytes:
    """A tuple inside a tuple inside a tuple."""
    return b")" + b"\x85" * levels


SMALL_AND_LARGE = {
    "a deep key": b"}" + nested(300_000) + b"Ns",
    "a deep kind": tuple_of(text("storage"), nested(300_000), text("0"), text("cpu"), number(1)) + b"Q",
    "a wide key": b"}" + b")" + b"q\x00" + b"(" * 9 + (b"h\x00" * 1000 + b"tq\x00") * 9 + b"Ns",
    "repeated": ordered({"a": tensor("FloatStorage", "0", 6, (2**40,), (0,))}),
    "a long storage": ordered({"a": tensor("FloatStorage", "0", 2**33, (6,), (1,))}),
    "an array": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x",
    "a number": b"\x80\x02\x8b" + (2**30).to_bytes(4, "little") + b"x",
    "a note": b"Nr\xff\xff\xff\x7f",
}
"""Pickles of which each is small."""


@pytest.mark.parametrize("content", SMALL_AND_LARGE.values(), ids=list(SMALL_AND_LARGE))
def test_a_small_file_cannot_ask_for_much(tmp_path, content):
    """The first three ended the process, or never came to an end, where the hash of a tuple was computed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"damaged|other than"):
        read(write_archive(tmp_path / "x.pth", content, {"0": SIX.tobytes()}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("member", ["data.pkl", "byteorder", "data/0"])
def test_what_unpacks_to_more_than_there_is_room_for_is_not_read(tmp_path, member):
    content = ordered({"a": tensor("FloatStorage", "0", 6, (6,), (1,))})
    whole = {"data.pkl": b"\x80\x02" + content + b".", "byteorder": b"little", "data/0": SIX.tobytes()}
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in whole.items():
            large = name == member
            archive.writestr(f"archive/{name}", data + bytes(2**26 * large), None if large else zipfile.ZIP_STORED)
    with pytest.raises(UserError, match=f"{member} is compressed"):
        read(tmp_path / "x.pth")
