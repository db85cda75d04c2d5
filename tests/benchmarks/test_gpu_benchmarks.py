"""The GPU benchmarks run on a CPU at toy sizes, so that their mistakes are found before they run on a GPU."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import kernel_binary
import pytest
import torch
import triton

from model.encoder.config import preset
from model.encoder.kernels import fused_linear
from model.encoder.vit import Attention, Encoder

FOLDER = Path(__file__).parent / "gpu"


@pytest.fixture
def script(monkeypatch):
    """Yield a function that imports a benchmark script; the scripts import each other from their folder."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def one_thread():
    """Run the test with one thread of PyTorch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _printed_rows(capsys, folder, name):
    """Return the rows of the last printed line by title, after comparing the line with the stored one."""
    last = capsys.readouterr().out.splitlines()[-1]
    assert (folder / f"{name}.json").read_text() == last + "\n"
    results = json.loads(last)
    assert results["benchmark"] == name
    assert results["toy"]
    assert {"hardware", "versions", "date", "commit", "rows"} <= set(results)
    return {row["what"]: row for row in results["rows"]}


EXPECTED = {
    "ceilings": [
        "gemm M 32 N 1152 K 384, forward",
        "gemms of 12 blocks, M 64, forward and backward",
        "copy to the device, visible patches",
        "attention of 3 x 5, ours",
        "infonce of 16 x 16, bfloat16, ours",
        "product weight_gradient of 96 x 32 x 8",
    ],
    "mel": ["mel of 1 x 1 s, ours", "mel of 1 x 1 s, nnAudio"],
    "baselines": ["step of base, 4 x 2, public", "step of hybrid, 4 x 2, modern"],
    "step": ["step of vertical, infonce, 4 x 2, synthetic", "step of hybrid, infonce, 4 x 2, against public"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_toy_run_ends_with_a_line_of_all_rows(name, script, one_thread, tmp_path, capsys):
    words = ["--baselines"] if name == "step" else []
    script(name).main(["--toy", "--rounds", "1", "--out", str(tmp_path), *words])
    rows = _printed_rows(capsys, tmp_path, name)
    assert not [row for row in rows.values() if "skipped" in row]
    for title in EXPECTED[name]:
        assert rows[title]["ms" if "against" not in title else "ratio"] > 0


def test_the_timed_mel_equals_that_of_nnaudio(script, one_thread, tmp_path, capsys):
    script("mel").main(["--toy", "--rounds", "1", "--out", str(tmp_path)])
    row = _printed_rows(capsys, tmp_path, "mel")["mel of 1 x 1 s, ratio"]
    assert row["within_1e_4"]
    assert row["apart"] > 0


def test_the_timed_losses_have_equal_gradients(script, one_thread, tmp_path, capsys):
    script("ceilings").main(["--toy", "--rounds", "1", "--only", "loss", "--out", str(tmp_path)])
    rows = _printed_rows(capsys, tmp_path, "ceilings")
    errors = [row["gradient_error"] for title, row in rows.items() if title.startswith("infonce")]
    assert len(errors) == 6
    assert max(errors) < 1e-5


@pytest.mark.parametrize("gather_first", [False, True])
@pytest.mark.parametrize("sdpa", [False, True])
def test_the_plain_model_gives_the_embeddings_of_our_encoder(gather_first, sdpa, script):
    config = script("baselines").encoder_config("hybrid", toy=True)
    ours, plain = Encoder(config), script("plain_vit").PlainModelWithHead(config, 16, sdpa, gather_first)
    plain.encoder.load_state_dict(ours.state_dict())
    mel = torch.rand(3, 128, 96, generator=torch.Generator().manual_seed(0))
    all_patches = torch.arange(48).expand(3, -1)
    embeddings = [plain.encoder(mel, all_patches, kind, gather_first) for kind in config.patch_kinds]
    torch.testing.assert_close(torch.cat(embeddings, dim=1), ours(mel), rtol=1e-4, atol=1e-5)


def test_masks_of_the_baseline_have_distinct_patches_and_differ(script):
    masks = script("baselines").masks_by_permutation(6, 48, 5)
    assert masks.shape == (6, 5)
    assert all(len(set(row)) == 5 for row in masks.tolist())
    assert len({tuple(row) for row in masks.tolist()}) > 1


def test_without_a_gpu_only_toy_runs_are_possible(script, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no CUDA device was found; --toy tests the script on a CPU"):
        script("ceilings").main(["--out", str(tmp_path)])


def test_a_failure_becomes_a_row_and_the_other_rows_are_measured(script, tmp_path, capsys):
    record = script("record")
    results = record.BenchmarkResults("tried", record.parser("").parse_args(["--toy", "--out", str(tmp_path)]))

    def fails():
        raise RuntimeError("no compiler")

    assert not results.attempt("first", fails)
    assert results.attempt("second", lambda: results.add("second", ms=1.0))
    stored = json.loads((tmp_path / "tried.json").read_text())["rows"]  # already stored before the end
    assert [row["what"] for row in stored] == ["first", "second"]
    results.finish()
    rows = _printed_rows(capsys, tmp_path, "tried")
    assert rows["first"]["skipped"] == "RuntimeError: no compiler"
    assert rows["second"]["ms"] == 1.0


def test_a_step_has_the_designed_number_of_tokens_and_operations(script):
    step = script("step")
    options = step.record.parser("").parse_args([])
    options.masking_ratio, options.objective = 0.9, "infonce"
    base = step.config_of("base", step.Sizes(4_096, 50_000), options)
    assert step.tokens_of(base) == 40_960
    assert step.step_tflop(base) == pytest.approx(5.2, abs=0.1)
    assert base.encoder == preset("myna-base")


def test_the_plan_has_four_encoders_at_each_of_three_ratios(script, capsys):
    assert script("pretrain").main(["--plan", "--steps", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["python -m pipeline.ingest demo --clips 20004", "python -m pipeline.shard stores/demo.zarr"]
    names = [line.split("--name ")[1].split()[0] for line in lines if "model.train" in line]
    assert names == [
        f"{encoder}-{ratio}-40" for ratio in (90, 75, 50) for encoder in ("base", "vertical", "hybrid", "mae")
    ]


def test_missing_modules_are_reported(script, monkeypatch, tmp_path, capsys):
    pretrain = script("pretrain")
    monkeypatch.setattr(pretrain, "REQUIRED_MODULES", ("torch", "no_such_renderer"))
    assert pretrain.main(["--toy", "--out", str(tmp_path)]) == 1
    assert _printed_rows(capsys, tmp_path, "pretrain")["everything"]["skipped"] == "not installed: no_such_renderer"


def test_the_other_encoders_are_trained_after_a_failure(script, monkeypatch, tmp_path, capsys):
    def run(self, words):
        if "vertical-90-2" in str(words):
            raise RuntimeError("model.train ended with status 1")
        return 1.0

    pretrain = script("pretrain")
    monkeypatch.setattr(pretrain, "row_of", lambda experiment, work, tasks: {"encoder": experiment.encoder})
    monkeypatch.setattr(pretrain.CommandRunner, "__call__", run)
    assert pretrain.main(["--toy", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 0
    rows = _printed_rows(capsys, tmp_path / "out", "pretrain")
    assert rows["vertical-90-2"]["skipped"] == "model.train ended with status 1"
    assert rows["mae-90-2"]["train_extract_probe_seconds"] == [1.0, 1.0, 1.0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interrupted_toy_pretraining_continues_and_gives_scores(script, tmp_path, capsys):
    pretrain, words = script("pretrain"), ["--toy", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert pretrain.main([*words, "--budget-seconds", "0"]) == 75
    assert "run it again to continue" in _printed_rows(capsys, tmp_path / "out", "pretrain")["the rest"]["skipped"]
    assert pretrain.main([*words, "--budget-seconds", "800"]) == 0
    rows = _printed_rows(capsys, tmp_path / "out", "pretrain")
    for name in ("vertical-90-2", "mae-90-2"):
        value, low, high = rows[name]["genre"]["trained"]
        assert low <= value <= high
        assert len(rows[name]["loss"]) > 1
    assert pretrain.main([*words, "--budget-seconds", "0"]) == 0  # nothing remains to be done


@pytest.mark.slow
def test_the_predicted_step_is_within_its_limits_and_no_kernel_spills():
    """In a process of its own, because kernels are interpreted in this one."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, str(FOLDER / "predictions.py"), "--json"]
    root = {"PYTHONPATH": str(FOLDER.parents[2])}
    done = subprocess.run(command, env=environment | root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"base on H200", "hybrid on H200"} <= set(result["predicted_ms"])
    for encoder, limit in result["required_ms_on_h200"].items():
        assert result["predicted_ms"][f"{encoder} on H200"] <= limit
    for kernel in result["kernels"]:
        assert kernel["stack_bytes"] == 0, kernel
        if kernel["kernel"].startswith(("attention", "stream_norm", "linear", "gelu")):
            assert kernel["load_bytes"] == kernel["store_bytes"] == 16, kernel


