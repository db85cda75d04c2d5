"""The training loop: a resumed run equals an uninterrupted run, and a run that has to stop says why."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
from typing import get_args

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from model.objectives.config import PRESETS
from model.training import best, checkpoint
from model.training.config import LoggingConfig, Optimizer
from model.training.continuation import require_continuable
from model.training.knn_validation import KnnValidation
from model.training.loop import Run, TrainingDiverged
from stores import locations, progress
from stores.errors import InvalidInput, StoppedBySignal
from stores.quantize import Quantizer

CPU = torch.device("cpu")
EVERY_2 = LoggingConfig(log_every=1, checkpoint_every=2)
EVERY_4 = LoggingConfig(log_every=4, checkpoint_every=4)
NO_CHECKPOINTS = LoggingConfig(log_every=1, checkpoint_every=100)
TIMINGS = {"data_wait_share", "windows_per_second", "unix_seconds", "neighbours_seconds"}
# 14 clips in batches of 4 give 3 steps per epoch: 3 is a boundary, 4 and 5 are not, and 4 is also a checkpoint's step
STEPS_DONE = pytest.mark.parametrize("steps_done", [3, 4, 5])


class InterferingStream:
    """A stream that calls `action` before it returns the batch of one step."""

    def __init__(self, stream, step, action):
        self.stream, self.step, self.action = stream, step, action

    def batch(self, step):
        if step == self.step:
            self.action()
        return self.stream.batch(step)


def _run(folder, config):
    folder.mkdir(exist_ok=True)
    return Run(folder, config, Quantizer(), CPU)


def _train(folder, config, logging=EVERY_2):
    run = _run(folder, config)
    run.train(tiny.stream(config), logging)
    return run


def _stop(folder, config, step, action, error, logging=EVERY_2):
    """Train until `action` stops the run with `error` before the batch of `step`."""
    run = _run(folder, config)
    with pytest.raises(error):
        run.train(InterferingStream(tiny.stream(config), step, action), logging)


def _kill(folder, config, step, logging=EVERY_2):
    """Train until the run ends before the batch of `step` without a chance to save."""
    _stop(folder, config, step, lambda: 1 / 0, ZeroDivisionError, logging)


def _press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def _send_sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def _send_sigusr1():
    os.kill(os.getpid(), signal.SIGUSR1)


def _metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def _assert_same_files(folder, expected):
    assert (folder / best.NAME).is_file() == (expected / best.NAME).is_file()
    for name in (locations.ENCODER_FILE, "checkpoint-00000008.safetensors", best.NAME):
        if not (folder / name).is_file():
            continue
        tensors, expected_tensors = load_file(folder / name), load_file(expected / name)
        for key in expected_tensors:
            assert torch.equal(tensors[key], expected_tensors[key]), key
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert _metrics(folder) == _metrics(expected)


@STEPS_DONE
@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_a_run_resumed_after_ctrl_c_ends_like_an_uninterrupted_run(tmp_path, steps_done, patches):
    config = tiny.train_config(patches)
    _train(tmp_path / "whole", config)
    _stop(tmp_path / "parts", config, steps_done - 1, _press_ctrl_c, KeyboardInterrupt)
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", steps_done)
    assert not (tmp_path / "parts" / locations.ENCODER_FILE).exists()
    assert _run(tmp_path / "parts", config).step == steps_done
    _train(tmp_path / "parts", config)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("send", [_send_sigterm, _send_sigusr1])
def test_a_run_stopped_by_a_signal_ends_like_an_uninterrupted_run(tmp_path, send):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _stop(tmp_path / "parts", config, 4, send, StoppedBySignal)
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", 5)
    _train(tmp_path / "parts", config)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


def test_sigusr1_can_save_a_checkpoint_of_a_run_that_goes_on(tmp_path, capsys):
    config, logging = tiny.train_config(), LoggingConfig(log_every=1, checkpoint_every=4, keep=9, on_sigusr1="save")
    _train(tmp_path / "whole", config, logging)
    run = _run(tmp_path / "parts", config)
    run.train(InterferingStream(tiny.stream(config), 4, _send_sigusr1), logging)
    saved = checkpoint.path_of(tmp_path / "parts", 5)
    assert f"SIGUSR1 after step 5 of 8, saved as {saved}" in "".join(capsys.readouterr())
    assert checkpoint.load(saved).step == 5
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("name", [*PRESETS])
def test_a_run_of_any_objective_can_be_resumed(tmp_path, name):
    config = tiny.train_config(objective=tiny.objective_config(name, gamma_decay_epochs=2))
    _train(tmp_path / "whole", config, EVERY_4)
    _kill(tmp_path / "parts", config, 5, EVERY_4)
    assert _run(tmp_path / "parts", config).step == 4
    _train(tmp_path / "parts", config, EVERY_4)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_a_run_with_any_optimizer_can_be_resumed(tmp_path, optimizer):
    config = tiny.train_config(optimizer=optimizer)
    _train(tmp_path / "whole", config, EVERY_4)
    _kill(tmp_path / "parts", config, 5, EVERY_4)
    _train(tmp_path / "parts", config, EVERY_4)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


def test_metrics_of_a_global_loss_have_gamma_and_temperature(tmp_path):
    config = tiny.train_config(objective=tiny.objective_config("fastclip-v3", gamma_decay_epochs=2))
    _train(tmp_path / "run", config, LoggingConfig(log_every=1, checkpoint_every=8))
    lines = _metrics(tmp_path / "run")  # three steps per epoch
    assert [line["gamma"] for line in lines] == pytest.approx([1.0] * 3 + [0.6] * 3 + [0.2] * 2)
    assert lines[0]["temperature"] != 0.1
    assert len({line["temperature"] for line in lines}) == 8


def test_metrics_of_a_masked_autoencoder_have_no_alignment(tmp_path):
    _train(tmp_path / "run", tiny.train_config(objective=tiny.objective_config("mae")), EVERY_4)
    lines = _metrics(tmp_path / "run")
    assert {"loss", "step"} <= set(lines[0])
    assert not {"alignment", "uniformity", "temperature"} & set(lines[0])


@STEPS_DONE
def test_a_killed_run_repeats_the_steps_since_its_checkpoint(tmp_path, steps_done):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _kill(tmp_path / "parts", config, steps_done)
    assert len(_metrics(tmp_path / "parts")) == steps_done
    assert _run(tmp_path / "parts", config).step == steps_done // 2 * 2
    _train(tmp_path / "parts", config)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _kill(tmp_path / "parts", config, 1)
    assert checkpoint.newest(tmp_path / "parts") is None
    _train(tmp_path / "parts", config)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


def test_an_incomplete_line_of_metrics_is_replaced_on_resume(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _kill(tmp_path / "parts", config, 3)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "lo')
    _train(tmp_path / "parts", config)
    _assert_same_files(tmp_path / "parts", tmp_path / "whole")


def test_logging_intervals_do_not_change_the_result(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "often", config)
    _train(tmp_path / "seldom", config, LoggingConfig(log_every=3, checkpoint_every=100))
    often, seldom = (load_file(tmp_path / name / locations.ENCODER_FILE) for name in ("often", "seldom"))
    assert all(torch.equal(often[key], seldom[key]) for key in often)
    assert [line["step"] for line in _metrics(tmp_path / "seldom")] == [0, 3, 6, 7]


def test_a_finished_run_has_metrics_two_checkpoints_and_the_encoder(tmp_path):
    config = tiny.train_config(warmup_steps=4, schedule="cosine")
    run = _train(tmp_path / "run", config, LoggingConfig(log_every=2, checkpoint_every=3))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    checkpoints = {"checkpoint-00000006.safetensors", "checkpoint-00000008.safetensors"}
    assert names == {"metrics.jsonl", locations.ENCODER_FILE, best.NAME} | checkpoints
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 6, 7]
    assert lines[0]["learning_rate"] == pytest.approx(1e-3 / 4)
    assert all(0 <= line["data_wait_share"] <= 1 and line["windows_per_second"] > 0 for line in lines)
    assert all(0 <= line["alignment"] <= 4 and line["uniformity"] <= 0 for line in lines)
    saved = checkpoint.load(tmp_path / "run" / locations.ENCODER_FILE)
    assert (saved.config, saved.step, run.step) == (config, 8, 8)


def test_speeds_are_averages_since_the_last_line_of_metrics(tmp_path, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr("model.training.loop.time.perf_counter", lambda: float(next(ticks)))
    _train(tmp_path / "run", tiny.train_config(), LoggingConfig(log_every=2, checkpoint_every=100))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    # this clock advances when it is read: twice for each batch, and once for each line
    assert [line["windows_per_second"] for line in lines] == pytest.approx([8 / 3, 16 / 5, 16 / 5, 16 / 5, 8 / 3])
    assert lines[1]["data_wait_share"] == pytest.approx(2 / 5)


def test_the_loss_falls_on_clips_that_differ_clearly(tmp_path):
    config = tiny.train_config(steps=60, batch=8, masking_ratio=0.5, learning_rate=3e-3)
    clips = tiny.resident([100] * 16)
    for number, start in enumerate(clips.starts):  # each clip has a constant spectrum of its own
        clips.codes[start : start + 100] = torch.roll(torch.arange(128) // 16 * 30, number * 8).to(torch.uint8)
    stream = tiny.WindowStream(clips, config.batch, 96, config.seed)
    _run(tmp_path / "run", config).train(stream, NO_CHECKPOINTS)
    losses = [line["loss"] for line in _metrics(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("changed", "differences"),
    [
        ({"objective": tiny.objective_config(temperature=0.2)}, "temperature: 0.1 before, 0.2 now$"),
        ({"samples": 99}, "samples: 140 before, 99 now"),
        ({"learning_rate": 1e-2}, "learning_rate: 0.001 before, 0.01 now"),
        ({"shards": "other"}, "shards: 'made' before, 'other' now"),
        ({"steps": 9, "seed": 4}, r"steps: 8 before, 9 now\nseed: 3 before, 4 now"),
        ({"encoder": tiny.encoder_config("square")}, "encoder: .*'vertical'.*'square'"),
    ],
)
def test_different_settings_are_an_error_that_lists_them(tmp_path, changed, differences):
    _kill(tmp_path / "run", tiny.train_config(), 3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    path = checkpoint.path_of(tmp_path / "run", 2)
    message = rf"different settings \(listed below\); choose another --name, or .* --init {path}:\n{differences}"
    with pytest.raises(InvalidInput, match=message):
        _run(tmp_path / "run", tiny.train_config(**changed))
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@contextlib.contextmanager
def _full_disk(max_bytes=0):
    """Yield a function after whose call no file can grow beyond `max_bytes`; pytest's output then needs capsys."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("logging", [EVERY_2, LoggingConfig(log_every=100, checkpoint_every=2)])
