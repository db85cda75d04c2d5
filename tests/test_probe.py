"""The command `model.probe`: features become scores beside the baselines; stale features are never scored."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny

from model import extract, probe
from model.inference import representation
from model.probes.scores import Scores
from stores import locations

CLIPS = 24
SPLITS = [("train", "valid", "test")[i % 3] for i in range(CLIPS)]


def _labelled_store(make_store, seed=0):
    store = make_store([96] * CLIPS, "stores/made.zarr", splits=SPLITS, seed=seed)
    labels = [{"key": f"key-{i % 2}"} | ({"genre": f"genre-{i % 4}"} if i % 5 else {}) for i in range(CLIPS)]
    store.update([replace(row, labels=one) for row, one in zip(store.rows, labels, strict=True)])
    return store


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    """Features of a labelled store by the encoder of the run `first`; chroma is made up, for there is no audio."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        representation,
        "mean_chroma_of_audio",
        lambda _, rows: np.random.default_rng(0).random((len(rows), 12), np.float32),
    )
    (tmp_path / "stores").mkdir()
    _labelled_store(make_store)
    tiny.write_run(tmp_path / "runs" / "first")
    assert extract.main(["made"]) == 0
    return tmp_path


def test_every_task_is_scored_beside_every_baseline(workplace, capsys):
    assert probe.main(["made"]) == 0
    printed = capsys.readouterr().out
    for task, clips in (("key", 24), ("genre", 19)):
        scores = Scores.read(locations.scores("first", "made", task))
        assert [row.representation for row in scores.rows] == ["trained", "untrained", "mean-log-mel", "mean-chroma"]
        assert [row.width for row in scores.rows] == [32, 32, 128, 12]
        assert sum(scores.clips.values()) == clips
        assert (scores.dataset, scores.run, scores.task) == ("made", "first", task)
        assert f"made / {task}: " in printed
    assert printed.startswith("encoder: runs/first/encoder.safetensors\n")


def test_an_encoder_as_it_was_initialised_scores_as_the_untrained_one(workplace):
    assert probe.main(["made", "--task", "key"]) == 0
    trained, untrained = Scores.read(locations.scores("first", "made", "key")).rows[:2]
    assert trained.test_accuracy == untrained.test_accuracy  # the run's weights never moved
    assert (untrained.lead.low, untrained.lead.high) == (0, 0)


def test_tasks_can_be_named(workplace):
    assert probe.main(["made", "--task", "genre"]) == 0
    assert [path.name for path in (workplace / "runs" / "first" / "scores").iterdir()] == ["made.genre.json"]


def test_probing_twice_gives_the_same_scores(workplace):
    paths = [locations.scores("first", "made", task) for task in ("key", "genre")]
    assert probe.main(["made"]) == 0
    first = [path.read_bytes() for path in paths]
    assert probe.main(["made"]) == 0
    assert [path.read_bytes() for path in paths] == first


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none"], "no mel store at stores/none.zarr"),
        (["made", "--task", "tempo"], "task 'tempo' has {'train': 0, 'valid': 0, 'test': 0} labelled clips"),
        (["made", "--checkpoint", "runs/x.safetensors"], "no checkpoint at runs/x.safetensors"),
    ],
)
def test_what_is_not_there_is_an_error_of_one_line(workplace, capsys, arguments, told):
    assert probe.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_features_that_were_not_extracted_name_the_whole_command(workplace, capsys):
    tiny.write_run(workplace / "runs" / "second")
    assert probe.main(["made", "--checkpoint", "runs/second/encoder.safetensors"]) == 2
    told = capsys.readouterr().err
    assert "no features at stores/made.second.features.zarr" in told
    assert "`python -m model.extract made --checkpoint runs/second/encoder.safetensors`" in told


def test_features_of_another_encoder_under_the_same_name_are_refused(workplace, capsys):
    tiny.write_run(workplace / "runs" / "first", tiny.train_config(seed=8))
    assert probe.main(["made"]) == 2
    assert "made.first.features.zarr was made with another encoder; run `python -m" in capsys.readouterr().err
    assert extract.main(["made"]) == 0
    assert probe.main(["made"]) == 0


def test_features_of_a_store_that_has_changed_since_are_refused(workplace, make_store, capsys):
    shutil.rmtree(workplace / "stores" / "made.zarr")
    _labelled_store(make_store, seed=1)
    assert probe.main(["made"]) == 2
    assert "was made with another store_digest" in capsys.readouterr().err


def test_clips_without_labels_cannot_be_probed(workplace, make_store, capsys):
    make_store([96] * CLIPS, "stores/plain.zarr", splits=SPLITS)
    assert extract.main(["plain"]) == 0
    assert probe.main(["plain"]) == 2
    assert "the clips of 'plain' carry no labels" in capsys.readouterr().err
