"""The command `model.align`, and `model.search` by text with the alignment that it has written."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import synthetic_pairs
from small_stores import store_maker

from model import align, search
from model.alignment.alignment import Alignment
from stores.features import FeatureStore

FLAGS = ["--batch", "8", "--epochs", "30", "--learning-rate", "0.01", "--width", "6"]
PATH = "runs/made-first-text-fastclip-v3/alignment.safetensors"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with features and texts of the same clips."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "stores").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        synthetic_pairs.write(store_maker(folder), folder)
    return folder


@pytest.fixture
def workplace(built, tmp_path, monkeypatch):
    """A copy of this folder, as the working directory."""
    shutil.copytree(built, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def _align(*words):
    return align.main(["--audio", "stores/made.first.features.zarr", "--text", "texts.parquet", *FLAGS, *words])


def test_an_alignment_is_trained_scored_and_kept(workplace, capsys):
    assert _align("--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((workplace / "runs/made-first-text-fastclip-v3/alignment.json").read_text())
    assert printed["scores"]["queries"] == 24
    for direction in ("text to audio", "audio to text"):
        assert printed["scores"][direction]["recall@5"][1] > printed["scores"]["chance"][direction]["recall@5"]
    before = (workplace / PATH).read_bytes()
    assert _align() == 0
    assert (workplace / PATH).read_bytes() == before
    assert "recall@10" in capsys.readouterr().out


def test_other_settings_or_texts_need_another_name(workplace, capsys):
    assert _align() == 0
    assert _align("--seed", "5") == 2
    assert "was trained with other seed (seed: 0, now 5); choose another --name" in capsys.readouterr().err
    assert _align("--seed", "5", "--name", "other") == 0
    store = FeatureStore.read(workplace / "stores/made.first.features.zarr")
    text = np.random.default_rng(9).normal(size=(48, 7)).astype(np.float32)
    synthetic_pairs.write_texts(workplace / "texts.parquet", [row.id for row in store.rows], text)
    assert _align() == 2
    assert "was trained with other text" in capsys.readouterr().err


def test_numbers_that_an_objective_does_not_use_are_an_error(workplace, capsys):
    assert _align("--objective", "infonce", "--rho", "2") == 2
    assert "--rho is not used by objective infonce (it uses temperature)" in capsys.readouterr().err
    assert _align("--objective", "fastclip-v2", "--rho", "2", "--gamma", "0.5") == 0
    config = Alignment.read(workplace / PATH.replace("v3", "v2")).config.objective
    assert (config.rho, config.gamma, config.gamma_decay_epochs) == (2.0, 0.5, 15)


def test_pairs_without_common_ids_or_splits_are_errors(workplace, capsys):
    synthetic_pairs.write_texts(workplace / "texts.parquet", ["a", "b"], np.ones((2, 7), np.float32))
    assert _align() == 2
    assert "none of the 48 clips has a text; the texts must have the ids of the clips, e.g. 'clip-0'" in (
        capsys.readouterr().err
    )
    synthetic_pairs.write_texts(workplace / "texts.parquet", ["clip-0", "clip-2"], np.ones((2, 7), np.float32))
    assert _align() == 2
    assert "--batch must be at most the number of training pairs, 2" in capsys.readouterr().err


def _matches(words, capsys):
    assert search.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["matches"]


def test_a_text_embedding_finds_its_clip(workplace, capsys):
    assert _align("--json") == 0
    capsys.readouterr()
    _, text = synthetic_pairs.embeddings(48)
    found = 0
    for clip in range(0, 48, 6):
        np.save(workplace / "query.npy", text[clip])
        words = ["stores/made.first.features.zarr", "--text-embedding", "query.npy", "--count", "5"]
        found += f"clip-{clip}" in [match["id"] for match in _matches(words, capsys)]
    assert found >= 6


def test_a_sentence_is_searched_in_the_features_of_the_only_alignment(workplace, capsys):
    (workplace / "captions.csv").write_text(
        "id,caption\n" + "".join(f"clip-{i},{'slow' if i % 3 else 'fast'} tune {i % 3}\n" for i in range(48))
    )
    words = ["--audio", "stores/made.first.features.zarr", "--text", "captions.csv", "--text-encoder", "hashed-words"]
    assert align.main([*words, "--batch", "8", "--epochs", "2", "--json"]) == 0
    capsys.readouterr()
    by_sentence = _matches(["slow tune 1"], capsys)
    assert len(by_sentence) == 10
    assert by_sentence == _matches(["stores/made.first.features.zarr", "--text", "slow tune 1"], capsys)


def test_texts_that_cannot_be_searched_are_one_line(workplace, capsys):
    assert search.main(["slow piano"]) == 2
    assert "no alignment under runs/" in capsys.readouterr().err
    assert _align("--json") == 0
    assert search.main(["slow piano"]) == 2
    assert "embedded by an encoder that is not known here" in capsys.readouterr().err
    store = "stores/made.first.features.zarr"
    for content, message in (
        (np.zeros(5, np.float32), "the text adapter reads 7 numbers"),
        (np.zeros((2, 7), np.float32), "one vector of floats is needed"),
        (np.zeros(7, np.int64), "one vector of floats is needed"),
        (np.full(7, np.nan, np.float32), "not finite"),
    ):
        np.save(workplace / "query.npy", content)
        assert search.main([store, "--text-embedding", "query.npy"]) == 2
        assert message in capsys.readouterr().err
    (workplace / "query.npy").write_bytes(b"no array")
    assert search.main([store, "--text-embedding", "query.npy"]) == 2
    assert "is not a vector" in capsys.readouterr().err
    assert search.main([store, "--text", "a b", "--text-embedding", "query.npy"]) == 2
    assert "state one of QUERY" in capsys.readouterr().err
    assert search.main([store, "clip-0", "--alignment", "x"]) == 2
    assert "--alignment is for --text" in capsys.readouterr().err
