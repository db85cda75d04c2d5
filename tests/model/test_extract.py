"""The command `model.extract` embeds a mel store with an encoder and writes a feature store."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from model import extract
from model.encoder.device import fastest_precision
from model.encoder.published import PATCH_CHOICES
from model.inference import encoder_representation
from model.inference.config import EnginePrecision, PatchChoice, TableKind
from model.inference.engines.forward import PRECISIONS
from model.inference.layers import parse_layer
from stores import feature_array, feature_tables, locations
from stores.feature_layers import select_layers
from stores.feature_parts import FeatureParts
from stores.features import FeatureStore
from stores.lock import write_lock
from stores.mel_store import MelStore


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    make_store([100, 300, 0], "stores/made.zarr")
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


def test_the_feature_store_is_named_after_dataset_and_run(workplace, capsys):
    assert extract.main(["made"]) == 0
    features = FeatureStore.read(workplace / "stores" / "made.first.features.zarr")
    assert features.embeddings.shape == (2, 32)
    assert [row.id for row in features.rows] == ["clip-0", "clip-1"]
    printed = capsys.readouterr().out
    assert "encoder: runs/first/encoder.safetensors" in printed
    assert "stores/made.first.features.zarr: 2 embeddings of width 32" in printed


def test_a_checkpoint_can_be_named(workplace):
    tiny.write_run(workplace / "runs" / "second")
    assert extract.main(["made", "--checkpoint", "runs/first/encoder.safetensors"]) == 0
    assert (workplace / "stores" / "made.first.features.zarr").is_dir()
    assert not (workplace / "stores" / "made.second.features.zarr").exists()


def test_finished_features_are_not_computed_again(workplace, monkeypatch):
    assert extract.main(["made"]) == 0
    monkeypatch.setattr("model.inference.extraction.Extraction.compute_parts", lambda *_: 1 / 0)
    assert extract.main(["made"]) == 0


def _features(workplace, name):
    return FeatureStore.read(workplace / "stores" / f"{name}.features.zarr")


def test_without_pooling_there_is_a_row_for_each_window_under_another_name(workplace, capsys):
    assert extract.main(["made", "--pool", "none", "--tail", "drop"]) == 0
    features = _features(workplace, "made.first-no-tail-windows")
    assert [row.id for row in features.rows] == ["clip-0", "clip-1", "clip-1", "clip-1"]
    np.testing.assert_allclose(features.spans.start_seconds, np.array([0, 0, 96, 192]) * 0.032)
    assert "4 embeddings of width 32" in capsys.readouterr().out


def test_features_with_another_hop_or_layer_have_other_names(workplace):
    assert extract.main(["made", "--hop", "48", "--precision", "fp32"]) == 0
    assert extract.main(["made", "--layer", "1", "--precision", "fp32"]) == 0
    hop, layer = (_features(workplace, f"made.first-{name}") for name in ("hop48", "layer1"))
    assert hop.spans.windows.tolist() == [2, 6]
    assert layer.provenance["engine"]["layer"] == 1
    assert not np.allclose(hop.embeddings, layer.embeddings, atol=1e-3)


def test_all_layers_are_extracted_at_once_and_each_equals_its_own_extraction(workplace, capsys):
    tiny.write_run(workplace / "runs" / "deep", tiny.train_config(encoder=tiny.encoder_config("hybrid", depth=3)))
    words = ["made", "--checkpoint", "runs/deep", "--precision", "fp32"]
    assert extract.main([*words, "--layer", "all"]) == 0
    assert "2 embeddings, 3 layers each, of width 64" in capsys.readouterr().out
    layers = FeatureStore.read(workplace / "stores" / "made.deep-layers.features.zarr", any_axis=True)
    for layer, name, blocks in (("2", "layer2", [2]), ("2-3", "layers2-3", [2, 3]), ("mean", "layers-mean", [1, 2, 3])):
        assert extract.main([*words, "--layer", layer]) == 0
        alone = _features(workplace, f"made.deep-{name}")
        selected = select_layers(layers, blocks, parse_layer(layer), f"deep-{name}")
        np.testing.assert_allclose(selected.embeddings, alone.embeddings, atol=1e-6)
        assert selected.provenance == alone.provenance


def test_tokens_keep_their_window_and_their_place_in_it(workplace):
    assert extract.main(["made", "--pool", "tokens", "--to", "parquet"]) == 0
    tokens = FeatureStore.read(workplace / "stores" / "made.first-tokens.features.zarr", any_axis=True)
    assert tokens.embeddings.shape == (6, 48, 32)
    rows = pq.read_table(workplace / "stores" / "made.first-tokens.parquet").to_pylist()
    assert len(rows) == 6 * 48
    last = rows[-1]
    assert (last["id"], last["token"], last["patches"], last["high_mel"]) == ("clip-1", 47, "vertical", 128)
    assert last["start_seconds"] == pytest.approx((204 + 94) * 0.032)
    assert last["end_seconds"] == pytest.approx(300 * 0.032)


def test_features_that_are_too_large_to_be_read_are_not_begun(workplace, monkeypatch, capsys):
    monkeypatch.setattr(feature_array, "MAX_BYTES", 10_000)
    assert extract.main(["made", "--pool", "tokens"]) == 2
    assert "features of shape 6 x 48 x 32 are too large" in capsys.readouterr().err
    assert not list((workplace / "stores").glob("*tokens*"))


@pytest.mark.parametrize(
    ("words", "window", "hop"),
    [
        (("--window-frames", "48"), 48, 48),
        (("--window-samples", "25000"), 48, 48),
        (("--window-frames", "192", "--hop", "96"), 192, 96),
    ],
)
def test_windows_of_another_length_are_stated_in_the_name_and_the_provenance(workplace, words, window, hop):
    assert extract.main(["made", *words, "--out", "f.zarr"]) == 0
    provenance = FeatureStore.read(workplace / "f.zarr").provenance
    assert (provenance["window_frames"], provenance["hop_frames"]) == (window, hop)
    assert extract.main(["made", *words]) == 0
    suffix = f"window{window}" + (f"-hop{hop}" if hop != window else "")
    np.testing.assert_array_equal(
        _features(workplace, f"made.first-{suffix}").embeddings, FeatureStore.read(workplace / "f.zarr").embeddings
    )


def test_clips_shorter_than_a_window_are_flagged_and_counted(workplace, make_store, capsys):
    make_store([40, 100], "stores/short.zarr")
    assert extract.main(["stores/short.zarr"]) == 0
    assert _features(workplace, "short.first").spans.padded.tolist() == [True, False]
    assert "2 embeddings of width 32, 1 of clips shorter than a window" in capsys.readouterr().out


def test_engine_and_precision_are_printed(workplace, capsys):
    assert extract.main(["made"]) == 0
    assert f"engine: eager in {fastest_precision()} on cpu" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_a_single_file_is_written_beside_the_feature_store(workplace, kind):
    assert extract.main(["made", "--to", kind]) == 0
    assert (workplace / "stores" / f"made.first.{kind}").is_file()


def test_automatic_selection_prints_its_choice_once(workplace, capsys):
    assert extract.main(["made", "--engine", "auto"]) == 0
    printed = capsys.readouterr().out
    assert "engine auto: not " in printed
    assert f"engine auto: eager in {fastest_precision()}, because " in printed
    assert printed.count("engine auto: eager") == 1


class Killed(Exception):
    pass


def _kill_after(monkeypatch, parts):
    """Make extractions raise `Killed` after so many parts are written."""
    write_part, written = FeatureParts.write, []

    def write(self, part, embeddings):
        if len(written) == parts:
            raise Killed
        written.append(part)
        write_part(self, part, embeddings)

    monkeypatch.setattr(FeatureParts, "write", write)
    return written


@pytest.mark.slow
def test_an_extraction_that_was_killed_at_any_part_continues_to_the_same_bytes(workplace, make_store, monkeypatch):
    monkeypatch.setattr(encoder_representation, "PART_WINDOWS", 4)
    make_store([100, 300, 96, 500, 97, 130], "stores/parts.zarr")
    assert extract.main(["parts", "--out", "stores/whole.features.zarr"]) == 0
    for killed_after in (0, 1, 3):
        with monkeypatch.context() as patched:
            _kill_after(patched, killed_after)
            with pytest.raises(Killed):
                extract.main(["parts"])
        written = _kill_after(monkeypatch, 100)
        assert extract.main(["parts"]) == 0
        assert len(written) == 5 - killed_after
        resumed, whole = _features(workplace, "parts.first"), _features(workplace, "whole")
        np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
        shutil.rmtree(workplace / "stores" / "parts.first.features.zarr")


def test_continuing_with_other_settings_is_an_error_that_names_them(workplace, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        _kill_after(patched, 0)
        with pytest.raises(Killed):
            extract.main(["made", "--precision", "fp32"])
    assert extract.main(["made", "--precision", "bf16"]) == 2
    error = capsys.readouterr().err
    assert "was started with different settings (" in error
    assert "precision: started with fp32, now bf16" in error
    assert extract.main(["made", "--precision", "fp32"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "bf16"], "precision: fp32 stored, bf16 requested"),
        (["--precision", "fp32", "--hop", "48"], "hop: 96 stored, 48 requested"),
        (
            ["--precision", "fp32", "--layer", "1", "--pool", "none"],
            "layer: None stored, 1 requested; pool: mean stored,",
        ),
    ],
)
def test_finished_features_are_not_replaced_by_features_with_other_options(workplace, capsys, arguments, message):
    out = ["--out", "stores/x.features.zarr"]
    assert extract.main(["made", "--precision", "fp32", *out]) == 0
    before = _features(workplace, "x")
    assert extract.main(["made", *arguments, *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "choose another path with --out, or remove the folder stores/x.features.zarr" in error
    np.testing.assert_array_equal(_features(workplace, "x").embeddings, before.embeddings)
    shutil.rmtree(workplace / "stores" / "x.features.zarr")
    assert extract.main(["made", *arguments, *out]) == 0


def test_features_of_changed_weights_or_mel_are_computed_again(workplace, make_store, capsys):
    assert extract.main(["made", "--precision", "fp32"]) == 0
    tiny.write_run(workplace / "runs" / "first", tiny.train_config(seed=8))
    assert extract.main(["made", "--precision", "bf16"]) == 0
    assert (
        "note: stores/made.first.features.zarr is computed again because of changes in encoder"
        in capsys.readouterr().err
    )
    shutil.rmtree(workplace / "stores" / "made.zarr")
    make_store([100, 300, 0], "stores/made.zarr", seed=1)
    assert extract.main(["made", "--precision", "fp32"]) == 0
    assert "is computed again" in capsys.readouterr().err


def test_an_engine_that_was_not_exported_is_an_error_that_names_the_command(workplace, capsys):
    assert extract.main(["made", "--engine", "onnx"]) == 2
    assert "python -m model.export onnx --checkpoint runs/first/encoder.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("scheduler", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_cluster_computes_the_same_bytes(workplace, make_store, monkeypatch, scheduler):
    monkeypatch.setattr(encoder_representation, "PART_WINDOWS", 4)
    make_store([100, 300, 96, 500, 97, 130], "stores/parts.zarr")
    assert extract.main(["parts", "--out", "stores/single.features.zarr"]) == 0
    assert extract.main(["parts", "--scheduler", scheduler, "--workers", "2"]) == 0
    on_cluster, single = _features(workplace, "parts.first"), _features(workplace, "single")
    np.testing.assert_array_equal(on_cluster.embeddings, single.embeddings)
    assert on_cluster.provenance == single.provenance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "no mel store at stores/none.zarr"),
        (["made", "--checkpoint", "runs/none.safetensors"], "no checkpoint at runs/none.safetensors"),
        (["a.b"], "no mel store at a.b"),
        (["made", "--layer", "2"], "--layer must be a block of the encoder, 1 to 1 (got 2)"),
        (["made", "--layer", "1", "--engine", "onnx"], "--layer is not supported by engine onnx; use --engine eager"),
        (["made", "--layer", "all", "--engine", "onnx"], "--layer is not supported by engine onnx; use --engine eager"),
        (["made", "--pool", "tokens", "--engine", "compiled"], "--pool tokens is not supported by engine compiled"),
        (["made", "--pool", "tokens", "--layer", "all"], "--layer all and --pool tokens cannot be combined"),
        (["made", "--layer", "last"], "--layer must be a block such as 6, a range such as 3-8 or mean"),
        (["made", "--hop", "0"], "--hop must be at least 1 (got 0)"),
        (["made", "--scheduler", "nowhere"], "scheduler 'nowhere' is unknown"),
    ],
)
def test_what_cannot_be_extracted_is_an_error_with_status_2(workplace, capsys, arguments, message):
    assert extract.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_a_finished_run_the_encoder_that_ships_is_used(workplace, capsys):
    (workplace / "runs" / "first" / "encoder.safetensors").unlink()
    assert extract.main(["made"]) == 0
    assert "which ships with this package" in capsys.readouterr().out


def test_the_command_line_has_all_choices_of_the_code():
    assert get_args(EnginePrecision) == ("auto", *PRECISIONS)
    assert get_args(PatchChoice) == PATCH_CHOICES
    assert get_args(TableKind) == feature_tables.KINDS


def test_a_second_extraction_into_the_same_store_is_an_error_that_names_the_first(workplace, capsys):
    path = locations.feature_store("made", "first")
    with write_lock(path):
        assert extract.main(["made"]) == 2
    error = capsys.readouterr().err
    assert f"made.first.features.zarr is being written by process {os.getpid()} on host " in error
    assert not path.exists()
    assert extract.main(["made"]) == 0
    with write_lock(path):  # features that are complete are only read
        assert extract.main(["made"]) == 0
    assert not list(path.parent.glob(".*"))


def test_damaged_features_are_computed_again_with_a_note(workplace, capsys):
    path = locations.feature_store("made", "first")
    assert extract.main(["made"]) == 0
    before = FeatureStore.read(path).embeddings
    (path / "embeddings" / "c" / "0" / "0").unlink()
    assert extract.main(["made"]) == 0
    assert "note: features are computed again: " in capsys.readouterr().err
    np.testing.assert_array_equal(FeatureStore.read(path).embeddings, before)


def test_tables_have_the_present_labels_and_say_of_when_they_are(workplace):
    store = MelStore.open("stores/made.zarr")
    for label in ("old", "new"):
        store.update([replace(row, labels={"genre": label}) for row in store.rows])
        os.utime(store.path / "manifest.parquet", (1_700_000_000, 1_700_000_000))
        assert extract.main(["made", "--to", "parquet"]) == 0
        table = pq.read_table("stores/made.first.parquet")
        assert {dict(labels)["genre"] for labels in table["labels"].to_pylist()} == {label}
    provenance = json.loads(table.schema.metadata[b"myna"])
    assert provenance["labels_of"] == "2023-11-14T22:13:20+00:00"
