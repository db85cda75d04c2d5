"""A run that was stopped and goes on is the run that was not, bit for bit; and one that cannot go on says why."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from model.objectives.config import PRESETS
from model.training import best, checkpoint
from model.training.config import OPTIMIZERS
from model.training.knn_validation import KnnValidation
from model.training.loop import LoggingConfig, Run, TrainingDiverged, require_same_settings
from stores import locations
from stores.errors import InvalidInput
from stores.quantize import Quantizer

CPU = torch.device("cpu")
OFTEN = LoggingConfig(log_every=1, checkpoint_every=2)
SELDOM_SAVED = LoggingConfig(log_every=1, checkpoint_every=100)
SELDOM = LoggingConfig(log_every=4, checkpoint_every=4)
TIMINGS = {"data_wait_share", "windows_per_second", "unix_seconds", "neighbours_seconds"}
# 14 clips in batches of 4 are 3 steps an epoch: 3 is a boundary, 4 and 5 are not, and 4 is a checkpoint's step anyway
PLACES = pytest.mark.parametrize("steps_done", [3, 4, 5])


class Meddling:
    """A stream that does something before it gives the batch of one step."""

    def __init__(self, stream, step, deed):
        self.stream, self.step, self.deed = stream, step, deed

    def batch(self, step):
        if step == self.step:
            self.deed()
        return self.stream.batch(step)


def _run(folder, config):
    folder.mkdir(exist_ok=True)
    return Run(folder, config, Quantizer(), CPU)


def _train(folder, config, pace=OFTEN):
    run = _run(folder, config)
    run.train(tiny.stream(config), pace)
    return run


def _break_off(folder, config, step, deed, error, pace=OFTEN):
    run = _run(folder, config)
    with pytest.raises(error) as raised:
        run.train(Meddling(tiny.stream(config), step, deed), pace)
    return raised.value


def _press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def _metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def _assert_same_outcome(folder, other):
    assert (folder / best.NAME).is_file() == (other / best.NAME).is_file()
    for name in (locations.ENCODER_FILE, "checkpoint-00000008.safetensors", best.NAME):
        if not (folder / name).is_file():
            continue
        assert checkpoint.read_header(folder / name) == checkpoint.read_header(other / name)
        ours, theirs = load_file(folder / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert torch.equal(ours[key], theirs[key]), key
    assert _metrics(folder) == _metrics(other)


@PLACES
@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
def test_a_run_stopped_by_ctrl_c_goes_on_to_the_same_end(tmp_path, steps_done, patches):
    config = tiny.train_config(patches)
    _train(tmp_path / "whole", config)
    _break_off(tmp_path / "parts", config, steps_done - 1, _press_ctrl_c, KeyboardInterrupt)
    assert checkpoint.newest(tmp_path / "parts") == checkpoint.path_of(tmp_path / "parts", steps_done)
    assert not (tmp_path / "parts" / locations.ENCODER_FILE).exists()
    assert _run(tmp_path / "parts", config).step == steps_done
    _train(tmp_path / "parts", config)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("name", [*PRESETS])
def test_a_run_of_any_objective_goes_on_to_the_same_end(tmp_path, name):
    config = tiny.train_config(objective=tiny.objective_config(name, gamma_decay_epochs=2))
    _train(tmp_path / "whole", config, SELDOM)
    _break_off(tmp_path / "parts", config, 5, lambda: 1 / 0, ZeroDivisionError, SELDOM)
    assert _run(tmp_path / "parts", config).step == 4
    _train(tmp_path / "parts", config, SELDOM)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_with_any_optimizer_goes_on_to_the_same_end(tmp_path, optimizer):
    config = tiny.train_config(optimizer=optimizer)
    _train(tmp_path / "whole", config, SELDOM)
    _break_off(tmp_path / "parts", config, 5, lambda: 1 / 0, ZeroDivisionError, SELDOM)
    _train(tmp_path / "parts", config, SELDOM)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


def test_metrics_tell_gamma_and_temperature_of_a_global_loss(tmp_path):
    config = tiny.train_config(objective=tiny.objective_config("fastclip-v3", gamma_decay_epochs=2))
    _train(tmp_path / "run", config, LoggingConfig(log_every=1, checkpoint_every=8))
    lines = _metrics(tmp_path / "run")  # three steps an epoch
    assert [line["gamma"] for line in lines] == pytest.approx([1.0] * 3 + [0.6] * 3 + [0.2] * 2)
    assert lines[0]["temperature"] != 0.1
    assert len({line["temperature"] for line in lines}) == 8


def test_metrics_of_mae_tell_no_geometry(tmp_path):
    _train(tmp_path / "run", tiny.train_config(objective=tiny.objective_config("mae")), SELDOM)
    lines = _metrics(tmp_path / "run")
    assert {"loss", "step"} <= set(lines[0])
    assert not {"alignment", "uniformity", "temperature"} & set(lines[0])


@PLACES
def test_a_run_that_was_killed_repeats_what_its_checkpoint_lacks_and_ends_the_same(tmp_path, steps_done):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _break_off(tmp_path / "parts", config, steps_done, lambda: 1 / 0, ZeroDivisionError)
    assert len(_metrics(tmp_path / "parts")) == steps_done
    assert _run(tmp_path / "parts", config).step == steps_done // 2 * 2
    _train(tmp_path / "parts", config)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_over_without_double_lines(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _break_off(tmp_path / "parts", config, 1, lambda: 1 / 0, ZeroDivisionError)
    assert checkpoint.newest(tmp_path / "parts") is None
    _train(tmp_path / "parts", config)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


def test_a_line_of_metrics_that_a_kill_cut_off_is_forgotten(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "whole", config)
    _break_off(tmp_path / "parts", config, 3, lambda: 1 / 0, ZeroDivisionError)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "lo')
    _train(tmp_path / "parts", config)
    _assert_same_outcome(tmp_path / "parts", tmp_path / "whole")


def test_how_often_it_looks_up_does_not_change_the_result(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "often", config)
    _train(tmp_path / "seldom", config, LoggingConfig(log_every=3, checkpoint_every=100))
    ours, theirs = (load_file(tmp_path / name / locations.ENCODER_FILE) for name in ("often", "seldom"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert [line["step"] for line in _metrics(tmp_path / "seldom")] == [0, 3, 6, 7]


def test_a_run_has_a_line_of_metrics_per_look_and_two_checkpoints_and_the_encoder(tmp_path):
    config = tiny.train_config(warmup_steps=4, schedule="cosine")
    run = _train(tmp_path / "run", config, LoggingConfig(log_every=2, checkpoint_every=3))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    last = {"checkpoint-00000006.safetensors", "checkpoint-00000008.safetensors"}
    assert names == {"metrics.jsonl", locations.ENCODER_FILE, best.NAME} | last
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 6, 7]
    assert lines[0]["learning_rate"] == pytest.approx(1e-3 / 4)
    assert all(0 <= line["data_wait_share"] <= 1 and line["windows_per_second"] > 0 for line in lines)
    assert all(0 <= line["alignment"] <= 4 and line["uniformity"] <= 0 for line in lines)
    saved = checkpoint.load(tmp_path / "run" / locations.ENCODER_FILE)
    assert (saved.config, saved.step, run.step) == (config, 8, 8)


def test_the_rate_of_windows_is_over_all_steps_since_the_last_line(tmp_path, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr("model.training.loop.time.perf_counter", lambda: float(next(ticks)))
    _train(tmp_path / "run", tiny.train_config(), LoggingConfig(log_every=2, checkpoint_every=100))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    # a clock that ticks when it is read: two reads around each batch, one where a lap ends
    assert [line["windows_per_second"] for line in lines] == pytest.approx([8 / 3, 16 / 5, 16 / 5, 16 / 5, 8 / 3])
    assert lines[1]["data_wait_share"] == pytest.approx(2 / 5)


def test_the_loss_falls_on_clips_that_can_be_told_apart(tmp_path):
    config = tiny.train_config(steps=60, batch=8, masking_ratio=0.5, learning_rate=3e-3)
    clips = tiny.resident([100] * 16)
    for place, start in enumerate(clips.starts):  # each clip a constant colour over its mel bins
        clips.codes[start : start + 100] = torch.roll(torch.arange(128) // 16 * 30, place * 8).to(torch.uint8)
    stream = tiny.WindowStream(clips, config.batch, 96, config.seed)
    _run(tmp_path / "run", config).train(stream, LoggingConfig(log_every=1, checkpoint_every=100))
    losses = [line["loss"] for line in _metrics(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"objective": tiny.objective_config(temperature=0.2)}, "temperature: 0.1 before, 0.2 now$"),
        ({"samples": 99}, "samples: 140 before, 99 now"),
        ({"learning_rate": 1e-2}, "learning_rate: 0.001 before, 0.01 now"),
        ({"shards": "other"}, "shards: 'made' before, 'other' now"),
        ({"steps": 9, "seed": 4}, r"steps: 8 before, 9 now\nseed: 3 before, 4 now"),
        ({"encoder": tiny.encoder_config("square")}, "encoder: .*'vertical'.*'square'"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings_and_names_them(tmp_path, changed, named):
    _break_off(tmp_path / "run", tiny.train_config(), 3, lambda: 1 / 0, ZeroDivisionError)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(InvalidInput, match=rf"run with other settings; choose another --name:\n{named}"):
        _run(tmp_path / "run", tiny.train_config(**changed))
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@contextlib.contextmanager
def _full_disk(allowed_bytes=0):
    """No file of this process can grow beyond so many bytes; a test with it needs capsys, or its output could not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (allowed_bytes, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("pace", [OFTEN, LoggingConfig(log_every=100, checkpoint_every=2)])
def test_a_full_disk_loses_nothing_that_was_saved_and_the_error_says_what_that_is(tmp_path, capsys, pace):
    config, folder = tiny.train_config(), tmp_path / "parts"
    _train(tmp_path / "whole", config, pace)
    run, kept = _run(folder, config), {}

    def fill():
        kept.update({path.name: path.read_bytes() for path in folder.iterdir()})
        no_room()

    with _full_disk() as no_room, pytest.raises(checkpoint.SaveError) as raised:
        run.train(Meddling(tiny.stream(config), 5, fill), pace)
    good = checkpoint.path_of(folder, 4)
    assert "could not be written: " in str(raised.value)
    assert f"kept, as they were: {good} and all files before it; make room" in str(raised.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    _train(folder, config, pace)
    _assert_same_outcome(folder, tmp_path / "whole")


def test_a_line_of_metrics_that_a_full_disk_cut_off_is_written_again(tmp_path, capsys):
    config, folder = tiny.train_config(), tmp_path / "parts"
    _train(tmp_path / "whole", config)
    room = len((tmp_path / "whole" / "metrics.jsonl").read_bytes()) // 2
    run = _run(folder, config)
    with _full_disk(room) as no_room, pytest.raises(checkpoint.SaveError, match=r"metrics\.jsonl could not be written"):
        run.train(Meddling(tiny.stream(config), 0, no_room), SELDOM_SAVED)
    assert (folder / "metrics.jsonl").stat().st_size == room
    _train(folder, config)
    _assert_same_outcome(folder, tmp_path / "whole")


def test_what_a_kill_left_of_a_checkpoint_is_removed(tmp_path):
    config = tiny.train_config()
    _break_off(tmp_path / "run", config, 5, lambda: 1 / 0, ZeroDivisionError)
    (tmp_path / "run" / ".checkpoint-00000006.safetensors.tmp-123").write_bytes(bytes(99))
    _train(tmp_path / "run", config)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(("keep", "left"), [(1, [8]), (3, [4, 6, 8]), (9, [2, 4, 6, 8])])
def test_as_many_checkpoints_are_kept_as_were_asked_for(tmp_path, keep, left):
    _train(tmp_path / "run", tiny.train_config(), LoggingConfig(checkpoint_every=2, keep=keep))
    names = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    assert names == [checkpoint.path_of(tmp_path, step).name for step in left]


def test_the_best_by_loss_has_the_lowest_mean_since_the_checkpoint_before(tmp_path):
    _train(tmp_path / "run", tiny.train_config())
    losses = [line["loss"] for line in _metrics(tmp_path / "run")]
    means = {step: (losses[step - 2] + losses[step - 1]) / 2 for step in (2, 4, 6, 8)}
    header = checkpoint.read_header(tmp_path / "run" / best.NAME)
    lowest = min(means, key=means.get)
    assert (header["by"], int(header["step"])) == ("loss", lowest)
    assert float(header["score"]) == pytest.approx(-means[lowest])


def test_losses_that_move_with_a_memory_have_no_best(tmp_path):
    _train(tmp_path / "run", tiny.train_config(objective=tiny.objective_config("sogclr")))
    assert not (tmp_path / "run" / best.NAME).exists()


class Judged:
    """A check that gives the next of its scores, and the name of one."""

    name = "band of made"

    def __init__(self, *scores):
        self.scores = list(scores)

    def accuracy(self, encoder, precision):
        return self.scores.pop(0)


def test_the_online_check_is_logged_and_decides_what_is_best(tmp_path):
    run = _run(tmp_path / "run", tiny.train_config())
    pace = LoggingConfig(log_every=4, checkpoint_every=8, check_every=3)
    run.train(tiny.stream(run.config), pace, Judged(0.25, 0.75, 0.5))
    lines = _metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [0, 2, 4, 5, 7]  # 3 and 6 steps done, and all 8
    assert [line.get("neighbours") for line in lines] == [None, 0.25, None, 0.75, 0.5]
    assert {line.get("neighbours_of") for line in lines} == {None, "band of made"}
    header = checkpoint.read_header(tmp_path / "run" / best.NAME)
    assert (header["by"], header["score"], header["step"]) == ("neighbours: band of made", "0.75", "6")


def _looked_at(folder, config, pace):
    codes = tiny.resident([96] * 12).codes.numpy().reshape(12, 96, 128).swapaxes(1, 2).copy()
    check = KnnValidation("x of made", codes, np.arange(12), np.arange(12) % 3, 8, Quantizer())
    run = _run(folder, config)
    run.train(tiny.stream(config), pace, check)


@pytest.mark.parametrize("patches", ["vertical", "hybrid"])
@pytest.mark.parametrize("objective", ["infonce", "isogclr", "mae"])
def test_a_run_that_is_checked_ends_with_the_same_bits_as_one_that_is_not(tmp_path, patches, objective):
    config = tiny.train_config(patches, objective=tiny.objective_config(objective))
    _train(tmp_path / "alone", config)
    _looked_at(tmp_path / "checked", config, LoggingConfig(log_every=1, checkpoint_every=2, check_every=1))
    for name in (locations.ENCODER_FILE, "checkpoint-00000008.safetensors"):
        ours, theirs = load_file(tmp_path / "alone" / name), load_file(tmp_path / "checked" / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    told = {"neighbours", "neighbours_of"}
    lines = _metrics(tmp_path / "checked")
    assert all(told <= set(line) for line in lines)
    assert [{k: v for k, v in line.items() if k not in told} for line in lines] == _metrics(tmp_path / "alone")


def test_weights_that_are_no_numbers_never_become_the_best(tmp_path):
    config = tiny.train_config()
    run = _run(tmp_path / "run", config)
    moments = lambda: run.optimizer.state[run.learner.linear_head.weight]  # noqa: E731
    stream = Meddling(tiny.stream(config), 2, lambda: moments()["exp_avg"].fill_(torch.nan))
    with pytest.raises(TrainingDiverged, match="weights are not finite after 3 steps"):
        run.train(stream, LoggingConfig(log_every=100, checkpoint_every=100, check_every=3), Judged(0.5, 0.6))
    assert not (tmp_path / "run" / best.NAME).exists()


def test_the_norm_of_the_gradient_is_logged_where_it_is_clipped_and_a_wide_limit_changes_nothing(tmp_path):
    _train(tmp_path / "free", tiny.train_config())
    _train(tmp_path / "wide", tiny.train_config(clip_gradient_norm=1e6))
    _train(tmp_path / "tight", tiny.train_config(clip_gradient_norm=1e-3, optimizer="sgd"))
    free, wide, tight = (load_file(tmp_path / name / locations.ENCODER_FILE) for name in ("free", "wide", "tight"))
    assert all(torch.equal(free[key], wide[key]) for key in free)
    assert not all(torch.equal(free[key], tight[key]) for key in free)
    assert not any("gradient_norm" in line for line in _metrics(tmp_path / "free"))
    assert all(line["gradient_norm"] > 0 for line in _metrics(tmp_path / "tight"))


class Waits(TorchDispatchMode):
    """Counts how often the host asks for a number that the device computes."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["infonce", "mae"])
def test_between_two_looks_the_host_waits_for_nothing(tmp_path, name):
    config = tiny.train_config("hybrid", clip_gradient_norm=0.1, objective=tiny.objective_config(name), steps=6)
    counts = []
    with Waits() as waits:
        stream = tiny.stream(config)
        real = stream.batch
        stream.batch = lambda step: counts.append(waits.count) or real(step)
        _run(tmp_path / "run", config).train(stream, LoggingConfig(log_every=100, checkpoint_every=100))
    assert counts[1] > counts[0]  # the first step has a line of metrics
    assert counts[1:] == counts[1:2] * 5


def test_the_bar_tells_loss_speed_waiting_the_check_and_the_time_left(tmp_path, capsys):
    run = _run(tmp_path / "run", tiny.train_config())
    run.train(tiny.stream(run.config), LoggingConfig(log_every=1, check_every=2), Judged(0.25, 0.5, 0.75, 1.0))
    bar = capsys.readouterr().err
    assert re.search(
        r"8/8 \[\d\d:\d\d<00:00, .*step/s, loss \d\.\d{3}, \d+ windows/s, \d+% data wait, band of made 1\.000", bar
    )


@pytest.mark.parametrize("name", ["log_every", "checkpoint_every", "check_every", "keep"])
def test_a_pace_below_1_is_refused_by_its_name(name):
    with pytest.raises(InvalidInput, match=f"{name} is 0; give 1 or more"):
        LoggingConfig(**{name: 0})


def test_the_same_settings_may_go_on(tmp_path):
    require_same_settings(tiny.train_config(), tiny.train_config(), tmp_path)


def _poisoned(folder, step, pace):
    config = tiny.train_config()
    run = _run(folder, config)
    with torch.no_grad():
        poison = Meddling(tiny.stream(config), step, lambda: run.learner.linear_head.weight.detach().fill_(torch.nan))
    with pytest.raises(TrainingDiverged) as raised:
        run.train(poison, pace)
    return str(raised.value)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_last_good_checkpoint(tmp_path):
    told = _poisoned(tmp_path / "run", 5, OFTEN)
    assert told.startswith("the loss is nan at step 5; lower --learning-rate")
    assert told.endswith(f"last good checkpoint: {checkpoint.path_of(tmp_path / 'run', 4)}")
    assert not (tmp_path / "run" / locations.ENCODER_FILE).exists()


def test_a_divergence_between_two_looks_never_becomes_a_checkpoint(tmp_path):
    told = _poisoned(tmp_path / "run", 5, LoggingConfig(log_every=100, checkpoint_every=2))
    assert told.startswith("weights are not finite after 6 steps")
    assert told.endswith(f"last good checkpoint: {checkpoint.path_of(tmp_path / 'run', 4)}")
    assert checkpoint.newest(tmp_path / "run") == checkpoint.path_of(tmp_path / "run", 4)


def test_a_divergence_before_the_first_checkpoint_says_that_there_is_none(tmp_path):
    assert _poisoned(tmp_path / "run", 0, OFTEN).endswith("last good checkpoint: none yet")


def test_ctrl_c_in_the_very_first_step_saves_that_step(tmp_path):
    _break_off(tmp_path / "run", tiny.train_config(), 0, _press_ctrl_c, KeyboardInterrupt)
    assert checkpoint.newest(tmp_path / "run") == checkpoint.path_of(tmp_path / "run", 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_kill_between_the_last_checkpoint_and_the_encoder_costs_no_step(tmp_path):
    config = tiny.train_config()
    _train(tmp_path / "run", config)
    _train(tmp_path / "whole", config)
    (tmp_path / "run" / locations.ENCODER_FILE).unlink()
    _run(tmp_path / "run", config).train(Meddling(None, -1, None), OFTEN)  # a stream that has nothing to give
    _assert_same_outcome(tmp_path / "run", tmp_path / "whole")
