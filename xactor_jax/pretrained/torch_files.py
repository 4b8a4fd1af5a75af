"""Tensors in files of PyTorch (.bin, .pt, .pth), read without PyTorch and without running anything that they hold.

Such a file is a zip archive: `data.pkl`, a pickle of nested dictionaries of tensors, and the tensors' numbers as plain
bytes in `data/0`, `data/1`, … A pickle may name any function of any module to be called. Here it may name those that
PyTorch writes for a tensor, which are replaced by a note of where its numbers lie, and `OrderedDict`; anything else is refused.

Nor may a small file ask for much: sizes are compared before anything is read, PyTorch compresses nothing, and what is opened is
bounded in depth (a hash of a tuple inside a tuple, and so on, is computed by C code that runs out of its stack).
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
"""Number types by the name of the class that stands for them."""

PICKLE_BYTES = 2**26
"""Largest `data.pkl`: some 100 bytes a tensor are usual."""

TUPLE_PARTS = 2**14
"""Most parts that a tuple has, with all parts of the tuples in it; tensors need some tens."""

REPEATED = 2**24
"""Most numbers that a tensor has which shows the numbers of its storage several times."""


class Storage(NamedTuple):
    """Numbers in the archive, as one row: `kind` is of `STORAGES`."""

    key: str
    kind: str
    size: int


class Tensor(NamedTuple):
    """Where a tensor's numbers lie in a storage; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    """Everything that a pickle may call, and what is called instead; made anew for each, which could tamper with it."""

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
    """A pickle names something that is not opened."""


def _opcodes() -> dict[int, Callable[[Any], None]]:
    """Opcode → what opens it; tuples are bounded, and what reserves memory is left out: no tensor needs it."""
    known = dict(pickle._Unpickler.dispatch)
    del known[pickle.BYTEARRAY8[0]]
    tuples = (code[0] for code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3))
    return known | {code: _then_bounded(known[code]) for code in tuples}


def _then_bounded(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_tuple(unpickler: TensorUnpickler) -> None:
        load(unpickler)
        unpickler.bounded()

    return load_tuple


class TensorUnpickler(pickle._Unpickler):
    """Opens `data.pkl` with `Tensor` for tensors. Raises `Refused` at whatever is not known.

    It is the one written in Python: that in C reserves memory for sizes that a file merely states.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = _opcodes()

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        self._callable = _known()
        self._tuples: dict[int, tuple[tuple, int]] = {}  # kept, so that no other object gets the identity of one

    def bounded(self) -> None:
        """Counts the parts of the tuple that was just made."""
        made = self.stack[-1]
        parts = 1 + sum(self._tuples.get(id(part), (None, 1))[1] for part in made)
        if parts > TUPLE_PARTS:
            raise ValueError(f"a tuple in it has more than {TUPLE_PARTS} parts")
        self._tuples[id(made)] = made, parts

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names; a storage's class is answered with its name, which cannot be called."""
        if (module, name) in self._callable:
            return self._callable[module, name]
        if module == "torch" and name in STORAGES:
            return name
        raise Refused(f"{module}.{name}")

    def persistent_load(self, reference: Any) -> Storage:
        """Of ("storage", class, key, device, size)."""
        kind, storage, key, _, size = reference
        if kind != "storage" or not isinstance(storage, str) or storage not in STORAGES:
            raise Refused("something other than numbers")
        if type(key) is not str or type(size) is not int:
            raise ValueError("a storage is not described as PyTorch does")
        return Storage(key, storage, size)


class TorchTensors(Mapping[str, np.ndarray]):
    """The tensors of an archive by name, each read when it is asked for. Half precision stays what it is.

    Raises:
        UserError: the file is no such archive, is damaged, or holds more than tensors.
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
            raise UserError(f"{reason}: save the network's state_dict alone, or use the .safetensors file.") from None
        except zipfile.BadZipFile:
            reason = f"{name} is no file of PyTorch 1.6 or later, or it is damaged"
            raise UserError(f"{reason}: fetch it again, or use the .safetensors file.") from None
        except Exception as error:  # whatever a damaged pickle comes to
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
    """A member of the archive. Raises `ValueError`, before reading it, for one that is compressed or larger than it may be."""
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which PyTorch does not do")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size} bytes where at most {most} belong")
    return archive.read(member)


def _bytes_of(storage: Storage) -> int:
    return storage.size * np.dtype(STORAGES[storage.kind]).itemsize


def _array(tensor: Tensor, data: bytes) -> np.ndarray:
    """Raises `ValueError` unless every number of the tensor is among the data."""
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
    """The one folder in an archive. Raises `ValueError` where there is none, or numbers are big-endian."""
    found = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ValueError("there is no data.pkl in it")
    order = f"{found[0]}/byteorder"
    if order in archive.namelist() and _read(archive, order, 64).strip() != b"little":
        raise ValueError("its byte order is not little-endian")
    return found[0]


def _tensors(content: Any) -> dict[str, Tensor]:
    """Name → tensor of a state_dict, which may lie inside a dictionary under that name."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it does not hold tensors by name")
    if others := [name for name, value in content.items() if type(value) is not Tensor]:
        raise Refused(f"something other than a tensor under {others[0]!r}")
    return dict(content)
