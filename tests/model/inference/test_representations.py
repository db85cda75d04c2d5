"""Features are made once for a store and its settings, and made again when either changes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tiny
import torch

from model.encoder import weights
from model.encoder.vit import Encoder
from model.inference import representations
from model.inference.baselines import mean_log_mel
from model.inference.checkpoints import load_encoder
from model.inference.engines.eager import Eager
from model.inference.extraction import Extraction
from model.inference.representations import BASELINES, Representation
from model.inference.windows import Windowing
from stores.errors import DigestMismatch, InvalidInput, MissingArtifact
from stores.features import FeatureStore


@pytest.fixture
def store(make_store):
    return make_store([100, 0, 200, 50])


@pytest.fixture
def encoder(tmp_path):
    """The path of a finished run's encoder."""
    return tiny.write_run(tmp_path / "runs" / "first")


def _embedded(encoder, store, rows):
    """What eager at its usual precision makes of these clips."""
    engine = Eager(encoder, quantizer=store.quantizer)
    return next(Extraction(engine, Windowing()).parts(store, [rows]))


class Counted:
    """Features that tell how often they were made."""

    def __init__(self):
        self.times = 0

    def __call__(self, store, rows):
        self.times += 1
        return np.full((len(rows), 3), self.times, np.float32)


def test_features_of_the_same_store_and_settings_are_made_once(store, tmp_path):
    counted = Counted()
    made = Representation("x", {"a": 1}, counted).extract(store, tmp_path / "f.zarr")
    again = Representation("x", {"a": 1}, counted).extract(store, tmp_path / "f.zarr")
    assert counted.times == 1
    np.testing.assert_array_equal(made.embeddings, again.embeddings)
    assert [row.id for row in again.rows] == ["clip-0", "clip-2", "clip-3"]  # the refused one has none


@pytest.mark.parametrize(("name", "settings"), [("x", {"a": 2}), ("x", {}), ("y", {"a": 1})])
def test_other_settings_make_them_again(store, tmp_path, name, settings):
    counted = Counted()
    Representation("x", {"a": 1}, counted).extract(store, tmp_path / "f.zarr")
    Representation(name, settings, counted).extract(store, tmp_path / "f.zarr")
    assert counted.times == 2
    assert (FeatureStore.read(tmp_path / "f.zarr").embeddings == 2).all()


def test_a_store_that_has_changed_makes_them_again(store, tmp_path, make_store):
    counted = Counted()
    Representation("x", {}, counted).extract(store, tmp_path / "f.zarr")
    shutil.rmtree(store.path)
    Representation("x", {}, counted).extract(make_store([100, 0, 200, 50], seed=1), tmp_path / "f.zarr")
    assert counted.times == 2


@pytest.mark.parametrize("damage", ["clips.parquet", "zarr.json"])
def test_damaged_features_are_made_again(store, tmp_path, damage):
    counted = Counted()
    Representation("x", {}, counted).extract(store, tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / damage).write_bytes(b"no")
    Representation("x", {}, counted).extract(store, tmp_path / "f.zarr")
    assert counted.times == 2


def test_a_store_without_a_mel_is_refused(make_store, tmp_path):
    with pytest.raises(InvalidInput, match=r"no clip of .* has a mel"):
        Representation("x", {}, Counted()).extract(make_store([0, 0]), tmp_path / "f.zarr")


def test_a_checkpoint_is_named_for_its_run_and_says_what_it_was_trained_with(store, encoder):
    found = representations.of_checkpoint(encoder)
    assert found.name == "first"
    assert found.path("gtzan").name == "gtzan.first.features.zarr"
    provenance = found.provenance(store)
    assert provenance["encoder"] == {"run": tiny.train_config().to_dict(), "step": 8}
    assert provenance["store_digest"] == store.digest()
    assert provenance["hop_frames"] == 96
    assert provenance["engine"]["name"] == "eager"
    assert provenance["mel"] == store.value_settings()
    assert provenance["weights"] == weights.digest(load_encoder(encoder))