def test_a_full_disk_leaves_all_files_and_the_error_names_the_checkpoint(tmp_path, capsys, logging):
    config, folder = tiny.train_config(), tmp_path / "parts"
    _train(tmp_path / "whole", config, logging)
    run, before = _run(folder, config), {}

    def fill():
        before.update({path.name: path.read_bytes() for path in folder.iterdir()})
        fill_disk()

    with _full_disk() as fill_disk, pytest.raises(checkpoint.SaveError) as raised:
        run.train(InterferingStream(tiny.stream(config), 5, fill), logging)
    newest = checkpoint.path_of(folder, 4)
    assert "could not be written: " in str(raised.value)
    assert f"newest checkpoint: {newest} (all earlier files are unchanged); free disk space" in str(raised.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    _train(folder, config, logging)
    _assert_same_files(folder, tmp_path / "whole")


def test_a_line_of_metrics_that_a_full_disk_cut_off_is_written_again(tmp_path, capsys):
    config, folder = tiny.train_config(), tmp_path / "parts"
    _train(tmp_path / "whole", config)
    free_bytes = len((tmp_path / "whole" / "metrics.jsonl").read_bytes()) // 2
    run = _run(folder, config)
    message = r"metrics\.jsonl could not be written"
    with _full_disk(free_bytes) as fill_disk, pytest.raises(checkpoint.SaveError, match=message):
        run.train(InterferingStream(tiny.stream(config), 0, fill_disk), NO_CHECKPOINTS)
    assert (folder / "metrics.jsonl").stat().st_size == free_bytes
    _train(folder, config)
    _assert_same_files(folder, tmp_path / "whole")


def test_a_resumed_run_removes_its_own_incomplete_files_only(tmp_path):
    config = tiny.train_config()
    _kill(tmp_path / "run", config, 5)
    incomplete = tmp_path / "run" / ".checkpoint-00000006.safetensors.tmp-123"
    of_a_probe = tmp_path / "run" / "scores" / ".made.genre.json.tmp-123"  # model.probe may be writing this file
    of_another_run = tmp_path / "other" / ".checkpoint-00000006.safetensors.tmp-123"
    for path in (incomplete, of_a_probe, of_another_run):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(99))
    _train(tmp_path / "run", config)
    assert not list((tmp_path / "run").glob(".*"))
    assert of_a_probe.is_file()
    assert of_another_run.is_file()


