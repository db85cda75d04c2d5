"""The command `model.probe`: scores of an encoder beside baselines, and no scores of outdated features."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import synthetic_embeddings
import tiny

from model import compare, extract, predict, probe, report
from model.inference import representations
from model.probes.config import GRIDS
from model.probes.probe import Probe
from model.probes.results.scores import Scores
from stores import locations
from stores.commit import write_json
from stores.mel_store import MelStore

CLIPS = 24
SPLITS = [("train", "valid", "test")[i % 3] for i in range(CLIPS)]


def _labeled_store(make_store, seed=0, path="stores/made.zarr"):
    store = make_store([96] * CLIPS, path, splits=SPLITS, seed=seed)
    labels = [{"key": f"key-{i % 2}"} | ({"genre": f"genre-{i % 4}"} if i % 5 else {}) for i in range(CLIPS)]
    store.update([replace(row, labels=label) for row, label in zip(store.rows, labels, strict=True)])
    return store


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    """A folder with features of a labeled store by the run `first`. Chroma is random, as there is no audio."""
    monkeypatch.chdir(tmp_path)
    chroma = np.random.default_rng(0).random((CLIPS, 12), np.float32)
    monkeypatch.setitem(representations._FUNCTIONS, "mean-chroma", lambda _store, _rows: chroma)
    (tmp_path / "stores").mkdir()
    _labeled_store(make_store)
    monkeypatch.setitem(GRIDS, "quick", tiny.grid())
    tiny.write_run(tmp_path / "runs" / "first")
    assert extract.main(["made"]) == 0
    return tmp_path


def test_every_task_is_scored_with_every_baseline(workplace, capsys):
    assert probe.main(["made"]) == 0
    printed = capsys.readouterr().out
    for task, clips in (("key", 24), ("genre", 19)):
        scores = Scores.read(locations.scores("first", "made", task))
        assert [row.representation for row in scores.rows] == [
            *("trained", "untrained", "mean-log-mel", "mean-chroma", "mfcc")
        ]
        assert [row.width for row in scores.rows] == [32, 32, 128, 12, 120]
        assert sum(scores.clips.values()) == clips
        assert (scores.dataset, scores.run, scores.task) == ("made", "first", task)
        assert f"made / {task}: " in printed
    assert printed.startswith("encoder: runs/first/encoder.safetensors (run first, the only finished run)\n")


@pytest.mark.slow
def test_an_encoder_with_its_initial_weights_scores_like_the_untrained_one(workplace):
    assert probe.main(["made", "--task", "key"]) == 0
    trained, untrained = Scores.read(locations.scores("first", "made", "key")).rows[:2]
    assert trained.main.value == untrained.main.value  # the weights of the run are its initial weights
    assert (untrained.main.lead.low, untrained.main.lead.high) == (0, 0)


@pytest.mark.slow
def test_a_single_task_can_be_selected(workplace):
    assert probe.main(["made", "--task", "genre"]) == 0
    assert [path.name for path in (workplace / "runs" / "first" / "scores").iterdir()] == ["made.genre.json"]


@pytest.mark.slow
def test_classes_without_training_clips_are_noted(workplace, make_store, capsys):
    shutil.rmtree(workplace / "stores" / "made.zarr")
    store = _labeled_store(make_store, seed=1)
    labels = [{"key": "unseen" if row.split == "test" else row.labels["key"]} for row in store.rows]
    store.update([replace(row, labels=label) for row, label in zip(store.rows, labels, strict=True)])
    assert extract.main(["made"]) == 0
    assert probe.main(["made"]) == 0
    assert (
        "note: 1 of 3 classes of key have no training clip and are never predicted, e.g. 'unseen'"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_second_run_gives_the_same_scores(workplace):
    paths = [locations.scores("first", "made", task) for task in ("key", "genre")]
    assert probe.main(["made"]) == 0
    first = [path.read_bytes() for path in paths]
    assert probe.main(["made"]) == 0
    assert [path.read_bytes() for path in paths] == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "no mel store at stores/none.zarr"),
        (["made", "--task", "tempo"], "task 'tempo' has {'train': 0, 'valid': 0, 'test': 0} labeled clips"),
        (["made", "--checkpoint", "runs/x.safetensors"], "no checkpoint at runs/x.safetensors"),
    ],
)
def test_missing_inputs_are_an_error_with_a_message(workplace, capsys, arguments, message):
    assert probe.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_missing_features_are_an_error_that_states_the_whole_command(workplace, capsys):
    tiny.write_run(workplace / "runs" / "second")
    assert probe.main(["made", "--checkpoint", "runs/second/encoder.safetensors"]) == 2
    error = capsys.readouterr().err
    assert "no features at stores/made.second.features.zarr" in error
    assert "`python -m model.extract made --checkpoint runs/second/encoder.safetensors`" in error


@pytest.mark.slow
def test_features_of_another_encoder_with_the_same_name_are_an_error(workplace, capsys):
    tiny.write_run(workplace / "runs" / "first", tiny.train_config(seed=8))
    assert probe.main(["made"]) == 2
    assert "made.first.features.zarr was made with another encoder; run `python -m" in capsys.readouterr().err
    assert extract.main(["made"]) == 0
    assert probe.main(["made"]) == 0


def test_features_of_a_store_that_has_changed_are_an_error(workplace, make_store, capsys):
    shutil.rmtree(workplace / "stores" / "made.zarr")
    _labeled_store(make_store, seed=1)
    assert probe.main(["made"]) == 2
    error = capsys.readouterr().err
    assert (
        "made.first.features.zarr is stale, because stores/made.zarr has changed since: 24 clips whose audio" in error
    )
    assert "e.g. 'clip-0'" in error


def _relabel(store, change):
    store.update([replace(row, **change(row)) for row in store.rows])


@pytest.mark.slow
def test_labels_and_splits_that_an_ingest_changed_reach_old_features(workplace, capsys):
    assert probe.main(["made", "--task", "genre"]) == 0
    store = MelStore.open("stores/made.zarr")
    rng = np.random.default_rng(5)
    _relabel(store, lambda row: {"labels": {"genre": f"new-{rng.integers(3)}"}, "split": SPLITS[(row.index + 1) % 3]})
    assert probe.main(["made"]) == 0
    printed = capsys.readouterr()
    assert "computed again" not in printed.err
    scores = Scores.read(locations.scores("first", "made", "genre"))
    assert scores.classes == ("new-0", "new-1", "new-2")
    assert sum(scores.clips.values()) == CLIPS
    assert "3 classes, 8 train, 8 valid, 8 test" in printed.out


@pytest.mark.slow
def test_scores_of_former_labels_are_reported_and_not_shown_on_a_page(workplace, capsys):
    assert probe.main(["made", "--task", "key"]) == 0
    write_json(workplace / "runs" / "first" / "config.json", {**tiny.train_config().to_dict(), "store": "made"})
    assert compare.main(["--run", "first"]) == 0
    assert "scores of other labels" not in capsys.readouterr().out
    store = MelStore.open("stores/made.zarr")
    _relabel(store, lambda row: {"labels": {**row.labels, "mood": "calm"}})
    assert compare.main(["--run", "first"]) == 0
    assert "scores of other labels" not in capsys.readouterr().out
    _relabel(store, lambda row: {"labels": {"key": f"key-{row.index // 3 % 3}"}})
    assert compare.main(["--run", "first"]) == 0
    assert "made/key: scores of other labels than the current ones; run `python -m model.probe made` again" in (
        capsys.readouterr().out
    )
    assert report.main(["--run", "first"]) == 2
    assert "the scores on key belong to other labels or splits than the current ones" in capsys.readouterr().err
    assert probe.main(["made", "--task", "key"]) == 0
    assert compare.main(["--run", "first"]) == 0
    assert "scores of other labels" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_label_that_is_a_word_for_no_value_is_no_class_and_is_counted(workplace, capsys):
    words = {0: "nan", 1: "None", 2: " NULL ", 3: "n/a", 4: ""}
    store = MelStore.open("stores/made.zarr")
    _relabel(store, lambda row: {"labels": {"key": words.get(row.index, row.labels["key"]), "mood": "nan"}})
    assert probe.main(["made"]) == 0
    printed = capsys.readouterr()
    assert "note: 5 clips of key left out: the label is empty, a word for no value, such as nan" in printed.err
    assert "made / key: 2 classes, " in printed.out
    assert "mood" not in printed.out
    assert sum(Scores.read(locations.scores("first", "made", "key")).clips.values()) == CLIPS - 5


@pytest.mark.slow
def test_labels_are_read_from_the_mel_store_that_the_features_record(workplace, make_store, capsys):
    (workplace / "elsewhere").mkdir()
    shutil.rmtree(workplace / "stores" / "made.zarr")
    store = _labeled_store(make_store, path="elsewhere/made.zarr")
    assert extract.main([str(store.path), "--out", "stores/made.first.features.zarr"]) == 0
    assert probe.main(["made", "--task", "key"]) == 0
    shutil.move("elsewhere/made.zarr", "moved.zarr")
    assert probe.main(["made", "--task", "key"]) == 2
    assert "no mel store at stores/made.zarr" in capsys.readouterr().err
    assert probe.main(["made", "--task", "key", "--store", "moved.zarr"]) == 0


@pytest.mark.slow
def test_baseline_probes_are_the_same_bytes_when_their_features_are_read_again(workplace):
    folder = workplace / "runs" / "first" / "probes"
    files = []
    for _ in range(2):
        assert probe.main(["made", "--task", "key"]) == 0
        files.append({path.name: path.read_bytes() for path in folder.glob("*.safetensors")})
    assert len(files[0]) == 5
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_start_removes_what_a_killed_probe_has_left(workplace):
    folder = workplace / "runs" / "first" / "probes"
    left = [folder / ".x.safetensors.tmp-4194304", folder / "stacks" / ".y.safetensors.tmp-4194304"]
    running = folder / f".x.safetensors.tmp-{os.getppid()}"
    for path in (*left, running):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert probe.main(["made", "--task", "key"]) == 0
    assert not any(path.exists() for path in left)
    assert running.exists()


@pytest.mark.slow
@pytest.mark.parametrize("extracted", [False, True])
def test_clips_without_labels_are_an_error_before_anything_is_embedded(workplace, make_store, capsys, extracted):
    make_store([96] * CLIPS, "stores/plain.zarr", splits=SPLITS)
    assert not extracted or extract.main(["plain"]) == 0
    stores = sorted(workplace.glob("stores/*"))
    assert probe.main(["plain"]) == 2
    assert "the clips of 'plain' have no labels" in capsys.readouterr().err
    assert sorted(workplace.glob("stores/*")) == stores


@pytest.mark.parametrize("words", [["--task", "key", "--task", "tempo"], ["--features", "none.npz"]])
def test_unusable_tasks_and_features_are_an_error_before_baselines_are_embedded(workplace, words):
    stores = sorted(workplace.glob("stores/*"))
    assert probe.main(["made", *words]) == 2
    assert sorted(workplace.glob("stores/*")) == stores


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_embeddings_of_another_model_are_scored_as_well(workplace, suffix, capsys):
    ids = [f"clip-{i}" for i in reversed(range(CLIPS))]
    embeddings = np.random.default_rng(0).random((CLIPS, 5), np.float32)
    path = workplace / f"other.model{suffix}"
    synthetic_embeddings.write(path, ids, embeddings)
    assert probe.main(["made", "--task", "key", "--features", str(path)]) == 0
    row = Scores.read(locations.scores("first", "made", "key")).rows[-1]
    assert (row.representation, row.width) == ("other-model", 5)
    assert "    other-model " in capsys.readouterr().out
    synthetic_embeddings.write(path, ids[1:], embeddings[1:])
    assert probe.main(["made", "--task", "key", "--features", str(path)]) == 2
    assert "no embedding for 1 of 24 clips, e.g. 'clip-23'" in capsys.readouterr().err


def test_embeddings_with_the_name_of_another_representation_are_an_error(workplace, capsys):
    synthetic_embeddings.write(workplace / "trained.npz", ["a"], np.ones((1, 2), np.float32))
    assert probe.main(["made", "--features", str(workplace / "trained.npz")]) == 2
    assert "would be named 'trained', like another representation" in capsys.readouterr().err


@pytest.mark.slow
def test_few_shot_scores_are_accuracies_and_not_stored(workplace, capsys):
    assert probe.main(["made", "--task", "key", "--train-groups", "7", "--draws", "2"]) == 0
    printed = capsys.readouterr().out
    assert "logistic regression; labels for 7 training groups, mean of 2 draws" in printed
    assert not (workplace / "runs" / "first" / "scores").exists()


def test_the_winning_probe_predicts_what_it_was_scored_with(workplace, capsys):
    assert probe.main(["made"]) == 0
    path = workplace / "runs" / "first" / "probes" / "made.genre.trained.safetensors"
    assert predict.main(["made", "--probe", str(path)]) == 0
    assert "made.genre.csv: genre of 24 clips" in capsys.readouterr().out
    rows = list(csv.DictReader((workplace / "made.genre.csv").read_text().splitlines()))
    classes = [f"genre-{i}" for i in range(4)]
    assert list(rows[0]) == ["id", "prediction", "probability", *classes, "distance_percentile", "remark"]
    test = [i for i in range(CLIPS) if SPLITS[i] == "test" and i % 5]
    accuracy = np.mean([rows[i]["prediction"] == f"genre-{i % 4}" for i in test])
    assert accuracy == Scores.read(locations.scores("first", "made", "genre")).rows[0].main.value
    for row in rows:
        probabilities = [float(row[f"genre-{i}"]) for i in range(4)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == max(probabilities)


def test_a_head_is_scored_saved_and_predicted(workplace, capsys):
    words = ["made", "--task", "key", "--head", "12", "--head", "16,8", "--dropout", "0.25"]
    assert probe.main(words) == 0
    scores = Scores.read(locations.scores("first", "made", "key"))
    assert (scores.grid, scores.probes) == ("head 12+16-8", 2)
    assert all(len(row.main.seeds) == 2 for row in scores.rows)
    path = workplace / "runs" / "first" / "probes" / "made.key.trained.safetensors"
    saved = Probe.read(path)
    hidden = saved.metadata["config"]["hidden"]
    assert hidden in ([12], [16, 8])
    assert [weight.shape[1] for weight in saved.weights.tensors[::2]] == [*hidden, 2]
    assert extract.main(["made"]) == 0
    assert predict.main(["made", "--probe", str(path)]) == 0
    with (workplace / "made.key.csv").open() as file:
        assert {row["prediction"] for row in csv.DictReader(file)} <= {"key-0", "key-1"}
    assert "12+16-8" in capsys.readouterr().out


@pytest.mark.slow
def test_a_grid_in_a_file_replaces_the_quick_one(workplace):
    (workplace / "grid.json").write_text(json.dumps({"hidden": [0], "dropout": [0.25], "seeds": 1, "patience": 2}))
    assert probe.main(["made", "--task", "key", "--grid", "grid.json"]) == 0
    scores = Scores.read(locations.scores("first", "made", "key"))
    assert (scores.grid, scores.probes) == ("file grid.json", 1)


@pytest.mark.slow
def test_a_cluster_gives_the_scores_of_one_process(workplace, capsys):
    words = ["made", "--task", "key", "--json"]
    assert probe.main(words) == 0
    first = capsys.readouterr().out
    shutil.rmtree(locations.run("first") / "probes")
    assert probe.main([*words, "--scheduler", "threads"]) == 0
    assert capsys.readouterr().out == first
    assert probe.main([*words, "--scheduler", "threads", "--layer", "all"]) == 2
    assert "--layer and --train-groups are computed by one process" in capsys.readouterr().err
