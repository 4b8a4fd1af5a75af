"""Reads tensors from PyTorch files (.bin, .pt, .pth) without PyTorch and without running any code in the files.

Such a file is a zip archive. It contains `data.pkl`, a pickle of nested dictionaries of tensors, and the numbers of the tensors
as plain bytes in `data/0`, `data/1`, … A pickle can call any function of any module. Here only two things are allowed: the
functions that PyTorch writes for a tensor, which are replaced by a record of where its numbers are, and `OrderedDict`. Anything
else is refused.

A small file must not be able to use much memory or time. So sizes are checked before anything is read, compressed members are
refused (PyTorch does not compress), and the nesting of tuples is limited (hashing deeply nested tuples overflows the stack of C
code).
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import ml_dtypes
import numpy as np

from xactor_jax.errors import UserError, first_line

STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
"""Name of the storage class → number type."""

PICKLE_BYTES = 2**26
"""Largest `data.pkl`, bytes. Usual are about 100 bytes per tensor."""

TUPLE_PARTS = 2**14
"""Largest number of parts of a tuple, including those of the tuples inside it. Tensors need some tens."""

REPEATED = 2**24
"""Largest number of elements of a tensor that repeats the numbers of its storage."""

NESTED = ("state_dict", "net_recon")
"""Keys under which a file may hold its state_dict, beside others such as that of the optimiser."""


class Storage(NamedTuple):
    """A sequence of numbers in the archive. `kind` is a key of `STORAGES`; `size` counts numbers."""

    key: str
    kind: str
    size: int


class Tensor(NamedTuple):
    """Position of a tensor in its storage; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _allowed_calls() -> dict[tuple[str, str], Callable[..., Any]]:
    """Everything that a pickle may call → what is called instead. Each pickle gets a new table, because it could change it."""

    def tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
        numbers = (offset, *shape, *strides)
        if type(storage) is not Storage or not all(type(number) is int for number in numbers):
            raise ValueError("a tensor is not described as PyTorch does")
        return Tensor(storage, offset, tuple(shape), tuple(strides))

    def parameter(data: Any, *_: Any) -> Any:
        return data

    return {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
    }


class Refused(pickle.UnpicklingError):
    """A pickle contains something that is not allowed."""


def _opcodes() -> dict[int, Callable[[Any], None]]:
    """Opcode → its function. Tuples are limited, and the opcode that reserves memory is removed: no tensor needs it."""
    opcodes = dict(pickle._Unpickler.dispatch)
    del opcodes[pickle.BYTEARRAY8[0]]
    tuples = (code[0] for code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3))
    return opcodes | {code: _then_bounded(opcodes[code]) for code in tuples}


