"""Reads and writes files of released weights: .safetensors and PyTorch files as a mapping from names to arrays."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy, which safetensors needs)
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.paths import absolute, is_remote
from xactor_jax.pretrained.torch_files import TorchTensors
from xactor_jax.unfinished import write_whole

TORCH = (".bin", ".pt", ".pth", ".ckpt", ".model")
SUFFIXES = (".safetensors", *TORCH)

Weights = Mapping[str, np.ndarray]


class _SafeTensors(Weights):
    """An open .safetensors file; an array is read when it is accessed."""

    def __init__(self, path: str, name: str):
        self._name, self._file = name, safetensors.safe_open(path, framework="numpy")
        self._names = list(self._file.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._file.get_tensor(name)
        except (AttributeError, TypeError, ValueError, safetensors.SafetensorError):
            kind = self._file.get_slice(name).get_dtype()
            hint = "take the file with numbers of 16 or 32 bits"
            raise UserError(f"{self._name} holds {name} in the type {kind}, which is not read: {hint}.") from None


@contextlib.contextmanager
def open_weights(path: epath.PathLike) -> Iterator[Weights]:
    """Opens a .safetensors or PyTorch file, local or gs://, as a mapping name → array; an array is read when it is accessed.

    Raises:
        UserError: there is no such file, it is of another type, or it is damaged.
    """
    source = epath.Path(path)
    if source.suffix not in SUFFIXES:
        raise UserError(f"{path} is no file of weights: name one that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if not source.is_file():
        raise UserError(f"the file {path} does not exist: check the path.")
    with _local(source) as local:
        if source.suffix in TORCH:
            with local.open("rb") as file:
                yield TorchTensors(file, str(path))
        else:
            yield _open_safetensors(local, str(path))


def _open_safetensors(local: pathlib.Path, name: str) -> Weights:
    try:
        return _SafeTensors(str(local), name)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{name} is damaged or no .safetensors file ({error}): fetch it again.") from None


def check_new(path: epath.PathLike) -> epath.Path:
    """The path of a .safetensors file to write. Raises `UserError` if its name ends otherwise or it exists already."""
    target = absolute(path)
    if target.suffix != ".safetensors":
        raise UserError(f"{path} is no name for weights: let it end in .safetensors.")
    if target.exists():
        raise UserError(f"{path} exists already: remove it or give another name.")
    return target


def write_weights(path: epath.PathLike, weights: Weights) -> None:
    """Writes a mapping name → array as a .safetensors file, local or gs://. A local file appears only when it is complete.

    Raises:
        UserError: the name does not end in .safetensors, the file exists already, or it cannot be written.
    """
    target = check_new(path)
    data = safetensors.numpy.save(dict(weights), metadata={"format": "pt"})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): give another place.") from None


@contextlib.contextmanager
def _local(source: epath.Path) -> Iterator[pathlib.Path]:
    """The file itself, or a temporary copy of a remote one."""
    if not is_remote(source):
        yield pathlib.Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / source.name
        with source.open("rb") as remote, copy.open("wb") as local:
            shutil.copyfileobj(remote, local)
        yield copy
