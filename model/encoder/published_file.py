"""Files of weights as people publish them: what kind of file it is, and the tensors of an encoder in it.

It reads safetensors files, state dicts of `torch.save`, checkpoints that hold one under `model` or `state_dict` (as
those of PyTorch Lightning do), and names with prefixes such as `module.`, `_orig_mod.` and `model.`. Any other file is
an error that says what it is. Nothing in a file is executed.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stores import safetensors_header
from stores.errors import CorruptArtifact, MissingArtifact

ANCHOR = "to_patch_embedding.2.weight"
"""A tensor that every encoder has exactly once. What comes before it is the prefix of all names."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
"""Keys under which a checkpoint holds its state dict, in the order in which they are looked for."""
MAX_NESTING = 4
MAX_COMPRESSED_BYTES = 1 << 22
"""Bytes that the entries of a zip file may have beyond twice its size. The code of TorchScript is compressed."""
_COMPILED = "_orig_mod."
_LFS = b"version https://git-lfs.github.com/spec/"
_HEAD_BYTES = 512
_RESTORE = "if a copy or a download was interrupted, repeat it"
_GLOBAL = re.compile(r"(?:GLOBAL|global|class) `?([A-Za-z_][\w.]*)")
_FOREIGN = {
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"\x89HDF": "an HDF5 file, which Keras writes",
    b"GGUF": "a GGUF file",
    b"<": "a page of HTML or XML; download the file itself",
}
_OBJECTS = (
    "holds Python objects other than tensors{}, and nothing in it was executed; where you trust the file, store its "
    "state dict alone, for example as safetensors"
)


def read_encoder_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the encoder in a file, of any shapes, under their public names, as they are stored.

    Raises:
        MissingArtifact: there is no file at `path`.
        CorruptArtifact: the file does not contain an encoder. The message says what it is as far as this is known.
    """
    return _without_prefix(read_state_dict(path), path)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, of any shape, under the names that they have in it.

    Raises:
        MissingArtifact: there is no file at `path`.
        CorruptArtifact: the file does not contain tensors. The message says what it is as far as this is known.
    """
    if not path.is_file():
        raise MissingArtifact(f"no checkpoint at {path}; pass the path of a published checkpoint")
    require_no_pointer(path)
    return _state_dict(_read(path), path)


def require_no_pointer(path: Path) -> None:
    """Check that a file is not the pointer that git-LFS leaves in the place of a large file.

    Raises:
        CorruptArtifact: the file is such a pointer.
    """
    head = _head(path)
    if head.startswith(_LFS):
        size = re.search(rb"^size (\d{1,20})$", head, re.MULTILINE)
        extent = f" of {size[1].decode()} bytes" if size else ""
        raise CorruptArtifact(
            f"{path} is a git-LFS pointer and not the file{extent} that it stands for; run `git lfs pull` in its "
            "repository, or download the file itself"
        )


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as a safetensors file does, whatever its name is."""
    return _head(path)[8:9] == b"{"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _read(path: Path) -> Any:
    head = _head(path)
    for start, kind in _FOREIGN.items():
        if head.lstrip().startswith(start):
            raise CorruptArtifact(f"{path} is {kind}")
    if path.suffix == ".safetensors" or is_safetensors(path):
        return _read_safetensors(path)
    return _unpickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    safetensors_header.read(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CorruptArtifact(f"{path} is not a safetensors file: {error}; {_RESTORE}") from error


def _unpickle(path: Path) -> Any:
    """Return what `torch.save` stored, where only tensors and plain containers are built."""
    _require_plain_zip(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, OSError) as error:
        raise CorruptArtifact(f"{path} {_explain(error)}") from error
    except (TypeError, AttributeError, AssertionError, ArithmeticError, ImportError, MemoryError) as error:
        raise CorruptArtifact(f"{path} is not a state dict of tensors: {error}; {_RESTORE}") from error


def _explain(error: Exception) -> str:
    """Return what a file is, from an error of PyTorch, whose advice to execute the file is not repeated."""
    text = str(error)
    if "Unsupported" in text or "weights_only" in text:
        name = _GLOBAL.search(text)
        return "is not a state dict of tensors: it " + _OBJECTS.format(f" ({name[1]})" if name else "")
    return f"is not a state dict of tensors: {(text or type(error).__name__).splitlines()[0][:200]}"


def _require_plain_zip(path: Path) -> None:
    """Check that a zip file is not a TorchScript program and not compressed, because `torch.save` never compresses."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as file:
            names, held = file.namelist(), sum(entry.file_size for entry in file.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise CorruptArtifact(f"{path} is not a state dict of tensors: {error}; {_RESTORE}") from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise CorruptArtifact(f"{path} is a TorchScript program and not a state dict; store the state dict alone")
    if held > 2 * path.stat().st_size + MAX_COMPRESSED_BYTES:
        raise CorruptArtifact(f"{path} holds {held} bytes in compressed entries, but torch.save never compresses")


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict in `content`, which may lie under one of `WRAPPERS`."""
    for _ in range(MAX_NESTING):
        if not isinstance(content, Mapping) or not content:
            break
        if all(isinstance(tensor, Tensor) for tensor in content.values()):
            return _checked({str(name): tensor for name, tensor in content.items()}, path)
        wrapped = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapped is None:
            keys = ", ".join(repr(str(key))[:40] for key in list(content)[:8])
            raise CorruptArtifact(f"{path} is not a state dict of tensors, and contains none; its keys are {keys}")
        content = content[wrapped]
    raise CorruptArtifact(f"{path} is not a plain state dict: it holds {type(content).__name__}")


def _checked(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the state dict if no tensor claims more than its file holds, as one with strides of 0 can."""
    size = path.stat().st_size
    for name, tensor in state.items():
        if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
            raise CorruptArtifact(f"{path} has the tensor {name}, which holds no plain array")
        if tensor.numel() * tensor.element_size() > size:
            raise CorruptArtifact(f"{path} has {size} bytes, and its tensor {name} claims {list(tensor.shape)} values")
    return state


def _without_prefix(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of the encoder without the prefix of their names, and without those of other modules."""
    names = {name.replace(_COMPILED, ""): tensor for name, tensor in state.items()}
    prefixes = sorted(name[: -len(ANCHOR)] for name in names if name == ANCHOR or name.endswith(f".{ANCHOR}"))
    if not prefixes:
        raise CorruptArtifact(
            f"{path} is not a published checkpoint of Myna: it has no {ANCHOR}; name a checkpoint of Myna, of which "
            "`python -m model.models` lists the published ones"
        )
    if len(prefixes) > 1:
        listed = ", ".join(repr(prefix) for prefix in prefixes[:8])
        raise CorruptArtifact(f"{path} holds several encoders, with names that begin with {listed}; store one alone")
    return {name.removeprefix(prefixes[0]): tensor for name, tensor in names.items() if name.startswith(prefixes[0])}
