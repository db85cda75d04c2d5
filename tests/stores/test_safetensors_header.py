"""Headers of safetensors files: claims are compared with the file, and the same content gives the same bytes."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stores import safetensors_header
from stores.errors import CorruptArtifact
from stores.safetensors_header import TensorEntry

TENSOR = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def _write(path, header, data_bytes=24, length=None):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(content) if length is None else length).to_bytes(8, "little") + content + bytes(data_bytes))
    return path


def test_types_shapes_and_metadata_are_read(tmp_path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.bfloat16), "c": torch.tensor(True)}
    save_file(tensors, tmp_path / "x", metadata={"format": "pt"})
    header = safetensors_header.read(tmp_path / "x")
    assert header.metadata == {"format": "pt"}
    assert header.tensors == {
        "a": TensorEntry("F32", (2, 3)),
        "b": TensorEntry("BF16", (4,)),
        "c": TensorEntry("BOOL", ()),
    }


@pytest.mark.parametrize(
    "header",
    [
        {"a": {**TENSOR, "shape": [1 << 40, 1 << 40]}},
        {"a": {**TENSOR, "shape": [1 << 62, 0]}},
        {"a": {**TENSOR, "shape": [-2, -3]}},
        {"a": {**TENSOR, "shape": [2.0, 3]}},
        {"a": {**TENSOR, "shape": [True, 6]}},
        {"a": {**TENSOR, "shape": 6}},
        {"a": {**TENSOR, "dtype": "F1"}},
        {"a": {**TENSOR, "dtype": ["F32"]}},
        {"a": {**TENSOR, "data_offsets": [8, 32]}},
        {"a": {**TENSOR, "data_offsets": [0]}},
        {"a": {"dtype": "F32"}},
        {"a": []},
        {"__metadata__": {"step": 3}},
        {"__metadata__": ["step"]},
        [],
        b"{",
        b'{"a":' * 100_000,
        b"\xff\xff",
    ],
)
def test_a_header_that_its_file_cannot_have_is_corrupt(tmp_path, header):
    with pytest.raises(CorruptArtifact, match="x is not a safetensors file"):
        safetensors_header.read(_write(tmp_path / "x", header))


@pytest.mark.parametrize("length", [0, 1, 1000, 1 << 63])
def test_a_length_beyond_the_file_is_corrupt(tmp_path, length):
    with pytest.raises(CorruptArtifact, match=f"and its header claims {length}"):
        safetensors_header.read(_write(tmp_path / "x", {"a": TENSOR}, length=length))


def test_sorted_metadata_change_neither_tensors_nor_texts(tmp_path):
    metadata = {name: f'{name} \n"é\u2028\x01' for name in "dacb"}
    save_file({"z": torch.arange(3.0), "a": torch.ones(2)}, tmp_path / "x", metadata=metadata)
    safetensors_header.sort_metadata(tmp_path / "x")
    header = safetensors_header.read(tmp_path / "x")
    assert list(header.metadata) == ["a", "b", "c", "d"]
    assert header.metadata == metadata
    assert torch.equal(load_file(tmp_path / "x")["z"], torch.arange(3.0))
