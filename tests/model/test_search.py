"""`model.search`: neighbors, moments, playlists, paths, duplicates and errors, on a small folder of music."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import small_collection
import synthetic_embeddings
import tiny

from model import extract, search
from model.inference.myna import Myna
from model.similarity.query import parse_time
from stores.errors import InvalidInput


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with music, its mel store, a run, and its embeddings with and without windows."""
    folder = tmp_path_factory.mktemp("collection")
    small_collection.ingest_music(small_collection.write_music(folder / "music"), folder / "stores" / "mine.zarr")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        tiny.write_run(folder / "runs" / "first")
        assert extract.main(["mine"]) == 0
        assert extract.main(["mine", "--pool", "none"]) == 0
    return folder


@pytest.fixture
def workplace(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


POOLED, WINDOWS = "stores/mine.first.features.zarr", "stores/mine.first-windows.features.zarr"


def _json(words, capsys):
    assert search.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_neighbors_of_a_clip_are_others_in_the_order_of_their_cosines(workplace, capsys):
    matches = _json([POOLED, "a/one.wav", "--count", "9"], capsys)["matches"]
    assert sorted(match["id"] for match in matches) == sorted(
        ["a/two.wav", "a/three.wav", "b/four.wav", "b/five.wav", "b/six.wav", "copies/eins.mp3"]
    )
    cosines = [match["cosine"] for match in matches]
    assert cosines == sorted(cosines, reverse=True)
    assert matches[0]["path"] == str(workplace / "music" / matches[0]["id"])


@pytest.mark.parametrize("word", ["a/one.wav", "one.wav", "one", "music/a/one.wav"])
def test_a_clip_is_meant_by_its_id_its_file_name_or_its_path(workplace, capsys, word):
    printed = _json([POOLED, word, "--count", "1"], capsys)
    assert printed["query"] == "nearest to a/one.wav"


@pytest.mark.parametrize("store", [POOLED, WINDOWS])
def test_another_file_is_embedded_like_the_clips(workplace, capsys, store):
    shutil.copy("music/a/two.wav", "other.wav")
    first = _json([store, "other.wav", "--count", "1"], capsys)["matches"][0]
    assert (first["id"], round(first["cosine"], 3)) == ("a/two.wav", 1.0)


def test_a_moment_is_compared_with_moments(workplace, capsys):
    shutil.copy("music/b/four.wav", "other.wav")
    for word in ("other.wav", "copies/eins.mp3"):
        matches = _json([WINDOWS, word, "--at", "0:07", "--count", "3"], capsys)["matches"]
        assert all("start_seconds" in match for match in matches)
        assert len({match["id"] for match in matches}) == 3
    first = _json([WINDOWS, "other.wav", "--at", "0:07"], capsys)["matches"][0]
    assert (first["id"], first["start_seconds"], first["cosine"]) == ("b/four.wav", 6.144, 1.0)


def test_a_moment_of_a_clip_without_windows_is_embedded_from_its_audio(workplace, capsys):
    myna = Myna.from_pretrained(workplace / "runs" / "first" / "encoder.safetensors")
    window = myna.embed("music/a/one.wav", pool="none")[2]
    first = _json([POOLED, "a/one.wav", "--at", "7", "--count", "1"], capsys)["matches"][0]
    other = myna.embed(f"music/{first['id']}")
    assert first["cosine"] == pytest.approx(window @ other / np.linalg.norm(window) / np.linalg.norm(other), abs=1e-3)


def test_the_album_of_the_query_can_be_left_out(workplace, capsys):
    ids = [match["id"] for match in _json([POOLED, "a/one.wav", "--exclude-same-album"], capsys)["matches"]]
    assert sorted(ids) == ["b/five.wav", "b/four.wav", "b/six.wav", "copies/eins.mp3"]


def test_a_path_leads_from_one_clip_to_another_without_repetition(workplace, capsys):
    ids = [match["id"] for match in _json([POOLED, "--between", "one", "six", "--count", "5"], capsys)["matches"]]
    assert (ids[0], ids[-1], len(set(ids))) == ("a/one.wav", "b/six.wav", 5)


def test_playlists_are_written_for_players_and_programs(workplace, capsys, tmp_path):
    for kind in ("m3u8", "json"):
        words = [POOLED, "one", "--count", "2", "--playlist", str(tmp_path / f"list.{kind}")]
        matches = _json(words, capsys)["matches"]
    lines = (tmp_path / "list.m3u8").read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[2::2] == [match["path"] for match in matches]
    assert lines[1].startswith("#EXTINF:")
    assert lines[1].endswith(f",{matches[0]['id']}")
    assert json.loads((tmp_path / "list.json").read_text())["tracks"] == matches


def test_duplicates_are_printed_and_can_become_a_playlist(workplace, capsys, tmp_path):
    pairs = _json([WINDOWS, "--duplicates", "--playlist", str(tmp_path / "twins.m3u8")], capsys)["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("a/one.wav", "copies/eins.mp3")]
    assert (tmp_path / "twins.m3u8").read_text().splitlines()[-1].endswith("copies/eins.mp3")
    assert search.main([WINDOWS, "--duplicates"]) == 0
    assert "is the same for 13 s as, from 3 s on, a/one.wav" in capsys.readouterr().out


def test_tables_of_other_models_can_be_searched(workplace, capsys, tmp_path):
    path = synthetic_embeddings.write(tmp_path / "x.npz", ["p", "q", "r"], np.eye(3, dtype=np.float32) + 0.1)
    assert [match["id"] for match in _json([str(path), "q"], capsys)["matches"]] == ["p", "r"]


def test_an_index_is_built_beside_the_embeddings_and_used_above_the_limit(workplace, capsys, monkeypatch):
    pytest.importorskip("usearch", reason="needs the extra `search`")
    exact = _json([POOLED, "one"], capsys)
    assert _json([POOLED, "--index"], capsys)["clips"] == 7
    monkeypatch.setattr("model.similarity.ann_index.MAX_EXACT_CLIPS", 5)
    monkeypatch.setattr("model.similarity.exact.search", None)
    assert [match["id"] for match in _json([POOLED, "one"], capsys)["matches"]] == [
        match["id"] for match in exact["matches"]
    ]


def test_a_dataset_is_meant_by_its_name_if_its_stores_are_of_one_encoder(workplace, capsys):
    assert _json(["mine", "one", "--at", "3"], capsys)["matches"][0]["start_seconds"] > 0
    shutil.copytree(POOLED, "stores/mine.mfcc.features.zarr")
    shutil.copytree(POOLED, "stores/mine.untrained-mini-0.features.zarr")
    assert _json(["mine", "one"], capsys)["matches"]  # what model.probe has left is not meant
    shutil.copytree(POOLED, "stores/mine.second.features.zarr")
    assert search.main(["mine", "one"]) == 2
    assert "mine has several feature stores; state one: stores/mine.first" in capsys.readouterr().err
    shutil.rmtree("stores/mine.second.features.zarr")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "x"], "no embeddings at none"),
        (["min", "x"], "no embeddings at min"),
        ([POOLED, "on.wav"], "on.wav is neither a clip of"),
        ([POOLED], "state one of QUERY, --between FROM TO, --text, --text-embedding, --duplicates, and --index"),
        ([POOLED, "one", "two"], "one QUERY is accepted (got one, two)"),
        ([WINDOWS, "one", "--at", "9:00"], "--at 540 s is after the end of a/one.wav, which lasts 16 s"),
        ([WINDOWS, "one", "--at", "1:75"], "--at must be a time such as 1:23 or 83 (got 1:75)"),
        ([POOLED, "--between", "one", "one"], "--between needs two different recordings"),
        ([POOLED, "one", "--playlist", "x.pls"], "--playlist must end in .m3u8 or .json (got x.pls)"),
    ],
)
def test_what_cannot_be_searched_is_an_error_that_says_what_to_do(workplace, capsys, words, message):
    assert search.main(words) == 2
    assert message in capsys.readouterr().err


def test_another_encoder_than_that_of_the_embeddings_is_refused(workplace, capsys):
    tiny.write_run(workplace / "runs" / "second", tiny.train_config(seed=9))
    shutil.copy("music/a/two.wav", "other.wav")
    assert search.main([POOLED, "other.wav", "--checkpoint", "second"]) == 2
    assert "is not the encoder that made" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("83", 83), ("1:23.5", 83.5), ("1:02:03", 3723), ("0", 0)])
def test_times_are_read_as_players_write_them(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1:60", "nan", "1e9"])
def test_other_texts_are_no_times(text):
    with pytest.raises(InvalidInput, match="must be a time"):
        parse_time(text)
