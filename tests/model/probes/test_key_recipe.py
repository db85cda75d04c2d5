"""The recipe for keys on synthetic chroma, in which a transposition turns the twelve pitch classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.probes import key_recipe
from model.probes.key_recipe import prepare, run_recipe, table
from model.probes.training.grid_search import GridSearch
from pipeline.datasets import transposition
from stores import key_names
from stores.errors import DigestMismatch, InvalidInput
from stores.features import FeatureStore
from stores.manifest import ClipRow

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 11)}
SEARCH = GridSearch(torch.device("cpu"), torch.float32)


def _store(split, count, seed, copied, provenance=None, noise=1.3, keys=range(12)):
    """Return noisy chroma of recordings with their keys, and of their transpositions if they are copied."""
    rng = np.random.default_rng(seed)
    rows, embeddings = [], []
    for number in range(count):
        key = (int(rng.choice(keys)), ("major", "minor")[int(rng.integers(2))])
        chroma = np.zeros(12)
        chroma[[(key[0] + step) % 12 for step in SCALES[key[1]]]] = 1
        chroma[key[0]] += 1
        chroma += noise * rng.normal(size=12)
        for semitones in (0, *(transposition.steps(12) if copied else ())):
            name = f"{split}-{seed}-{number}"
            labels = {"key": key_names.key_name(key_names.transpose_key(key, semitones))}
            suffix = f"~{semitones:+d}" if semitones else ""
            row = ClipRow(len(rows), name + suffix, f"{name}.wav", name, split, labels, state="written")
            rows.append(replace(row, semitones=semitones, source_digest=name))
            embeddings.append(np.roll(chroma, semitones) + 0.6 * rng.normal(size=12))
    return FeatureStore(np.array(embeddings, np.float32), rows, provenance or {"weights": "w", "digest": "d"})


def _both(*stores):
    rows = [row for store in stores for row in store.rows]
    return FeatureStore(np.concatenate([store.embeddings for store in stores]), rows, stores[0].provenance)


@pytest.fixture(scope="module")
def steps():
    train = _both(_store("train", 40, 0, True), _store("valid", 20, 1, True))
    data = prepare(train, _store("test", 60, 2, True))
    with pytest.MonkeyPatch.context() as monkeypatch:  # fewer and shorter trainings
        monkeypatch.setattr(key_recipe, "QUICK", replace(key_recipe.QUICK, patience=6))
        monkeypatch.setattr(key_recipe, "DROPOUTS", (0.25,))
        return data, run_recipe(data, (32,), SEARCH)


def test_every_step_is_scored_on_the_same_recordings(steps):
    data, recipe = steps
    assert [step.name for step in recipe] == [
        key_recipe.LINEAR,
        key_recipe.LINEAR_COPIES,
        key_recipe.WIDE,
        key_recipe.WIDE_COPIES,
        key_recipe.RECIPE,
    ]
    assert {len(step.credits) for step in recipe} == {60}
    assert all(np.array_equal(step.groups, recipe[0].groups) for step in recipe)
    assert key_recipe.counts(data) == {
        "train": 40,
        "transposed copies of train": 440,
        "valid": 20,
        "transposed copies of valid": 220,
        "test": 60,
        "left out, because test has the same audio": 0,
    }


def test_the_whole_recipe_is_ahead_of_the_linear_probe(steps):
    _, recipe = steps
    values = recipe[-1].to_dict(recipe[0])
    lead, low, high = values["lead"]
    assert 0 < low <= lead <= high
    assert values["test"][0] == pytest.approx(recipe[0].to_dict(recipe[0])["test"][0] + lead, abs=2e-4)
    assert values["test"][0] > recipe[3].credits.mean()
    assert values["test_in_all_keys"] == values["test"]
    assert values["lead_in_all_keys"][1] > 0
    assert recipe[0].to_dict(recipe[0])["lead"] == [0, 0, 0]


def test_the_scores_of_a_step_equal_those_of_its_probe(steps):
    _, recipe = steps
    for step in recipe[:4]:
        assert step.credits.mean() == pytest.approx(step.probe.test["weighted score"].value)


@pytest.mark.slow
def test_a_probe_that_knows_common_keys_only_loses_in_all_keys():
    common = {"keys": (0, 7), "noise": 0.3}
    train = _both(_store("train", 60, 0, True, **common), _store("valid", 20, 1, True, **common))
    data = prepare(train, _store("test", 40, 2, True, **common))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(key_recipe, "QUICK", replace(key_recipe.QUICK, patience=24))
        monkeypatch.setattr(key_recipe, "DROPOUTS", (0.25,))
        linear, linear_copies, *_ = run_recipe(data, (16,), SEARCH)
    assert linear.credits_in_all_keys.mean() < 0.5 < linear_copies.credits_in_all_keys.mean()
    assert linear.credits.mean() > linear.credits_in_all_keys.mean() + 0.2


def test_the_table_has_a_row_for_each_step(steps):
    _, recipe = steps
    rows = table(recipe)
    assert len(rows) == 7
    assert rows[2].startswith("| linear probe | ")
    assert rows[2].endswith("| 0.000 (0.000 to 0.000) |")
    assert all(row.count("|") == 6 for row in rows)


def test_training_clips_whose_audio_is_in_test_are_left_out_and_counted():
    train, test = _both(_store("train", 10, 0, True), _store("valid", 5, 1, False)), _store("test", 5, 2, True)
    rows = [replace(row, source_digest="test-2-3") if row.group == "train-0-4" else row for row in train.rows]
    data = prepare(replace(train, rows=rows), test)
    assert data.left_out == 1
    assert key_recipe.counts(data)["train"] == 9
    assert key_recipe.counts(data)["transposed copies of train"] == 9 * 11


def test_what_the_recipe_cannot_use_is_an_error():
    train = _both(_store("train", 4, 0, True), _store("valid", 4, 1, False))
    with pytest.raises(DigestMismatch, match="come from different encoders"):
        prepare(train, _store("test", 4, 2, True, provenance={"weights": "other"}))
    with pytest.raises(InvalidInput, match="needs transposed copies of the training and test recordings"):
        run_recipe(prepare(train, _store("test", 4, 2, False)), (8,), SEARCH)
