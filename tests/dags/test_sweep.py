"""`dags.sweep`: runs that differ in one setting see equally many clips, and no run is trained or probed twice."""

from __future__ import annotations

import importlib
import itertools
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

import model.probe
import model.train
from dags import sweep
from dags.workflows import sweep as workflow
from dags.workflows import sweep_on_cluster
from dags.workflows.sweep import SweepPlan
from model.encoder.config import PRESETS
from model.inference import representations
from model.training import checkpoint, metrics_log
from model.training.config import TrainSettings
from model.training.loop import Run
from pipeline import shard
from stores import locations
from stores.command_line import parse
from stores.errors import InvalidInput

STORE = "stores/made.zarr"
CLIPS = 24
WORDS = ("--preset", "mini", "--batch", "4", "--steps", "6", "--warmup-steps", "3", "--precision", "fp32")
RATIOS = ("--store", STORE, "--over", "masking-ratio", "0.5", "0.75")


def _plan(flag, *values, words=WORDS, **changed):
    settings = {"store": Path(STORE), "flag": flag, "values": values, "datasets": ("made",), "name": "s"}
    return SweepPlan(**{**settings, "train_words": words, **changed})


@pytest.fixture
def mini(monkeypatch):
    """Add the encoder preset `mini`."""
    monkeypatch.setitem(PRESETS, "mini", tiny.encoder_config())


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store, mini):
    """A labeled store with shards. Chroma is random, because there is no audio."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").mkdir()
    splits = [("train", "valid", "test")[i % 3] for i in range(CLIPS)]
    store = make_store([100] * CLIPS, STORE, splits=splits)
    store.update([replace(row, labels={"key": f"key-{row.index % 2}"}) for row in store.rows])
    assert shard.main([STORE]) == 0
    chroma = lambda _, rows: np.random.default_rng(0).random((len(rows), 12), np.float32)  # noqa: E731
    monkeypatch.setitem(representations._FUNCTIONS, "mean-chroma", chroma)
    return tmp_path


def _options(plan, value):
    return parse(TrainSettings, plan.train_arguments(value), "model.train")


@pytest.mark.parametrize(
    ("batch", "steps", "warmup"), [("2", 12, 6), ("4", 6, 3), ("8", 3, 2), ("24", 1, 0), ("99", 1, 0)]
)
def test_runs_with_another_batch_see_as_many_clips_with_the_same_warm_up_share(mini, batch, steps, warmup):
    options = _options(_plan("batch", "2", "4", "8", "24", "99"), batch).optimization
    assert (options.batch, options.steps, options.warmup_steps) == (int(batch), steps, warmup)
    assert options.learning_rate == TrainSettings(store=(STORE,)).optimization.learning_rate


def test_runs_with_another_masking_ratio_have_the_same_steps(mini):
    plan = _plan("masking-ratio", "0.5", "0.75")
    assert [_options(plan, value).optimization.masking_ratio for value in plan.values] == [0.5, 0.75]
    assert {_options(plan, value).optimization.steps for value in plan.values} == {6}
    assert plan.clips_seen == 24


def test_settings_that_are_not_stated_have_the_defaults_of_model_train(mini):
    assert _plan("masking-ratio", "0.5", words=()).clips_seen == 4096 * 100_000


def test_runs_are_named_after_the_sweep_and_their_value(mini):
    plan = _plan("learning-rate", "1e-3", "0.5", "1e+2")
    assert [plan.run_of(value) for value in plan.values] == ["s-1e-3", "s-0_5", "s-1e_2"]
    assert _options(plan, "0.5").name == "s-0_5"


@pytest.mark.parametrize(
    ("flag", "values", "words", "message"),
    [
        ("steps", ("1",), (), "--over steps cannot be swept; use one of batch, "),
        ("log-every", ("1",), (), "cannot be swept"),
        ("momentum", ("1",), (), "cannot be swept"),
        ("batch", (), (), "needs at least one value, all different"),
        ("batch", ("4", "4"), (), "needs at least one value, all different"),
        ("batch", ("4",), ("--name", "x"), "--name after --train is set by the sweep itself"),
        ("batch", ("4",), ("--store=other",), "--store after --train is set by the sweep itself"),
        ("seed", ("4",), ("--seed", "8"), "--seed after --train is set by the sweep itself"),
    ],
)
def test_settings_that_cannot_be_swept_are_an_error(flag, values, words, message):
    with pytest.raises(InvalidInput, match=message):
        _plan(flag, *values, words=words)


def test_draw_prints_the_graph_and_runs_nothing(tmp_path, monkeypatch, capsys, mini):
    monkeypatch.chdir(tmp_path)
    assert sweep.main([*RATIOS, "--probe", "demo", "gtzan", "--draw", "--train", *WORDS]) == 0
    lines = capsys.readouterr().out.splitlines()
    arrows = {line.strip() for line in lines[1:]}
    assert lines[0] == "flowchart LR"
    for value in ("0.5", "0.75"):
        for dataset in ("demo", "gtzan"):
            chain = [f"train-{value}", f"extract-{dataset}-{value}", f"probe-{dataset}-{value}", f"record-{value}"]
            assert {f"{first} --> {second}" for first, second in itertools.pairwise(chain)} <= arrows
    assert {"record-0.5 --> train-0.75", "record-0.75 --> table"} <= arrows
    assert list(tmp_path.iterdir()) == []


def _read_sweep_file():
    return json.loads(locations.sweep("made-masking-ratio").read_text())


@pytest.mark.slow
def test_a_sweep_writes_its_file_and_prints_a_table(workplace, capsys):
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    content = _read_sweep_file()
    assert {key: content[key] for key in ("name", "store", "over", "clips_seen")} == {
        "name": "made-masking-ratio",
        "store": "made",
        "over": "masking_ratio",
        "clips_seen": 24,
    }
    assert "same number of clips" in content["fair"]
    words = shlex.split(content["command"])
    assert words[:3] == ["python", "-m", "dags.sweep"]
    assert sweep.main(words[3:]) == 0
    assert _read_sweep_file() == content
    for point, ratio in zip(content["points"], (0.5, 0.75), strict=True):
        run = point["run"]
        config = checkpoint.load(locations.run(run) / locations.ENCODER_FILE).config
        assert (point["value"], config.masking_ratio, point["masking_ratio"]) == (ratio, ratio, ratio)
        assert (point["config_digest"], point["batch"], point["steps"]) == (config.digest(), 4, 6)
        assert point["loss"] == metrics_log.read(locations.run(run))[-1]["loss"]
        assert 0 < point["seconds_per_step"] < 10
        scores = {(row["task"], row["representation"]): row for row in point["scores"]}
        assert {("key", "trained"), ("key", "untrained"), ("key", "mean-log-mel")} <= set(scores)
        trained = scores["key", "trained"]
        assert 0 <= trained["low"] <= trained["value"] <= trained["high"] <= 1
    printed = capsys.readouterr().out
    table = printed[printed.index("== table") :]
    assert "runs/made-masking-ratio.sweep.json: masking-ratio on stores/made.zarr, 24 clips seen by every run" in table
    assert f"{trained['value']:.3f} ({trained['low']:.3f} to {trained['high']:.3f})" in table


@pytest.mark.slow
def test_finished_values_are_not_repeated_and_a_new_value_is_added(workplace, capsys, monkeypatch):
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    before = _read_sweep_file()["points"]
    trained, probed = [], []
    real_train, real_probe = Run.train, model.probe.main

    def train(run, *rest):
        trained.append(run.folder.name)
        return real_train(run, *rest)

    monkeypatch.setattr(Run, "train", train)
    monkeypatch.setattr(model.probe, "main", lambda words: probed.append(words[-1]) or real_probe(words))
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    assert (trained, probed) == ([], [])
    assert capsys.readouterr().out.count("already recorded") == 4
    assert sweep.main([*RATIOS, "0.25", "--train", *WORDS]) == 0
    assert trained == ["made-masking-ratio-0_25"]
    assert probed == ["runs/made-masking-ratio-0_25/encoder.safetensors"]
    assert [point["value"] for point in _read_sweep_file()["points"]] == [0.5, 0.75, 0.25]
    assert _read_sweep_file()["points"][:2] == before


@pytest.mark.slow
def test_an_interrupted_sweep_keeps_the_finished_values(workplace, capsys, monkeypatch):
    real_probe, calls = model.probe.main, []

    def stop_second_call(words):
        calls.append(words)
        return 130 if len(calls) == 2 else real_probe(words)

    with monkeypatch.context() as context:
        context.setattr(model.probe, "main", stop_second_call)
        assert sweep.main([*RATIOS, "--train", *WORDS]) == 130
    assert [point["value"] for point in _read_sweep_file()["points"]] == [0.5]
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    assert [point["value"] for point in _read_sweep_file()["points"]] == [0.5, 0.75]


@pytest.mark.slow
def test_other_settings_under_the_same_name_are_rejected(workplace, capsys):
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    before = _read_sweep_file()
    assert sweep.main([*RATIOS, "--train", *WORDS, "--seed", "5"]) == 2
    assert "seed: 0 before, 5 now" in capsys.readouterr().err
    assert _read_sweep_file() == before


@pytest.mark.slow
def test_points_of_deleted_runs_are_removed(workplace, monkeypatch):
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    for value in ("0_5", "0_75"):
        shutil.rmtree(locations.run(f"made-masking-ratio-{value}"))
    with monkeypatch.context() as context:
        context.setattr(model.probe, "main", lambda words: 130 if "0_75" in words[-1] else 0)
        assert sweep.main([*RATIOS, "--train", *WORDS, "--seed", "5"]) == 130
    assert [point["value"] for point in _read_sweep_file()["points"]] == [0.5]


@pytest.mark.slow
def test_a_store_that_has_changed_is_probed_again(workplace, monkeypatch, make_store):
    assert sweep.main([*RATIOS, "--train", *WORDS]) == 0
    plan = _plan("masking-ratio", "0.5", name="made-masking-ratio")
    assert workflow._is_recorded(plan, "0.5")
    monkeypatch.setattr(workflow.sweep_points, "store_digests", lambda _: {"made": "other"})
    assert not workflow._is_recorded(plan, "0.5")


@pytest.mark.slow
def test_a_file_that_is_not_a_sweep_is_rejected_and_kept(workplace, capsys):
    path = locations.sweep("made-masking-ratio")
    path.parent.mkdir()
    versions = (("{}", "has format version None"), ('{"format_version": 9}', "has format version 9"))
    for content, message in (*versions, ("[", "is not JSON")):
        path.write_text(content)
        assert sweep.main([*RATIOS, "--train", *WORDS]) == 2
        assert message in capsys.readouterr().err
        assert path.read_text() == content


@pytest.mark.slow
def test_a_sweep_on_a_cluster_writes_the_file_of_one_in_this_process(workplace, monkeypatch):
    def run_here(task):
        for module, *words in task.commands:
            assert importlib.import_module(module).main(words) == 0
        return sweep_on_cluster.RunOutcome(task.name)

    monkeypatch.setattr(sweep_on_cluster, "run_commands", run_here)
    words = [*RATIOS, "--name", "s", "--train", *WORDS]
    assert sweep.main(words) == 0
    here = _without_times(locations.sweep("s"))
    for name in ("s-0_5", "s-0_75"):
        shutil.rmtree(locations.run(name))
    locations.sweep("s").unlink()
    assert sweep.main([*RATIOS, "--name", "s", "--scheduler", "threads", "--train", *WORDS]) == 0
    assert _without_times(locations.sweep("s")) == here


def _without_times(path):
    """Return the lines of a sweep file without the seconds of a step."""
    return [line for line in path.read_text().splitlines() if "seconds" not in line]
