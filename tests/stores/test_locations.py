"""Default paths of artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores import locations
from stores.errors import InvalidInput


def test_default_paths_are_those_of_the_docstring():
    assert locations.mel_store("demo") == Path("stores/demo.zarr")
    assert locations.shards(Path("stores/demo.zarr")) == Path("stores/demo.shards")
    assert locations.run("tiny-0") == Path("runs/tiny-0")
    assert locations.feature_store("demo", "tiny-0") == Path("stores/demo.tiny-0.features.zarr")
    assert locations.scores("tiny-0", "demo", "key") == Path("runs/tiny-0/scores/demo.key.json")
    assert locations.sweep("ratios") == Path("runs/ratios.sweep.json")
    assert locations.report("first") == Path("reports/first.html")


def test_shards_are_beside_their_store():
    assert locations.shards(Path("/mnt/big/mine.zarr")) == Path("/mnt/big/mine.shards")


def test_a_store_is_named_by_its_path_or_by_a_name_under_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gtzan").mkdir()  # a folder of audio
    assert locations.store_path("gtzan") == locations.mel_store("gtzan")
    for word in ("stores/gtzan.zarr", "/a/b", "gtzan.zarr", "-x"):
        assert locations.store_path(word) == Path(word)
    Path("gtzan/zarr.json").touch()
    assert locations.store_path("gtzan") == Path("gtzan")


@pytest.mark.parametrize("name", ["a", "A-1", "audio_set", "0"])
def test_plain_names_are_accepted(name):
    assert locations.validate_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a.b", "a/b", "../x", "-a", "_a", "a b", "ä", "a\n", "a\0"])
def test_other_names_are_an_error(name):
    with pytest.raises(InvalidInput, match="use letters, digits"):
        locations.validate_name(name)


@pytest.mark.parametrize(
    "location",
    [
        locations.mel_store,
        locations.sweep,
        locations.run,
        locations.report,
        lambda name: locations.feature_store("demo", name),
        lambda name: locations.feature_store(name, "run"),
        lambda name: locations.scores("run", "demo", name),
    ],
)
def test_no_name_can_leave_its_folder(location):
    with pytest.raises(InvalidInput):
        location("../../etc")


def test_the_environment_sets_the_folder_of_the_audio(monkeypatch):
    monkeypatch.delenv("MYNA_DATA", raising=False)
    assert locations.data_root("gtzan") == Path("data/gtzan")
    monkeypatch.setenv("MYNA_DATA", "")
    assert locations.data_root("gtzan") == Path("data/gtzan")
    monkeypatch.setenv("MYNA_DATA", "/mnt/music")
    assert locations.data_root("gtzan") == Path("/mnt/music/gtzan")


@pytest.mark.parametrize(
    ("store", "shards", "dataset"),
    [
        ("stores/demo.zarr", "stores/demo.shards", "demo"),
        ("stores/a.v1", "stores/a.v1.shards", "a-v1"),
        ("stores/a.v2", "stores/a.v2.shards", "a-v2"),
        ("stores/a.v1.zarr", "stores/a.v1.shards", "a-v1"),
        ("a", "a.shards", "a"),
    ],
)
def test_only_the_suffix_of_a_store_is_taken_off_its_name(store, shards, dataset):
    assert locations.shards(Path(store)) == Path(shards)
    assert locations.dataset_of(Path(store)) == locations.dataset_of(Path(shards)) == dataset
    assert locations.beside_store(Path(store), ".png") == Path(shards).with_suffix(".png")


def test_the_store_of_shards_is_the_one_that_exists(tmp_path):
    assert locations.store_of_shards(tmp_path / "a.shards") == tmp_path / "a.zarr"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "zarr.json").touch()
    assert locations.store_of_shards(tmp_path / "a.shards") == tmp_path / "a"
    (tmp_path / "a.zarr").mkdir()
    assert locations.store_of_shards(tmp_path / "a.shards") == tmp_path / "a.zarr"