def test_the_features_of_a_checkpoint_are_its_encoders_embeddings(store, encoder, tmp_path):
    features = representations.of_checkpoint(encoder).extract(store, tmp_path / "f.zarr")
    torch.manual_seed(tiny.train_config().seed)
    start = Encoder(tiny.encoder_config()).eval()
    np.testing.assert_allclose(features.embeddings, _embedded(start, store, features.rows), atol=1e-6)


def test_more_training_is_another_provenance(store, encoder, tmp_path):
    later = tiny.write_run(tmp_path / "runs" / "later", step=9)
    digests = {representations.of_checkpoint(path).provenance(store)["digest"] for path in (encoder, later)}
    assert len(digests) == 2


def test_untrained_is_the_encoder_as_its_seed_makes_it(store, tmp_path):
    trained = tiny.train_config("hybrid", seed=11)
    path = tmp_path / "runs" / "moved" / "encoder.safetensors"
    learner = tiny.ModelWithHead(trained)
    with torch.no_grad():
        learner.encoder.transformer.norm.weight.add_(1.0)
    tiny.checkpoint.save(path, learner, None, trained, 8)
    found = representations.baseline("untrained", path)
    assert found.name == "untrained-mini-11"
    torch.manual_seed(11)
    start = Encoder(trained.encoder).eval()
    expected = _embedded(start, store, [store.rows[0]])
    np.testing.assert_allclose(found.features(store, [store.rows[0]]), expected, atol=1e-6)


def test_runs_that_differ_after_the_start_share_their_untrained_features(store, tmp_path):
    paths = [
        tiny.write_run(tmp_path / "runs" / f"rate-{rate}", tiny.train_config(learning_rate=rate)) for rate in (1e-3, 1)
    ]
    digests = {representations.baseline("untrained", path).provenance(store)["digest"] for path in paths}
    assert len(digests) == 1


def test_the_baselines_are_those_that_are_told_of(store, encoder):
    assert BASELINES == ("untrained", "mean-log-mel", "mean-chroma", "mfcc")
    names = [representations.baseline(name, encoder).name for name in BASELINES]
    assert names == ["untrained-mini-3", "mean-log-mel", "mean-chroma", "mfcc"]
    found = representations.baseline("mean-log-mel", encoder).features(store, store.rows[:1])
    np.testing.assert_array_equal(found, mean_log_mel(store, store.rows[:1]))


def test_a_baseline_that_nobody_knows_is_refused(encoder):
    with pytest.raises(InvalidInput, match=r"baseline 'random' is unknown; use one of \('untrained'"):
        representations.baseline("random", encoder)


def test_without_a_checkpoint_there_is_no_representation(tmp_path):
    with pytest.raises(MissingArtifact, match="no checkpoint at"):
        representations.of_checkpoint(tmp_path / "none.safetensors")


def _heard(store, **changed):
    return Representation("x", {}, Counted(), {**store.value_settings(), **changed})


def test_an_encoder_that_heard_the_same_mel_is_not_remarked_on(store, tmp_path, capsys):
    _heard(store).extract(store, tmp_path / "f.zarr")
    assert capsys.readouterr().err == ""


def test_an_encoder_that_heard_another_decoder_is_told_and_used(store, tmp_path, capsys):
    _heard(store, preprocessing={"decoder": "other 1.0"}).extract(store, tmp_path / "f.zarr")
    assert "note: x heard other mel" in capsys.readouterr().err
    assert FeatureStore.read(tmp_path / "f.zarr").provenance["mel"] == store.value_settings()


def test_an_encoder_that_heard_another_mel_is_refused(store, tmp_path):
    other = {**store.spec.to_dict(), "hop_samples": 160}
    with pytest.raises(DigestMismatch, match="ingest the recordings again"):
        _heard(store, mel_spec=other).extract(store, tmp_path / "f.zarr")