@pytest.mark.parametrize(("keep", "steps"), [(1, [8]), (3, [4, 6, 8]), (9, [2, 4, 6, 8])])
def test_the_requested_number_of_checkpoints_is_kept(tmp_path, keep, steps):
    _train(tmp_path / "run", tiny.train_config(), LoggingConfig(checkpoint_every=2, keep=keep))
    names = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    assert names == [checkpoint.path_of(tmp_path, step).name for step in steps]


def test_the_best_weights_by_loss_have_the_lowest_mean_loss(tmp_path):
    _train(tmp_path / "run", tiny.train_config())
    losses = [line["loss"] for line in _metrics(tmp_path / "run")]
    means = {step: (losses[step - 2] + losses[step - 1]) / 2 for step in (2, 4, 6, 8)}
    header = checkpoint.read_header(tmp_path / "run" / best.NAME)
    lowest = min(means, key=means.get)
    assert (header["by"], int(header["step"])) == ("loss", lowest)
    assert float(header["score"]) == pytest.approx(-means[lowest])


def test_an_objective_with_a_memory_has_no_best_weights_by_loss(tmp_path):
    _train(tmp_path / "run", tiny.train_config(objective=tiny.objective_config("sogclr")))
    assert not (tmp_path / "run" / best.NAME).exists()


