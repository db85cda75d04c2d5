"""Where artefacts lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from stores import locations
from stores.errors import InvalidInput


def test_default_places_are_those_of_the_docstring():
    assert locations.mel_store("demo") == Path("stores/demo.zarr")
    assert locations.shards(Path("stores/demo.zarr")) == Path("stores/demo.shards")
    assert locations.run("tiny-0") == Path("runs/tiny-0")
    assert locations.feature_store("demo", "tiny-0") == Path("stores/demo.tiny-0.features.zarr")
    assert locations.scores("tiny-0", "demo", "key") == Path("runs/tiny-0/scores/demo.key.json")
    assert locations.sweep("ratios") == Path("runs/ratios.sweep.json")
    assert locations.report("first") == Path("reports/first.html")


def test_shards_lie_beside_their_store_wherever_it_is():
    assert locations.shards(Path("/mnt/big/mine.zarr")) == Path("/mnt/big/mine.shards")


def test_a_store_is_given_by_its_path_or_by_its_name_where_no_store_lies_at_that_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("gtzan").mkdir()  # of audio
    assert locations.store_path("gtzan") == locations.mel_store("gtzan")
    for word in ("stores/gtzan.zarr", "/a/b", "gtzan.zarr", "-x"):
        assert locations.store_path(word) == Path(word)
    Path("gtzan/zarr.json").touch()
    assert locations.store_path("gtzan") == Path("gtzan")


@pytest.mark.parametrize("name", ["a", "A-1", "audio_set", "0"])
def test_plain_names_are_taken(name):
    assert locations.validate_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a.b", "a/b", "../x", "-a", "_a", "a b", "ä", "a\n", "a\0"])
def test_names_that_could_mean_something_else_are_refused(name):
    with pytest.raises(InvalidInput, match="use letters, digits"):
        locations.validate_name(name)


@pytest.mark.parametrize(
    "place",
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
def test_no_place_takes_a_name_that_leaves_its_folder(place):
    with pytest.raises(InvalidInput):
        place("../../etc")


def test_audio_is_looked_for_where_the_environment_says(monkeypatch):
    monkeypatch.delenv("MYNA_DATA", raising=False)
    assert locations.data_root("gtzan") == Path("data/gtzan")
    monkeypatch.setenv("MYNA_DATA", "")
    assert locations.data_root("gtzan") == Path("data/gtzan")
    monkeypatch.setenv("MYNA_DATA", "/mnt/music")
    assert locations.data_root("gtzan") == Path("/mnt/music/gtzan")
