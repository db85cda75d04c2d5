"""`dags.explore`: a folder becomes a page, again only with what has changed, with and without labels."""

from __future__ import annotations

import json
import re

import pytest
import small_collection
import synthetic_audio
import tiny

from dags import explore
from dags.workflows.explore import default_name
from model import search
from model.inference import extraction
from stores import locations
from stores.mel_store import MelStore


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


@pytest.fixture
def music(workplace):
    return small_collection.write_music(workplace / "My Music")


def _explore(*words):
    return explore.main(["My Music", "--workers", "1", "--audio", "2", *words])


@pytest.mark.slow
def test_a_folder_becomes_a_page_and_again_only_with_what_has_changed(music, capsys, monkeypatch):
    assert _explore() == 0
    page = locations.report("my-music").read_text()
    assert "open reports/my-music.html in a browser" in capsys.readouterr().out
    assert "7 recordings in 3 folders, 0.0 h, 1 pair of near-duplicates. Encoder: first." in page
    titles = re.findall(r'<h2 id="[^>]*>([^<]*)</h2>', page)
    assert titles == ["Map", "Near-duplicates", "How this page was made"]
    assert page.count("data:audio/mpeg") == 2
    assert search.main(["my-music", "one", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["matches"]) == 6

    (music / "a" / "two.wav").unlink()
    synthetic_audio.write(music / "a" / "new.wav", small_collection.song(8))
    computed, compute_parts = [], extraction.Extraction.compute_parts

    def record(self, store, parts):
        computed.extend(row.id for part in parts for row in part)
        return compute_parts(self, store, parts)

    monkeypatch.setattr(extraction.Extraction, "compute_parts", record)
    assert _explore() == 0
    assert computed == ["a/new.wav"]
    assert search.main(["my-music", "one", "--json"]) == 0
    assert "a/new.wav" in (printed := capsys.readouterr().out)
    assert "a/two.wav" not in printed


@pytest.mark.slow
def test_labels_color_the_map_and_get_splits_that_keep_albums_whole(music, capsys):
    lines = [f"{name},{mood}" for name, mood in zip(small_collection.NAMES, "xyxyxy", strict=True)]
    (music.parent / "moods.csv").write_text("\n".join(["path,mood", *lines]) + "\n")
    assert _explore("--labels", "moods.csv", "--split", "40/20/40") == 0
    assert "stores/my-music.labels.csv: splits for 6 files by --split 40/20/40" in capsys.readouterr().out
    rows = {row.id: row for row in MelStore.open(locations.mel_store("my-music")).rows}
    assert rows["a/one.wav"].labels == {"mood": "x"}
    assert {row.split for row in rows.values() if row.labels} <= {"train", "valid", "test"}
    page = locations.report("my-music").read_text()
    assert "mood is not scored, because it has fewer than two values with at least 5 clips" in page
    assert "Label at least 5 recordings of each class" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["My Music", "--split", "1/2"], "--split must be percent of train, valid and test, for example 60/10/30"),
        (["My Music", "--labels", "none.csv"], "none.csv cannot be read"),
        (["My Music", "--checkpoint", "none"], "no checkpoint at none"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_anything_is_decoded(workplace, capsys, words, message):
    (workplace / "My Music").mkdir()
    assert explore.main(words) == 2
    assert message in capsys.readouterr().err
    assert not (workplace / "stores").exists()


def test_without_an_encoder_the_error_says_what_to_state(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    monkeypatch.setattr("dags.workflows.explore.hub_models.find_checkpoint", _missing)
    assert explore.main(["music"]) == 2
    assert "state --checkpoint with a run or a checkpoint, or with a network --checkpoint myna-hybrid" in (
        capsys.readouterr().err
    )


def _missing(word):
    from stores.errors import MissingArtifact

    raise MissingArtifact("no finished run")


@pytest.mark.parametrize(("folder", "name"), [("My Music", "my-music"), ("Ünï.x", "n-x"), ("a_b-c", "a_b-c")])
def test_the_name_of_a_folder_becomes_a_name_of_results(tmp_path, folder, name):
    assert default_name(tmp_path / folder) == name


def test_the_graph_can_be_drawn(music, capsys):
    assert _explore("--draw") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "    ingest --> extract",
        "    extract --> means",
        "    means --> report",
    ]
