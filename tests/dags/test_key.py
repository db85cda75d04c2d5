"""`dags.key`: a folder becomes a table of keys, also with a published head and averaged over transpositions."""

from __future__ import annotations

import csv

import pyarrow as pa
import pytest
import synthetic_audio
import tiny
import torch
from torch import nn

from dags import key
from dags.workflows.key import key_table
from stores.key_names import parse_key


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with two recordings, a run, and a key head with weights at random for its embeddings."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        synthetic_audio.write(tmp_path / "music" / f"{name}.wav", synthetic_audio.chords(7.0, seed=ord(name)))
    tiny.write_run(tmp_path / "runs" / "first")
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 24))
    torch.save(head.state_dict(), tmp_path / "head.pth")
    return tmp_path


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_recording_gets_a_key_and_a_probability(workplace, capsys):
    assert key.main(["music", "--probe", "head.pth", "--workers", "1", "--pool", "none"]) == 0
    rows = _rows(workplace / "keys.csv")
    assert [row["path"] for row in rows] == ["a.wav", "b.wav"]
    assert all(parse_key(row["key"]) and 1 / 24 <= float(row["probability"]) <= 1 for row in rows)
    assert not (workplace / ".keys.csv.work").exists()
    assert "keys.csv: 2 keys" in capsys.readouterr().out


@pytest.mark.slow
def test_an_average_over_transpositions_has_one_row_for_each_recording(workplace):
    words = ["music", "--probe", "head.pth", "--workers", "1", "--average-transpositions", "--key-format", "camelot"]
    assert key.main([*words, "--out", "averaged.csv"]) == 0
    rows = _rows(workplace / "averaged.csv")
    assert [row["path"] for row in rows] == ["a.wav", "b.wav"]
    assert {row["key"][-1] for row in rows} <= {"A", "B"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--probe", "head.pth"], "nowhere is not a folder"),
        (["music", "--probe", "none.pth"], "no checkpoint at none.pth"),
        (["music", "--probe", "head.pth", "--out", "keys.txt"], "--out must end in .csv or .parquet"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_anything_is_decoded(workplace, capsys, words, message):
    assert key.main(words) == 2
    assert message in capsys.readouterr().err


def test_windows_of_a_recording_become_one_row():
    predictions = {"id": ["x", "x", "y"], "prediction": ["C# minor"] * 2 + ["8B"], "probability": [0.5, 0.5, 0.25]}
    table = key_table(pa.table(predictions), "open-key")
    assert table.to_pylist() == [
        {"path": "x", "key": "5m", "probability": 0.5},
        {"path": "y", "key": "1d", "probability": 0.25},
    ]
