"""Features are computed once for a store and its settings, and again when either changes."""

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
from model.inference.myna import Myna
from model.inference.representation import FunctionRepresentation
from model.inference.representations import BASELINES
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
    """Return the embeddings of these clips by eager in its default precision."""
    engine = Eager(encoder, quantizer=store.quantizer)
    return next(Extraction(engine, Windowing()).compute_parts(store, [rows]))


def _computed(representation, store, rows):
    """Return the features that an encoder representation computes for these clips in one part."""
    extraction = Extraction(representation.engine(store, rows), representation.config.windowing)
    return next(extraction.compute_parts(store, [rows]))


class CountingFunction:
    """Function that returns how often it was called as the value of its features."""

    def __init__(self):
        self.calls = 0

    def __call__(self, store, rows):
        self.calls += 1
        return np.full((len(rows), 3), self.calls, np.float32)


def test_features_of_the_same_store_and_settings_are_computed_once(store, tmp_path):
    function = CountingFunction()
    first = FunctionRepresentation("x", {"a": 1}, function).extract(store, tmp_path / "f.zarr")
    again = FunctionRepresentation("x", {"a": 1}, function).extract(store, tmp_path / "f.zarr")
    assert function.calls == 1
    np.testing.assert_array_equal(first.embeddings, again.embeddings)
    assert [row.id for row in again.rows] == ["clip-0", "clip-2", "clip-3"]  # the rejected clip has none


@pytest.mark.parametrize(("name", "settings"), [("x", {"a": 2}), ("x", {}), ("y", {"a": 1})])
def test_features_are_computed_again_for_other_settings(store, tmp_path, name, settings):
    function = CountingFunction()
    FunctionRepresentation("x", {"a": 1}, function).extract(store, tmp_path / "f.zarr")
    FunctionRepresentation(name, settings, function).extract(store, tmp_path / "f.zarr")
    assert function.calls == 2
    assert (FeatureStore.read(tmp_path / "f.zarr").embeddings == 2).all()


def test_features_are_computed_again_for_a_changed_store(store, tmp_path, make_store):
    function = CountingFunction()
    FunctionRepresentation("x", {}, function).extract(store, tmp_path / "f.zarr")
    shutil.rmtree(store.path)
    FunctionRepresentation("x", {}, function).extract(make_store([100, 0, 200, 50], seed=1), tmp_path / "f.zarr")
    assert function.calls == 2


@pytest.mark.parametrize("damage", ["clips.parquet", "zarr.json"])
def test_damaged_features_are_computed_again(store, tmp_path, damage):
    function = CountingFunction()
    FunctionRepresentation("x", {}, function).extract(store, tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / damage).write_bytes(b"no")
    FunctionRepresentation("x", {}, function).extract(store, tmp_path / "f.zarr")
    assert function.calls == 2


def test_a_store_without_a_mel_is_an_error(make_store, tmp_path):
    with pytest.raises(InvalidInput, match=r"no clip of .* has a mel"):
        FunctionRepresentation("x", {}, CountingFunction()).extract(make_store([0, 0]), tmp_path / "f.zarr")


def test_provenance_states_run_store_windows_and_engine(store, encoder):
    representation = representations.of_checkpoint(encoder)
    assert representation.name == "first"
    assert representation.path("gtzan").name == "gtzan.first.features.zarr"
    provenance = representation.provenance(store)
    assert provenance["encoder"] == {"run": tiny.train_config().to_dict(), "step": 8}
    assert provenance["store_digest"] == store.digest()
    assert provenance["hop_frames"] == 96
    assert provenance["engine"]["name"] == "eager"
    assert provenance["mel"] == store.value_settings()
    assert provenance["weights"] == weights.digest(load_encoder(encoder))


def test_the_features_of_a_checkpoint_are_embeddings_of_its_encoder(store, encoder, tmp_path):
    features = representations.of_checkpoint(encoder).extract(store, tmp_path / "f.zarr")
    torch.manual_seed(tiny.train_config().seed)
    start = Encoder(tiny.encoder_config()).eval()
    np.testing.assert_allclose(features.embeddings, _embedded(start, store, features.rows), atol=1e-6)


