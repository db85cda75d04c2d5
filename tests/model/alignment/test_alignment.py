"""The file of an alignment: what it keeps, what it refuses, and how it meets features and texts again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import synthetic_pairs
import tiny
import torch
from safetensors.torch import load_file, save_file

from model.alignment.adapters import build_adapters
from model.alignment.alignment import FORMAT, Alignment, find_alignment
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact


def _alignment(hidden=0):
    config = synthetic_pairs.config(hidden=hidden)
    adapters = build_adapters(synthetic_pairs.AUDIO_WIDTH, synthetic_pairs.TEXT_WIDTH, hidden, 6, seed=0)
    audio, text = synthetic_pairs.embeddings(20)
    adapters.audio.standardize_like(torch.from_numpy(audio))
    adapters.text.standardize_like(torch.from_numpy(text))
    provenance = {"weights": "w"}, {"text_encoder": "minilm", "text_encoder_digest": "t"}
    return Alignment(adapters, config, *provenance, "stores/a.features.zarr", {"audio": "1", "text": "2"})


@pytest.mark.parametrize("hidden", [0, 5])
def test_an_alignment_is_read_as_written(tmp_path, hidden):
    written = _alignment(hidden)
    written.write(tmp_path / "alignment.safetensors")
    alignment = Alignment.read(tmp_path / "alignment.safetensors")
    assert replace(alignment, adapters=written.adapters) == written
    _, text = synthetic_pairs.embeddings(4)
    vectors = alignment.project_text(text, "texts", "t")
    assert np.array_equal(vectors, written.project_text(text, "texts"))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4))
    assert alignment.text_encoder == "minilm"


def test_a_constant_number_of_the_embeddings_does_not_divide_by_zero():
    adapters = build_adapters(3, 2, 0, 4, seed=0)
    adapters.audio.standardize_like(torch.tensor([[1.0, 0.0, 5.0], [1.0, 1e-9, 7.0]]))
    assert adapters.audio.deviation.tolist() == pytest.approx([1, 1e-3, 1])


def test_features_of_another_encoder_and_texts_of_another_encoder_are_refused(tmp_path):
    alignment = _alignment()
    audio, text = synthetic_pairs.embeddings(6)
    features = tiny.features(audio, ["C major"] * 6, ["train"] * 6)
    projected = alignment.project_audio(replace(features, provenance={"weights": "w"}), tmp_path)
    assert projected.embeddings.shape == (6, 6)
    with pytest.raises(DigestMismatch, match="another weights"):
        alignment.project_audio(replace(features, provenance={"weights": "other"}), tmp_path)
    with pytest.raises(DigestMismatch, match=r"embedded by another text encoder \(u\)"):
        alignment.project_text(text, "texts", "u")
    with pytest.raises(InvalidInput, match="the text adapter reads 7 numbers"):
        alignment.project_text(text[:, :5], "texts")


def _damaged(tmp_path, change_tensors=None, change_facts=None, format_name=FORMAT):
    """Write an alignment whose tensors or header are changed, and return its path."""
    path = tmp_path / "alignment.safetensors"
    alignment = _alignment()
    alignment.write(path)
    tensors = load_file(path)
    facts = {
        "config": alignment.config.to_dict(),
        "audio": {},
        "text": {},
        "features": "",
        "digests": {},
    } | (change_facts or {})
    tensors = {**tensors, **(change_tensors or {})}
    save_file(tensors, path, {"format": format_name, "facts": json.dumps(facts)})
    return path


HUGE = synthetic_pairs.config(hidden=1 << 40).to_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {"format_name": "other"},
        {"change_facts": {"audio": []}},
        {"change_facts": {"config": {}}},
        {"change_facts": {"config": HUGE}},
        {"change_tensors": {"text.mean": torch.zeros(3)}},
        {"change_tensors": {"text.mean": torch.full((7,), torch.nan)}},
        {"change_tensors": {"audio.deviation": torch.zeros(10)}},
        {"change_tensors": {"more": torch.zeros(1)}},
        {"change_tensors": {"audio.layers.0.weight": torch.zeros(6, 10, dtype=torch.float64)}},
    ],
)
def test_a_damaged_file_is_one_error(tmp_path, changes):
    with pytest.raises(CorruptArtifact, match="is not an alignment that this version reads"):
        Alignment.read(_damaged(tmp_path, **changes))


def test_a_file_of_other_bytes_or_none_is_an_error(tmp_path):
    (tmp_path / "alignment.safetensors").write_bytes(b"{}" * 20)
    with pytest.raises(CorruptArtifact, match="is not an alignment"):
        Alignment.read(tmp_path / "alignment.safetensors")
    with pytest.raises(MissingArtifact, match=r"no alignment at .*python -m model\.align"):
        Alignment.read(tmp_path / "none.safetensors")


def test_the_only_alignment_is_found_and_several_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingArtifact, match="no alignment under runs"):
        find_alignment(None)
    first = tmp_path / "runs" / "first" / "alignment.safetensors"
    _alignment().write(first)
    assert find_alignment(None).samefile(first)
    assert find_alignment("first").samefile(first)
    assert find_alignment(str(first)) == first
    _alignment().write(tmp_path / "runs" / "second" / "alignment.safetensors")
    with pytest.raises(InvalidInput, match=r"2 alignments \(first, second\)"):
        find_alignment(None)