def _then_bounded(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_tuple(unpickler: TensorUnpickler) -> None:
        load(unpickler)
        unpickler.bounded()

    return load_tuple


class TensorUnpickler(pickle._Unpickler):
    """Unpickles `data.pkl`; tensors become `Tensor`. Raises `Refused` for anything that is not allowed.

    It extends the unpickler written in Python, because the one in C reserves memory for sizes that a file only claims.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = _opcodes()

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        self._callable = _allowed_calls()
        self._tuples: dict[int, tuple[tuple, int]] = {}  # keeps the tuples alive, so that their ids are not reused

    def bounded(self) -> None:
        """Counts the parts of the newest tuple. Raises `ValueError` if there are too many."""
        made = self.stack[-1]
        parts = 1 + sum(self._tuples.get(id(part), (None, 1))[1] for part in made)
        if parts > TUPLE_PARTS:
            raise ValueError(f"a tuple in it has more than {TUPLE_PARTS} parts")
        self._tuples[id(made)] = made, parts

    def find_class(self, module: str, name: str) -> Any:
        """The object for a name in a pickle. For a storage class it is the name itself, which cannot be called."""
        if (module, name) in self._callable:
            return self._callable[module, name]
        if module == "torch" and name in STORAGES:
            return name
        raise Refused(f"{module}.{name}")

    def persistent_load(self, reference: Any) -> Storage:
        """The storage for a reference ("storage", class, key, device, size)."""
        kind, storage, key, _, size = reference
        if kind != "storage" or not isinstance(storage, str) or storage not in STORAGES:
            raise Refused("something other than numbers")
        if type(key) is not str or type(size) is not int:
            raise ValueError("a storage is not described as PyTorch does")
        return Storage(key, storage, size)


class TorchTensors(Mapping[str, np.ndarray]):
    """The tensors of an archive by name. Each is read when it is accessed, and keeps its number type.

    Raises:
        UserError: the file is no such archive, is damaged, or contains more than tensors.
    """

    def __init__(self, file: io.BufferedIOBase, name: str):
        self._name = name
        try:
            self._archive = zipfile.ZipFile(file)
            self._folder = _folder(self._archive)
            content = _read(self._archive, f"{self._folder}/data.pkl", PICKLE_BYTES)
            self._tensors = _tensors(TensorUnpickler(io.BytesIO(content)).load())
        except Refused as error:
            reason = f"{name} holds {error}, and only tensors are read from a PyTorch file"
            raise UserError(f"{reason}: save only the network's state_dict, or use the .safetensors file.") from None
        except zipfile.BadZipFile:
            reason = f"{name} is no file of PyTorch 1.6 or later, or it is damaged"
            raise UserError(f"{reason}: fetch it again, or use the .safetensors file.") from None
        except Exception as error:  # a damaged pickle can raise any error
            raise UserError(f"{name} is damaged ({first_line(error)}): fetch it again.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        try:
            return _array(tensor, _read(self._archive, f"{self._folder}/data/{tensor.storage.key}", _bytes_of(tensor.storage)))
        except Exception as error:  # a bad checksum, a missing member
            raise UserError(f"{self._name} is damaged at {name} ({first_line(error)}): fetch it again.") from None


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Reads a member of the archive. Raises `ValueError` before reading if it is compressed or larger than `most` bytes."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which PyTorch does not do")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size} bytes where at most {most} belong")
    return archive.read(member)


def _bytes_of(storage: Storage) -> int:
    return storage.size * np.dtype(STORAGES[storage.kind]).itemsize


def _array(tensor: Tensor, data: bytes) -> np.ndarray:
    """The tensor as an array. Raises `ValueError` unless all of its numbers are inside the data."""
    dtype = np.dtype(STORAGES[tensor.storage.kind])
    if len(data) != _bytes_of(tensor.storage):
        raise ValueError("it has not as many numbers as it says")
    if len(tensor.shape) != len(tensor.strides) or min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0:
        raise ValueError("it is not described as PyTorch does")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) and last >= tensor.storage.size:
        raise ValueError("it reaches beyond its numbers")
    if math.prod(tensor.shape) > max(tensor.storage.size, REPEATED):
        raise ValueError("it repeats its numbers too often")
    numbers = np.frombuffer(data, dtype)[tensor.offset :]
    return np.lib.stride_tricks.as_strided(numbers, tensor.shape, [n * dtype.itemsize for n in tensor.strides], writeable=False)


def _folder(archive: zipfile.ZipFile) -> str:
    """The only folder in an archive. Raises `ValueError` if there is none, or if numbers are big-endian."""
    found = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ValueError("there is no data.pkl in it")
    order = f"{found[0]}/byteorder"
    if order in archive.namelist() and _read(archive, order, 64).strip() != b"little":
        raise ValueError("its byte order is not little-endian")
    return found[0]


def _tensors(content: Any) -> dict[str, Tensor]:
    """Name → tensor of a state_dict. It may be inside a dictionary, under one of the keys `NESTED`."""
    inside = [content[key] for key in NESTED if isinstance(content, dict) and isinstance(content.get(key), dict)]
    content = inside[0] if inside else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it does not hold tensors by name")
    if others := [name for name, value in content.items() if type(value) is not Tensor]:
        raise Refused(f"something other than a tensor under {others[0]!r}")
    return dict(content)