def test_more_training_changes_the_provenance(store, encoder, tmp_path):
    later = tiny.write_run(tmp_path / "runs" / "later", step=7)
    digests = {representations.of_checkpoint(path).provenance(store)["digest"] for path in (encoder, later)}
    assert len(digests) == 2


def test_untrained_is_the_encoder_with_the_initial_weights_of_its_seed(store, tmp_path):
    trained = tiny.train_config("hybrid", seed=11)
    path = tmp_path / "runs" / "moved" / "encoder.safetensors"
    learner = tiny.ModelWithHead(trained)
    with torch.no_grad():
        learner.encoder.transformer.norm.weight.add_(1.0)
    tiny.checkpoint.save(path, learner, None, trained, 8)
    representation = representations.baseline("untrained", path)
    assert representation.name == "untrained-mini-11"
    torch.manual_seed(11)
    start = Encoder(trained.encoder).eval()
    expected = _embedded(start, store, [store.rows[0]])
    np.testing.assert_allclose(_computed(representation, store, [store.rows[0]]), expected, atol=1e-6)


def test_runs_with_the_same_initialization_share_their_untrained_features(store, tmp_path):
    paths = [
        tiny.write_run(tmp_path / "runs" / f"rate-{rate}", tiny.train_config(learning_rate=rate)) for rate in (1e-3, 1)
    ]
    digests = {representations.baseline("untrained", path).provenance(store)["digest"] for path in paths}
    assert len(digests) == 1


def test_all_baselines_can_be_computed_by_name(store, encoder):
    assert BASELINES == ("untrained", "mean-log-mel", "mean-chroma", "mfcc")
    names = [representations.baseline(name, encoder).name for name in BASELINES]
    assert names == ["untrained-mini-3", "mean-log-mel", "mean-chroma", "mfcc"]
    features = representations.baseline("mean-log-mel", encoder).function(store, store.rows[:1])
    np.testing.assert_array_equal(features, mean_log_mel(store, store.rows[:1]))


def test_an_unknown_baseline_is_rejected(encoder):
    with pytest.raises(InvalidInput, match=r"baseline 'random' is unknown; use one of untrained, mean-log-mel"):
        representations.baseline("random", encoder)


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(MissingArtifact, match="no checkpoint at"):
        representations.of_checkpoint(tmp_path / "none.safetensors")


def _trained_on(store, **changed):
    return FunctionRepresentation("x", {}, CountingFunction(), trained_on={**store.value_settings(), **changed})


def test_an_encoder_trained_on_the_same_mel_gives_no_note(store, tmp_path, capsys):
    _trained_on(store).extract(store, tmp_path / "f.zarr")
    assert capsys.readouterr().err == ""


def test_an_encoder_trained_with_another_decoder_is_used_with_a_note(store, tmp_path, capsys):
    _trained_on(store, preprocessing={"decoder": "other 1.0"}).extract(store, tmp_path / "f.zarr")
    assert "note: x was trained on other mels than those of" in capsys.readouterr().err
    assert FeatureStore.read(tmp_path / "f.zarr").provenance["mel"] == store.value_settings()


def test_an_encoder_trained_on_another_mel_specification_is_rejected(store, tmp_path):
    other = {**store.spec.to_dict(), "hop_samples": 160}
    with pytest.raises(DigestMismatch, match="ingest the recordings again"):
        _trained_on(store, mel_spec=other).extract(store, tmp_path / "f.zarr")


def test_an_encoder_without_a_run_is_compared_with_untrained_weights_of_its_sizes(tmp_path, make_store):
    tiny.write_run(tmp_path / "run")
    Myna.from_pretrained(tmp_path / "run" / "encoder.safetensors").save_pretrained(tmp_path / "hub")
    store = make_store([100, 200], "stores/made.zarr")
    of_folder = representations.baseline("untrained", tmp_path / "hub")
    features = of_folder.extract(store, tmp_path / "x.features.zarr")
    trained = representations.of_checkpoint(tmp_path / "hub").extract(store, tmp_path / "y.features.zarr")
    assert features.embeddings.shape == trained.embeddings.shape
    assert not np.allclose(features.embeddings, trained.embeddings)
    again = representations.baseline("untrained", tmp_path / "hub").extract(store, tmp_path / "z.features.zarr")
    assert again.embeddings.tobytes() == features.embeddings.tobytes()
