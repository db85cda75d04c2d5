"""`dags.embed`: a folder of audio becomes one file of embeddings, the same as from Python."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import synthetic_audio
import tiny

import model
from dags import embed
from stores.errors import InvalidInput
from stores.mel_spec import MelSpec


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.mp3", "disc 1/b.ogg", "disc 1/c.wav")):
        synthetic_audio.write(tmp_path / "music" / name, synthetic_audio.chords(4 + seed, seed=seed))
    synthetic_audio.write(tmp_path / "music" / "short.flac", synthetic_audio.chords(1))
    (tmp_path / "music" / "broken.mp3").write_bytes(b"no music")
    tiny.write_run(tmp_path / "runs" / "first", tiny.train_config("hybrid"))
    return tmp_path


def test_a_folder_becomes_one_parquet_file_that_python_agrees_with(workplace, capsys):
    encoder = "runs/first/encoder.safetensors"
    assert embed.main(["music", "--checkpoint", encoder, "--out", "out.parquet", "--workers", "1"]) == 0
    assert "out.parquet: 4 files; 1 rejected" in capsys.readouterr().out
    rows = pq.read_table("out.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["a.mp3", "disc 1/b.ogg", "disc 1/c.wav", "short.flac"]
    assert [row["padded"] for row in rows] == [False, False, False, True]
    myna = model.Myna.from_pretrained(encoder)
    for row in rows:
        expected = myna.embed(workplace / "music" / row["id"])
        distance = np.linalg.norm(np.array(row["embedding"]) - expected) / np.linalg.norm(expected)
        assert distance <= myna.engine.tolerance
    assert sorted(path.name for path in workplace.iterdir()) == ["music", "out.parquet", "runs"]


@pytest.mark.slow
def test_labels_limits_and_patches_are_passed_on(workplace, capsys):
    (workplace / "labels.csv").write_text("path,split,mood\na.mp3,train,calm\ndisc 1/b.ogg,test,loud\n")
    words = ["music", "--out", "out.parquet", "--workers", "1", "--labels", "labels.csv", "--max-seconds", "5.5"]
    assert embed.main([*words, "--patches", "vertical", "--window-frames", "48"]) == 0
    rows = {row["id"]: row for row in pq.read_table("out.parquet").to_pylist()}
    assert set(rows) == {"a.mp3", "disc 1/b.ogg", "short.flac"}  # the third file has six seconds
    assert (rows["disc 1/b.ogg"]["split"], dict(rows["a.mp3"]["labels"])) == ("test", {"mood": "calm"})
    assert (rows["a.mp3"]["mood"], rows["short.flac"]["mood"]) == ("calm", None)
    myna = model.Myna.from_pretrained("runs/first/encoder.safetensors", patches="vertical")
    expected = myna.embed(workplace / "music" / "a.mp3", window_frames=48)
    distance = np.linalg.norm(np.array(rows["a.mp3"]["embedding"]) - expected) / np.linalg.norm(expected)
    assert distance <= myna.engine.tolerance


@pytest.mark.slow
def test_the_audio_is_ingested_with_the_mel_of_the_encoder(workplace):
    spec = MelSpec(22_050, 1024, 160, 64, 60.0, 7_800.0)
    config = tiny.train_config(encoder=tiny.encoder_config(n_mels=64), mel={"mel_spec": spec.to_dict()})
    tiny.write_run(workplace / "runs" / "fine", config)
    assert embed.main(["music", "--checkpoint", "fine", "--out", "out.npz", "--workers", "1"]) == 0
    myna = model.Myna.from_pretrained(workplace / "runs" / "fine" / "encoder.safetensors")
    expected = myna.embed(workplace / "music" / "a.mp3")
    with np.load("out.npz") as out:
        assert np.linalg.norm(out["embeddings"][0] - expected) <= myna.engine.tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["music", "--out", "out.txt"], "--out must end in .parquet or .csv or .npz (got out.txt)"),
        (["nowhere", "--out", "out.npz"], "nowhere is not a folder"),
        (["music", "--out", "out.npz", "--checkpoint", "none.pth"], "no checkpoint at none.pth"),
        (["music", "--out", "out.npz", "--engine", "onnx"], "no onnx engine in runs/first/encoder.engines/onnx-fp32"),
        (["music", "--out", "out.npz", "--hop", "0"], "--hop must be at least 1 (got 0)"),
        (["music", "--out", "out.npz", "--workers", "0"], "--workers must be at least 1 (got 0)"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_anything_is_decoded(workplace, capsys, arguments, message):
    assert embed.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not any(path.name.endswith(".work") for path in workplace.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("files", [[], ["broken.mp3"]])
def test_a_failure_without_a_mel_leaves_nothing_behind(workplace, capsys, files):
    (workplace / "other").mkdir()
    for name in files:
        (workplace / "other" / name).write_bytes(b"no music")
    assert embed.main(["other", "--out", "out.parquet", "--workers", "1"]) == 2
    assert "start the same command again" in capsys.readouterr().err
    assert sorted(path.name for path in workplace.iterdir()) == ["music", "other", "runs"]


@pytest.mark.slow
def test_a_failure_with_a_mel_keeps_it(workplace, monkeypatch):
    monkeypatch.setattr("model.inference.extract.EncoderRepresentation.of", _broken)
    assert embed.main(["music", "--out", "out.parquet", "--workers", "1"]) == 2
    assert (workplace / ".out.parquet.work" / "mel.zarr").is_dir()


def _broken(*_):
    raise InvalidInput("it broke")


@pytest.mark.slow
def test_folders_may_begin_with_a_dash(workplace, capsys):
    (workplace / "music").rename("-x")
    (workplace / "runs" / "first").rename("-run")
    checkpoint = "--checkpoint=-run/encoder.safetensors"
    assert embed.main(["--out=-out/e.parquet", checkpoint, "--workers", "1", "--", "-x"]) == 0
    assert "-out/e.parquet: 4 files; 1 rejected" in capsys.readouterr().out
    assert [path.name for path in (workplace / "-out").iterdir()] == ["e.parquet"]


def test_the_graph_can_be_drawn(workplace, capsys):
    assert embed.main(["music", "--out", "x.parquet", "--draw"]) == 0
    assert capsys.readouterr().out == "flowchart LR\n    ingest --> extract\n"
