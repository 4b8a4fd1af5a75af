"""Files as PyTorch writes them, put together by hand: a zip archive around a pickle of opcodes."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

HEAD, STOP = b"\x80\x02", b"."


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def number(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def built(thing: bytes, state: bytes) -> bytes:
    """The thing after its state was set."""
    return thing + state + b"b"


def filled(container: bytes, items: Mapping[str, bytes]) -> bytes:
    return container + b"(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def dictionary(items: Mapping[str, bytes]) -> bytes:
    return filled(b"}", items)


def ordered(items: Mapping[str, bytes]) -> bytes:
    return filled(called(named("collections", "OrderedDict")), items)


def storage(kind: str, key: str, size: int) -> bytes:
    reference = tuple_of(text("storage"), named("torch", kind), text(key), text("cpu"), number(size))
    return reference + b"Q"


def tensor(kind: str, key: str, size: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    counts = (tuple_of(*map(number, values)) for values in (shape, strides))
    hooks = called(named("collections", "OrderedDict"))
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    return called(rebuild, storage(kind, key, size), number(offset), *counts, b"\x89", hooks)


def parameter(data: bytes) -> bytes:
    return called(named("torch._utils", "_rebuild_parameter"), data, b"\x88", called(named("collections", "OrderedDict")))


def write_archive(path: pathlib.Path, content: bytes, arrays: Mapping[str, bytes], **members: bytes) -> pathlib.Path:
    """The archive of a pickle's opcodes and of the bytes of each storage."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", HEAD + content + STOP)
        for key, value in arrays.items():
            archive.writestr(f"archive/data/{key}", value)
        for name, value in {"version": b"3\n", **members}.items():
            archive.writestr(f"archive/{name}", value)
    return path


def write_tensors(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> pathlib.Path:
    """A state_dict of float32 tensors."""
    stored = {name: np.asarray(value, "<f4", order="C") for name, value in arrays.items()}
    steps = {name: tuple(s // 4 for s in value.strides) for name, value in stored.items()}
    content = {n: tensor("FloatStorage", str(i), v.size, v.shape, steps[n]) for i, (n, v) in enumerate(stored.items())}
    return write_archive(path, ordered(content), {str(i): v.tobytes() for i, v in enumerate(stored.values())})