def test_the_sketch_of_a_block_kernel_computes_a_block(script):
    """Its predicted time would mean nothing otherwise."""
    attention = Attention(replace(preset("myna-base"), width=48, heads=3, head_width=16))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    attention.to(device).requires_grad_(False)
    stream = torch.randn(7, 5, 48, device=device)
    norm, out = attention.norm, torch.full_like(stream, torch.nan)
    weights = (norm.weight.normal_(), norm.bias.normal_(), attention.to_qkv.weight, attention.to_out.weight)
    sizes = (5, 3, 16, 16, 16, 0.25, 1e-5, "ieee")  # three windows a tile
    script("block_kernel")._attention_block[(3,)](stream, *weights, out, 35, *sizes)
    torch.testing.assert_close(out, stream + attention(stream), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("uses_descriptors", [False, True])
@pytest.mark.parametrize("flattens", [False, True])
@pytest.mark.parametrize("epilogue", [fused_linear.GELU, fused_linear.SLOPE, fused_linear.RESIDUAL])
def test_the_sketches_of_a_persistent_kernel_compute_the_products(script, epilogue, flattens, uses_descriptors):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_slope = epilogue == fused_linear.SLOPE
    inputs, weight = torch.randn(70, 48, device=device), torch.randn(40, 48, device=device)
    side, bias = torch.randn(70, 40, device=device), torch.randn(40, device=device)
    out, second = torch.full_like(side, torch.nan), torch.full_like(side, torch.nan)
    vector = torch.full((3, 40), torch.nan, device=device) if is_slope else bias  # partial sums of three rows of tiles
    triton.set_allocator(lambda size, *_: torch.empty(size, dtype=torch.int8, device=device))
    arguments = (inputs, weight.T.contiguous() if is_slope else weight, out, vector, side, second, 70)
    sizes = (40, 48, epilogue, True, is_slope, 32, 16, 16, "ieee", 2, flattens, uses_descriptors)
    script("persistent_kernel")._persistent[(2,)](*arguments, *sizes)
    if epilogue == fused_linear.GELU:
        computed, expected = (second, out), fused_linear.linear_gelu_plain(inputs, weight, bias)
    elif is_slope:
        expected = fused_linear.gelu_gradient_plain(inputs, weight.T, side)
        computed = out, vector.sum(0, keepdim=True)
    else:
        computed, expected = out, fused_linear.linear_residual_plain(inputs, weight, bias, side)
    torch.testing.assert_close(computed, expected, atol=1e-4, rtol=1e-4)


def test_loops_are_counted_in_the_disassembly():
    lines = [
        "/*0000*/ MOV R1, R2 ;",
        ".L_x_0:",
        "/*0010*/ @!P0 LDG.E.128 R4, desc[UR4][R2.64] ;",
        "/*0020*/ IADD3 R1, R1 ;",
        "/*0030*/ @P1 BRA `(.L_x_0) ;",
        "/*0040*/ EXIT ;",
        ".L_x_1:",
        "/*0050*/ BRA `(.L_x_1);",
        "/*0060*/ NOP;",
    ]
    instructions, loops = kernel_binary.parse("\n".join(lines))
    binary = kernel_binary.Binary(instructions, loops, 32, 0, 0, 4)
    assert [one.name for one in instructions] == ["MOV", "LDG.E.128", "IADD3", "BRA", "EXIT"]
    assert binary.executed([10]) == 1 + 10 * 3 + 1
    assert binary.access_bytes() == {"load": 16}
    with pytest.raises(ValueError, match="1 loops"):
        binary.executed([])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("visit", ["a", "b"])
def test_a_visit_runs_all_parts_and_keeps_their_results(tmp_path, visit):
    words = [sys.executable, str(FOLDER / "visit.py"), visit, "--toy", "--out", str(tmp_path)]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": str(FOLDER.parents[2])}, capture_output=True, text=True
    )
    rows = json.loads((tmp_path / f"visit-{visit}.json").read_text())
    assert done.returncode == 0, done.stdout
    assert {row["status"] for row in rows} <= {"done", "not begun: ncu is not installed"}
    assert (tmp_path / ("step-base" if visit == "a" else "step") / "step.json").is_file()


def test_a_part_that_takes_too_long_is_ended_with_its_processes(tmp_path, script):
    visit = script("visit")
    part = visit.Part("sleep", ("-c", "import subprocess; subprocess.run(['sleep', '600'])"), 1, has_toy=False)
    outcome = visit.run(part, tmp_path, toy=False)
    assert outcome.status == "ended after 1 s"
    assert outcome.seconds < 10
