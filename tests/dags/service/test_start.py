"""Before the first request, encoder, probes and collection are compared by their digests."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import small_service
import tiny

from dags import serve
from dags.service import start
from stores.errors import DigestMismatch, InvalidInput


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        small_service.write(folder)
        tiny.write_run(folder / "runs" / "second", tiny.train_config("hybrid", seed=9))
    return folder


@pytest.fixture(autouse=True)
def here(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return workplace


def test_everything_that_belongs_together_is_opened():
    analysis, catalog = start.open_analysis(small_service.settings())
    assert (analysis.loaded.name, analysis.windowing.pool, [one.name for one in analysis.probes]) == (
        *("first", "none", ["made/key"]),
    )
    assert catalog is analysis.catalog


def test_another_encoder_than_that_of_the_collection_is_refused():
    with pytest.raises(DigestMismatch, match=r"second\) is not the encoder that made .*state that one with"):
        start.open_analysis(small_service.settings(checkpoint="second"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": "other"}, DigestMismatch, "weights: .*, the probe needs other"),
        ({"engine": {"layer": 1}}, DigestMismatch, "layer: the last, the probe needs 1"),
        ({"pool": "tokens"}, InvalidInput, "--pool tokens, and only mean and none are served"),
        ({"hop_frames": -1}, InvalidInput, "both must be positive"),
    ],
)
def test_a_probe_of_other_embeddings_is_refused_with_each_difference(changes, error, message):
    small_service.write_probe(Path("other.safetensors"), **changes)
    with pytest.raises(error, match=message):
        start.open_analysis(small_service.settings(probe=(Path("other.safetensors"),)))


def test_two_probes_of_one_task_are_refused():
    with pytest.raises(InvalidInput, match="two probes of made/key"):
        start.open_analysis(small_service.settings(probe=(Path("probe.safetensors"),) * 2))


def test_damaged_embeddings_are_refused(tmp_path, capsys):
    (features,) = Path("stores").glob("*.features.zarr")
    damaged = tmp_path / features.name
    shutil.copytree(features, damaged)
    chunk = next((damaged / "embeddings" / "c").rglob("0"))
    chunk = chunk if chunk.is_file() else next(path for path in chunk.rglob("*") if path.is_file())
    content = bytearray(chunk.read_bytes())
    content[-6] ^= 1
    chunk.write_bytes(content)
    assert serve.main(["--embeddings", str(damaged), "--port", "0"]) == 2
    assert "extract again" in capsys.readouterr().err


def test_a_collection_without_an_encoder_has_similar_tracks_and_no_neighbors(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", ids=np.array(["a", "b"]), embeddings=np.eye(2, 8, dtype=np.float32))
    settings = small_service.settings(embeddings=str(tmp_path / "x.npz"), probe=(), checkpoint="first")
    analysis, catalog = start.open_analysis(settings)
    assert analysis.catalog is None
    assert catalog is not None
    assert catalog.similar_tracks(0, 1, True)[0]["item_id"] == "b"
    assert "does not state an encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--embeddings", "nowhere"], "no embeddings at nowhere"),
        (["--embeddings", "made", "--probe", "none.safetensors"], "no probe at none.safetensors"),
        (["--embeddings", "made", "--tracks", "none.csv"], "no table of tracks"),
        (["--embeddings", "made", "--host", "256.1.1.1"], "cannot listen on --host 256.1.1.1"),
        (["--max-megabytes", "0"], "--max-megabytes must be more than 0"),
        (["--port", "65536"], "--port must be at least 0 and at most 65535"),
    ],
)
def test_what_cannot_be_served_is_an_error_with_status_2(words, message, capsys):
    assert serve.main([*words, "--checkpoint", "first"]) == 2
    assert message in capsys.readouterr().err