class FixedScores:
    """A validation that returns the next of its scores."""

    name = "band of made"

    def __init__(self, *scores):
        self.scores = list(scores)

    def accuracy(self, encoder, precision):
        return self.scores.pop(0)


def test_k_nn_validation_is_logged_and_chooses_the_best_weights(tmp_path):
    run = _run(tmp_path / "run", tiny.train_config())
    logging = LoggingConfig(log_every=4, checkpoint_every=8, check_every=3)
    run.train(tiny.stream(run.config), logging, FixedScores(0.25, 0.75, 0.5))
    lines = _metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [0, 2, 4, 5, 7]  # after 3, 6 and all 8 steps
    assert [line.get("neighbours") for line in lines] == [None, 0.25, None, 0.75, 0.5]
    assert {line.get("neighbours_of") for line in lines} == {None, "band of made"}
    header = checkpoint.read_header(tmp_path / "run" / best.NAME)
    assert (header["by"], header["score"], header["step"]) == ("neighbours: band of made", "0.75", "6")


def _train_with_validation(folder, config, logging):
    codes = tiny.resident([96] * 12).codes.numpy().reshape(12, 96, 128).swapaxes(1, 2).copy()
    validation = KnnValidation("x of made", codes, np.arange(12), np.arange(12) % 3, 8, Quantizer())
    _run(folder, config).train(tiny.stream(config), logging, validation)


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
@pytest.mark.parametrize("objective", ["infonce", "isogclr", "mae"])
def test_k_nn_validation_does_not_change_a_bit_of_the_result(tmp_path, patches, objective):
    config = tiny.train_config(patches, objective=tiny.objective_config(objective))
    _train(tmp_path / "plain", config)
    logging = LoggingConfig(log_every=1, checkpoint_every=2, check_every=1)
    _train_with_validation(tmp_path / "validated", config, logging)
    for name in (locations.ENCODER_FILE, "checkpoint-00000008.safetensors"):
        plain, validated = load_file(tmp_path / "plain" / name), load_file(tmp_path / "validated" / name)
        assert plain.keys() == validated.keys()
        assert all(torch.equal(plain[key], validated[key]) for key in plain)
    added = {"neighbours", "neighbours_of"}
    lines = _metrics(tmp_path / "validated")
    assert all(added <= set(line) for line in lines)
    assert [{k: v for k, v in line.items() if k not in added} for line in lines] == _metrics(tmp_path / "plain")


def test_weights_that_are_not_finite_never_become_the_best(tmp_path):
    config = tiny.train_config()
    run = _run(tmp_path / "run", config)

    def poison():
        run.optimizer.state[run.model.linear_head.weight]["exp_avg"].fill_(torch.nan)

    stream = InterferingStream(tiny.stream(config), 2, poison)
    logging = LoggingConfig(log_every=100, checkpoint_every=100, check_every=3)
    with pytest.raises(TrainingDiverged, match="weights are not finite after 3 steps"):
        run.train(stream, logging, FixedScores(0.5, 0.6))
    assert not (tmp_path / "run" / best.NAME).exists()


