"""Benchmarks for a GPU run on a CPU at toy sizes, so that on the day the GPU is there no figure is lost to a slip."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from model.encoder.config import preset
from model.encoder.vit import Encoder

FOLDER = Path(__file__).parent / "gpu"


@pytest.fixture
def script(monkeypatch):
    """A function that imports one of the scripts, which find each other by their folder."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _told(capsys, folder, name):
    """What the last line says, which is what was kept."""
    last = capsys.readouterr().out.splitlines()[-1]
    assert (folder / f"{name}.json").read_text() == last + "\n"
    told = json.loads(last)
    assert told["benchmark"] == name
    assert told["toy"]
    assert {"hardware", "versions", "date", "commit", "rows"} <= set(told)
    return {row["what"]: row for row in told["rows"]}


EXPECTED = {
    "ceilings": [
        "gemm M 32 N 1152 K 384, forward",
        "gemms of 12 blocks, M 64, forward and backward",
        "copy to the device, visible patches",
        "attention of 3 x 5, ours",
        "infonce of 16 x 16, bfloat16, ours",
    ],
    "mel": ["mel of 1 x 1 s, ours", "mel of 1 x 1 s, nnAudio"],
    "baselines": ["step of base, 4 x 2, public", "step of hybrid, 4 x 2, modern"],
    "step": ["step of vertical, infonce, 4 x 2, synthetic", "step of hybrid, infonce, 4 x 2, against public"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_toy_run_ends_with_a_line_that_holds_every_row(name, script, one_thread, tmp_path, capsys):
    words = ["--baselines"] if name == "step" else []
    script(name).main(["--toy", "--rounds", "1", "--out", str(tmp_path), *words])
    rows = _told(capsys, tmp_path, name)
    assert not [row for row in rows.values() if "skipped" in row]
    for what in EXPECTED[name]:
        assert rows[what]["ms" if "against" not in what else "ratio"] > 0


def test_the_mel_that_is_timed_is_nnaudios(script, one_thread, tmp_path, capsys):
    script("mel").main(["--toy", "--rounds", "1", "--out", str(tmp_path)])
    row = _told(capsys, tmp_path, "mel")["mel of 1 x 1 s, ratio"]
    assert row["within_1e_4"]
    assert row["apart"] > 0


def test_losses_that_are_timed_are_the_same_loss(script, one_thread, tmp_path, capsys):
    script("ceilings").main(["--toy", "--rounds", "1", "--only", "loss", "--out", str(tmp_path)])
    rows = _told(capsys, tmp_path, "ceilings")
    errors = [row["gradient_error"] for what, row in rows.items() if what.startswith("infonce")]
    assert len(errors) == 6
    assert max(errors) < 1e-5


@pytest.mark.parametrize("gather_first", [False, True])
@pytest.mark.parametrize("sdpa", [False, True])
def test_the_plain_model_is_our_encoder(gather_first, sdpa, script):
    config = script("baselines").encoder_config("hybrid", toy=True)
    ours, plain = Encoder(config), script("plain_vit").PlainLearner(config, 16, sdpa, gather_first)
    plain.encoder.load_state_dict(ours.state_dict())
    mel = torch.rand(3, 128, 96, generator=torch.Generator().manual_seed(0))
    every = torch.arange(48).expand(3, -1)
    both = [plain.encoder(mel, every, kind, gather_first) for kind in config.patch_kinds]
    torch.testing.assert_close(torch.cat(both, dim=1), ours(mel), rtol=1e-4, atol=1e-5)


def test_baselines_see_as_many_patches_as_we_do(script):
    masks = script("baselines").masks_one_by_one(6, 48, 5)
    assert masks.shape == (6, 5)
    assert all(len(set(row)) == 5 for row in masks.tolist())
    assert len({tuple(row) for row in masks.tolist()}) > 1


def test_without_a_gpu_a_real_run_is_refused(script, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no CUDA device: --toy tries the script on a CPU"):
        script("ceilings").main(["--out", str(tmp_path)])


def test_what_fails_is_told_and_the_rest_goes_on(script, tmp_path, capsys):
    record = script("record")
    told = record.Record("tried", record.parser("").parse_args(["--toy", "--out", str(tmp_path)]))

    def fails():
        raise RuntimeError("no compiler")

    assert not told.attempt("first", fails)
    assert told.attempt("second", lambda: told.add("second", ms=1.0))
    kept = json.loads((tmp_path / "tried.json").read_text())["rows"]  # before the end, which may never come
    assert [row["what"] for row in kept] == ["first", "second"]
    told.finish()
    rows = _told(capsys, tmp_path, "tried")
    assert rows["first"]["skipped"] == "RuntimeError: no compiler"
    assert rows["second"]["ms"] == 1.0


def test_the_arithmetic_of_a_step_is_that_of_the_design(script):
    step = script("step")
    options = step.record.parser("").parse_args([])
    options.masking_ratio, options.objective = 0.9, "infonce"
    base = step.config_of("base", step.Sizes(4_096, 50_000), options)
    assert step.tokens_of(base) == 40_960
    assert step.step_tflop(base) == pytest.approx(5.2, abs=0.1)
    assert base.encoder == preset("myna-base")


def test_pretraining_compares_four_encoders_at_three_ratios_in_that_order(script, capsys):
    assert script("pretrain").main(["--plan", "--steps", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["python -m pipeline.ingest demo --clips 20004", "python -m pipeline.shard stores/demo.zarr"]
    names = [line.split("--name ")[1].split()[0] for line in lines if "model.train" in line]
    assert names == [f"{one}-{ratio}-40" for ratio in (90, 75, 50) for one in ("base", "vertical", "hybrid", "mae")]


def test_pretraining_says_what_it_lacks(script, monkeypatch, tmp_path, capsys):
    pretrain = script("pretrain")
    monkeypatch.setattr(pretrain, "NEEDS", ("torch", "no_such_renderer"))
    assert pretrain.main(["--toy", "--out", str(tmp_path)]) == 1
    assert _told(capsys, tmp_path, "pretrain")["everything"]["skipped"] == "not installed: no_such_renderer"


def test_an_encoder_that_fails_does_not_keep_the_others_from_being_trained(script, monkeypatch, tmp_path, capsys):
    def run(self, words):
        if "vertical-90-2" in str(words):
            raise RuntimeError("model.train ended with status 1")
        return 1.0

    pretrain = script("pretrain")
    monkeypatch.setattr(pretrain, "row_of", lambda one, work, tasks: {"encoder": one.encoder})
    monkeypatch.setattr(pretrain.Runner, "__call__", run)
    assert pretrain.main(["--toy", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 0
    rows = _told(capsys, tmp_path / "out", "pretrain")
    assert rows["vertical-90-2"]["skipped"] == "model.train ended with status 1"
    assert rows["mae-90-2"]["train_extract_probe_seconds"] == [1.0, 1.0, 1.0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_toy_pretraining_that_was_cut_off_goes_on_and_gives_scores(script, tmp_path, capsys):
    pretrain, words = script("pretrain"), ["--toy", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert pretrain.main([*words, "--budget-seconds", "0"]) == 75
    assert "run it again to go on" in _told(capsys, tmp_path / "out", "pretrain")["the rest"]["skipped"]
    assert pretrain.main([*words, "--budget-seconds", "800"]) == 0
    rows = _told(capsys, tmp_path / "out", "pretrain")
    for name in ("vertical-90-2", "mae-90-2"):
        value, low, high = rows[name]["genre"]["trained"]
        assert low <= value <= high
        assert len(rows[name]["loss"]) > 1
    assert pretrain.main([*words, "--budget-seconds", "0"]) == 0  # nothing is left
