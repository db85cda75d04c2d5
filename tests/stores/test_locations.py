"""Default paths of artifacts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stores import locations
from stores.errors import InvalidInput, MissingArtifact


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


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A function that makes finished runs in the working directory."""
    monkeypatch.chdir(tmp_path)

    def finish(*names):
        for name in names:
            locations.run(name).mkdir(parents=True)
            (locations.run(name) / locations.ENCODER_FILE).touch()

    return finish


def test_the_only_finished_run_is_taken_and_named(runs):
    runs("first")
    Path("runs/unfinished").mkdir()
    found = locations.find_checkpoint(None)
    assert found.path == Path("runs/first/encoder.safetensors")
    assert str(found) == "runs/first/encoder.safetensors (run first, the only finished run)"
    assert locations.only_finished_run() == "first"


def test_several_finished_runs_are_an_error_that_lists_them(runs):
    runs("z", "a", "m")
    with pytest.raises(InvalidInput, match=r"3 runs are finished, so --checkpoint must name one of them: a, m, z$"):
        locations.find_checkpoint(None)
    with pytest.raises(InvalidInput, match=r"so --run must name one of them: a, m, z$"):
        locations.only_finished_run()
    runs(*(f"run-{number}" for number in range(18)))
    with pytest.raises(InvalidInput, match=r"21 runs .* and 1 more"):
        locations.only_finished_run()


def test_no_finished_run_is_an_error_that_names_the_command(runs):
    with pytest.raises(MissingArtifact, match=r"no finished run under runs/; .*model\.train.* or state --checkpoint"):
        locations.find_checkpoint(None)


def test_a_word_is_an_existing_path_and_else_a_run(runs):
    runs("first", "second")
    assert str(locations.find_checkpoint("first")) == "runs/first/encoder.safetensors (run first)"
    assert str(locations.find_checkpoint("runs/first")) == "runs/first/encoder.safetensors (path)"
    Path("first").touch()
    assert str(locations.find_checkpoint("first")) == "first (path)"
    for word in ("third", "some-one/third", "../first.pth"):
        with pytest.raises(MissingArtifact, match=f"no checkpoint at {word}, which is neither .* runs first, second$"):
            locations.find_checkpoint(word)


def test_a_run_that_is_not_finished_is_named_with_its_newest_checkpoint(runs):
    Path("runs/half").mkdir(parents=True)
    for step in (2, 4):
        Path(f"runs/half/checkpoint-{step:08d}.safetensors").touch()
    newest = r"the run half is not finished, and --init runs/half/checkpoint-00000004\.safetensors is its newest"
    with pytest.raises(MissingArtifact, match=newest):
        locations.find_checkpoint("half", "--init")


def test_the_variable_myna_home_moves_stores_runs_and_reports(tmp_path):
    script = "from stores import locations as l; print(l.mel_store('a'), l.run('b'), l.report('c'), l.data_root('d'))"
    environment = {"PATH": os.environ["PATH"], "MYNA_HOME": str(tmp_path)}
    moved, usual = (
        subprocess.run(
            [sys.executable, "-c", script], env=variables, cwd=Path(__file__).parents[2], capture_output=True, text=True
        ).stdout.split()
        for variables in (environment, {"PATH": os.environ["PATH"]})
    )
    places = ["stores/a.zarr", "runs/b", "reports/c.html"]
    assert moved == [*(str(tmp_path / place) for place in places), "data/d"]
    assert usual == [*places, "data/d"]