def test_a_clipped_gradient_norm_is_logged_and_a_high_limit_changes_nothing(tmp_path):
    _train(tmp_path / "none", tiny.train_config())
    _train(tmp_path / "high", tiny.train_config(clip_gradient_norm=1e6))
    _train(tmp_path / "low", tiny.train_config(clip_gradient_norm=1e-3, optimizer="sgd"))
    none, high, low = (load_file(tmp_path / name / locations.ENCODER_FILE) for name in ("none", "high", "low"))
    assert all(torch.equal(none[key], high[key]) for key in none)
    assert not all(torch.equal(none[key], low[key]) for key in none)
    assert not any("gradient_norm" in line for line in _metrics(tmp_path / "none"))
    assert all(line["gradient_norm"] > 0 for line in _metrics(tmp_path / "low"))


class DeviceWaits(TorchDispatchMode):
    """A counter of the values that the host reads from the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["infonce", "mae"])
def test_between_two_lines_of_metrics_the_host_does_not_wait(tmp_path, name):
    config = tiny.train_config("hybrid", clip_gradient_norm=0.1, objective=tiny.objective_config(name), steps=6)
    counts = []
    with DeviceWaits() as waits:
        stream = tiny.stream(config)
        batch = stream.batch
        stream.batch = lambda step: counts.append(waits.count) or batch(step)
        _run(tmp_path / "run", config).train(stream, LoggingConfig(log_every=100, checkpoint_every=100))
    assert counts[1] > counts[0]  # the first step has a line of metrics
    assert counts[1:] == counts[1:2] * 5


def test_the_progress_shows_loss_speed_waiting_and_validation(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    run = _run(tmp_path / "run", tiny.train_config())
    logging = LoggingConfig(log_every=1, check_every=2)
    run.train(tiny.stream(run.config), logging, FixedScores(0.25, 0.5, 0.75, 1.0))
    bar = capsys.readouterr().err
    assert re.search(
        r"train: 8 of 8 steps, .*, loss \d\.\d{3}, \d+ windows/s, \d+% data wait, band of made 1\.000", bar
    )


@pytest.mark.parametrize("name", ["log_every", "checkpoint_every", "check_every", "keep"])
def test_an_interval_below_1_is_an_error_that_names_its_flag(name):
    with pytest.raises(InvalidInput, match=rf"--{name.replace('_', '-')} must be at least 1 \(got 0\)"):
        LoggingConfig(**{name: 0})


def test_equal_settings_are_accepted(tmp_path):
    require_continuable(tiny.train_config(), tiny.train_config(), tmp_path)


def _divergence_message(folder, step, logging):
    """Set weights to NaN before `step` and return the message of the error."""
    config = tiny.train_config()
    run = _run(folder, config)

    def poison():
        run.model.linear_head.weight.detach().fill_(torch.nan)

    with pytest.raises(TrainingDiverged) as raised:
        run.train(InterferingStream(tiny.stream(config), step, poison), logging)
    return str(raised.value)


def test_a_loss_of_nan_stops_the_run_and_names_the_last_good_checkpoint(tmp_path):
    message = _divergence_message(tmp_path / "run", 5, EVERY_2)
    assert message.startswith("the loss is nan at step 5; lower --learning-rate")
    assert message.endswith(f"last good checkpoint: {checkpoint.path_of(tmp_path / 'run', 4)}")
    assert not (tmp_path / "run" / locations.ENCODER_FILE).exists()


def test_a_divergence_between_two_lines_of_metrics_never_becomes_a_checkpoint(tmp_path):
    message = _divergence_message(tmp_path / "run", 5, LoggingConfig(log_every=100, checkpoint_every=2))
    assert message.startswith("weights are not finite after 6 steps")
    assert message.endswith(f"last good checkpoint: {checkpoint.path_of(tmp_path / 'run', 4)}")
    assert checkpoint.newest(tmp_path / "run") == checkpoint.path_of(tmp_path / "run", 4)


def test_a_divergence_before_the_first_checkpoint_names_none(tmp_path):
    assert _divergence_message(tmp_path / "run", 0, EVERY_2).endswith("last good checkpoint: none yet")


def test_ctrl_c_in_the_first_step_saves_this_step(tmp_path):
    _stop(tmp_path / "run", tiny.train_config(), 0, _press_ctrl_c, KeyboardInterrupt)
    assert checkpoint.newest(tmp_path / "run") == checkpoint.path_of(tmp_path / "run", 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_killed_before_its_encoder_was_written_repeats_no_step(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "run", config)
    _train(tmp_path / "whole", config)
    (tmp_path / "run" / locations.ENCODER_FILE).unlink()
    _run(tmp_path / "run", config).train(InterferingStream(None, -1, None), EVERY_2)  # this stream has no batches
    _assert_same_files(tmp_path / "run", tmp_path / "whole")
