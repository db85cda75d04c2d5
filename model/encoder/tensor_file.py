"""Tensors with facts about them in one safetensors file, whose header states the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from stores import safetensors_header
from stores.commit import atomic_write
from stores.json_codec import parse_json


def write(path: Path, file_format: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts to `path`, atomically. The same content gives the same bytes.

    Args:
        path: file to write or replace.
        file_format: name and version of the format.
        tensors: tensors of any shapes by name.
        facts: values that fit into JSON.
    """
    header = {"format": file_format, "facts": json.dumps(facts, ensure_ascii=False, allow_nan=False)}
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, header)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)  # `save_file` reports a full disk without its error number
        safetensors_header.sort_metadata(temporary)


def read(path: Path, file_format: str) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors by name, of any shapes, and the facts of a file that `write` has written, unchecked.

    Raises:
        CorruptArtifact, SafetensorError, ValueError, KeyError: it is not such a file, or has another format.
    """
    header = safetensors_header.read(path).metadata
    if header.get("format") != file_format:
        raise ValueError(f"its format is {header.get('format')!r}, and this version reads {file_format!r}")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
    return tensors, parse_json(header["facts"])
