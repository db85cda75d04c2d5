"""The command `model.train`: a mel store becomes a finished run, from shards of the store as it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

import model
from model import train as command
from model.encoder.config import PRESETS
from model.encoder.kernels.product_choice import ProductChoice
from model.encoder.kernels.products import Product
from model.training import checkpoint, metrics_log, step, train
from model.training.config import RESULT_GROUPS, LoggingConfig, TrainConfig
from pipeline import shard
from stores import locations
from stores.digest import digest
from stores.lock import lock_file, write_lock
from stores.mel_store import MelStore
from stores.shards import ShardSet

STORE = "stores/made.zarr"
REAL_RUN = subprocess.run
LENGTHS = [100, 96, 120, 300, 97, 0, 130, 110]


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    """A folder with the store `made`, where a preset `mini` is known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PRESETS, "mini", tiny.encoder_config())
    (tmp_path / "stores").mkdir()
    make_store(LENGTHS, STORE)
    return tmp_path


@pytest.fixture
def sharded_here(monkeypatch):
    """Shards are made in this process, which is faster; the list of stores they were made of."""
    made = []

    def run(command, **_):
        made.append(command[-1])
        return subprocess.CompletedProcess(command, shard.main(command[-1:]), "")

    monkeypatch.setattr(train.subprocess, "run", run)
    return made


def _train(*changed, name="run"):
    options = ["--preset", "mini", "--batch", "4", "--steps", "3", "--projection-width", "8", "--precision", "fp32"]
    return command.main(["--store", STORE, "--name", name, *options, *changed])


def _stored_digest():
    return ShardSet.open(locations.shards(locations.mel_store("made"))).store_digest


def test_a_store_becomes_shards_and_a_finished_run(workplace, capfd):
    assert _train() == 0
    printed = capfd.readouterr().out
    assert "no shards at stores/made.shards" in printed
    assert "7 clips in 1 shard" in printed  # by the process that made them
    assert "runs/run: 3 steps of 4 clips, 1 step per epoch" in printed
    assert "runs/run/encoder.safetensors: finished after 3 steps" in printed
    names = {path.name for path in (workplace / "runs" / "run").iterdir()}
    safetensors = {"encoder.safetensors", "checkpoint-00000003.safetensors", "best.safetensors"}
    assert names == {"config.json", "metrics.jsonl"} | safetensors
    assert model.load_encoder("runs/run/encoder.safetensors")(torch.zeros(1, 128, 96)).shape == (1, 32)


def test_windows_of_another_length_are_trained_and_embedded(workplace, sharded_here):
    assert _train("--window-frames", "64") == 0
    encoder = checkpoint.load(workplace / "runs" / "run" / locations.ENCODER_FILE).build_encoder()
    assert encoder.config.window_frames == 64
    assert encoder.embedding("vertical").positions.shape == (32, 32)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("63", "window_frames a multiple of 2"),
        ("128", "a clip has 96 frames, but a window has 128; ingest longer recordings only, or train with a smaller"),
    ],
)
def test_windows_that_cannot_be_cut_are_an_error(workplace, sharded_here, capsys, frames, message):
    assert _train("--window-frames", frames) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--freeze-encoder-steps", "1"), "--freeze-encoder-steps needs --init, because a random encoder"),
        (("--freeze-encoder-steps", "3", "--init", "x"), "must be less than --steps, which is 3"),
        (("--learning-rate-scale", "0.1"), "--learning-rate-scale must be encoder=FACTOR"),
    ],
)
def test_settings_that_would_not_train_the_encoder_are_rejected(workplace, sharded_here, capsys, flags, message):
    assert _train(*flags) == 2
    assert message in capsys.readouterr().err


def test_a_run_with_frozen_steps_is_resumed_with_the_flags_of_its_config(workplace, sharded_here):
    assert _train(name="first") == 0
    flags = ("--init", "first", "--freeze-encoder-steps", "1", "--learning-rate-scale", "encoder=0.1")
    assert _train(*flags, "--window-frames", "64", name="second") == 0
    config = "runs/second/config.json"
    assert command.main(["--store", STORE, "--config", config, "--init", "first", "--name", "second"]) == 0


def test_the_runs_settings_are_written_down_with_what_the_codes_mean(workplace, sharded_here):
    assert _train("--seed", "5", "--masking-ratio", "0.5") == 0
    written = json.loads((workplace / "runs" / "run" / "config.json").read_text())
    store = MelStore.open(STORE)
    config = checkpoint.load(workplace / "runs" / "run" / locations.ENCODER_FILE).config
    assert written == {**config.to_dict(), "store": "made"}
    assert config.mel == {key: store.attributes[key] for key in ("mel_spec", "quantizer", "preprocessing")}
    assert (config.seed, config.masking_ratio, config.shards) == (5, 0.5, store.shards_digest())


def test_a_finished_run_says_so_and_is_left_alone(workplace, sharded_here, capsys):
    assert _train() == 0
    before = {path: path.stat().st_mtime_ns for path in (workplace / "runs").rglob("*")}
    capsys.readouterr()
    assert _train() == 0
    assert capsys.readouterr().out == "runs/run: already finished\n"
    assert {path: path.stat().st_mtime_ns for path in (workplace / "runs").rglob("*")} == before
    assert sharded_here == [STORE]


def test_an_objective_and_its_numbers_are_chosen_by_flags(workplace, sharded_here):
    assert _train("--objective", "fastclip-v2", "--rho", "0.4", "--steps", "8", "--optimizer", "lamb") == 0
    config = checkpoint.load(workplace / "runs" / "run" / locations.ENCODER_FILE).config
    objective = config.objective
    assert (objective.name, objective.rho, objective.gamma, config.optimizer) == ("fastclip-v2", 0.4, 0.2, "lamb")
    assert objective.gamma_decay_epochs == 4  # half of 8 epochs of one step
    assert config.samples == len(LENGTHS)


@pytest.mark.parametrize(
    ("objective", "words", "message"),
    [
        ("infonce", ("--rho", "3"), "--rho is not used by objective infonce (it accepts --temperature); leave out"),
        (
            "mbcl",
            ("--gamma", "0.3", "--rho", "1"),
            "--gamma, --rho are not used by objective mbcl (it accepts ",
        ),
        ("mae", ("--temperature", "0.5"), "--temperature is not used by objective mae (it accepts none of these)"),
        ("sogclr", ("--gamma-decay-epochs", "3"), "used by objective sogclr (it accepts --temperature, --gamma)"),
        ("fastclip-v0", ("--rho", "3"), "accepts --temperature, --gamma, --gamma-decay-epochs, --temperature-learning"),
        ("fastclip-v1", ("--temperature-learning-rate", "0.1"), "--temperature-learning-rate is not used by objective"),
    ],
)
def test_numbers_that_an_objective_does_not_use_are_rejected_at_once(workplace, capsys, objective, words, message):
    assert _train("--objective", objective, *words) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in (workplace / "stores").iterdir()] == ["made.zarr"]


def test_a_masked_autoencoder_leaves_a_picture_and_an_encoder(workplace, sharded_here):
    assert _train("--objective", "mae") == 0
    assert (workplace / "runs" / "run" / "reconstructions.png").stat().st_size > 1000
    assert model.load_encoder("runs/run/encoder.safetensors")(torch.zeros(1, 128, 96)).shape == (1, 32)


def _config_of(name="run"):
    return checkpoint.load(locations.run(name) / locations.ENCODER_FILE).config


def test_masking_input_scale_and_clipping_are_chosen_by_flags(workplace, sharded_here):
    assert _train("--masking", "centered", "--input-scale", "log", "--clip-gradient-norm", "0.5") == 0
    config = _config_of()
    assert (config.masking, config.clip_gradient_norm) == ("centred", 0.5)
    assert (config.encoder.name, config.encoder.input_scale) == ("mini-log", "log")
    assert model.load_encoder("runs/run/encoder.safetensors").config.input_scale == "log"


def test_the_presets_own_input_scale_keeps_the_presets_name(workplace, sharded_here):
    assert _train("--input-scale", "log1p") == 0
    assert _config_of().encoder == PRESETS["mini"]


def test_a_run_is_initialized_from_another_and_says_what_it_loaded(workplace, sharded_here, capsys):
    assert _train(name="first") == 0
    start = "runs/first/encoder.safetensors"
    assert _train("--init", start, "--projection-width", "9", name="second") == 0
    printed = capsys.readouterr().out
    assert f"initialized from {start} after 3 steps: encoder loaded, linear_head " in printed
    assert "(the checkpoint has none that fits)" in printed
    assert _config_of("second").init == hashlib.sha256(Path(start).read_bytes()).hexdigest()[:16]
    assert json.loads((workplace / "runs" / "second" / "config.json").read_text())["init"] == _config_of("second").init
    assert _train("--projection-width", "9", name="second") == 2
    assert "init: " in capsys.readouterr().err


def test_the_checkpoint_of_init_must_exist_and_fit(workplace, sharded_here, capsys):
    assert _train("--init", "none.safetensors") == 2
    message = capsys.readouterr().err
    assert "no checkpoint at none.safetensors, which is neither an existing path nor the name of" in message
    assert "give --init a path, or train a run" in message
    assert _train(name="first") == 0
    assert _train("--init", "runs/first/encoder.safetensors", "--input-scale", "power") == 2
    assert "input_scale: 'log1p' in the checkpoint, 'power' in this run" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["first", "runs/first"])
def test_init_accepts_the_name_or_the_folder_of_a_run(workplace, sharded_here, capsys, run):
    assert _train(name="first") == 0
    assert _train("--init", run, name="second") == 0
    assert "initialized from runs/first/encoder.safetensors after 3 steps" in capsys.readouterr().out
    encoders = model.load_encoder("runs/first"), model.load_encoder(Path("runs/first/encoder.safetensors"))
    assert all(torch.equal(*pair) for pair in zip(*(one.parameters() for one in encoders), strict=True))


def test_a_checkpoint_of_init_that_does_not_fit_leaves_no_folder(workplace, sharded_here):
    start = tiny.write_run(workplace / "runs" / "first", tiny.train_config("square"))
    assert _train("--init", str(start)) == 2
    assert [path.name for path in (workplace / "runs").iterdir()] == ["first"]


def test_a_store_may_be_called_by_its_name(workplace, sharded_here, capsys):
    options = ["--preset", "mini", "--batch", "4", "--steps", "1", "--projection-width", "8", "--name", "run"]
    assert command.main(["--store", "made", *options]) == 0
    assert _config_of().shards == MelStore.open(STORE).shards_digest()
    assert command.main(["--store", "none", *options]) == 2
    assert "no mel store at stores/none.zarr" in capsys.readouterr().err


def test_knn_validation_is_printed_before_the_first_step_and_logged(workplace, sharded_here, make_store, capsys):
    labeled = make_store([100] * 12, "stores/labeled.zarr", splits=["train", "valid", "train"] * 4)
    labeled.update([replace(row, labels={"genre": "ab"[row.index % 2]}) for row in labeled.rows])
    check = (
        "--check-store",
        "stores/labeled.zarr",
        "--check-task",
        "genre",
        "--check-every",
        "2",
        "--log-every",
        "99",
    )
    assert _train(*check) == 0
    printed = capsys.readouterr().out
    pattern = r"k-NN validation: genre of labeled: \d\.\d{3} before the first step, 0\.500 for the most frequent"
    assert re.search(pattern, printed)
    lines = metrics_log.read(workplace / "runs" / "run")
    assert [line["step"] for line in lines if "neighbours" in line] == [1, 2]
    assert (
        checkpoint.read_header(workplace / "runs" / "run" / "best.safetensors")["by"] == "neighbours: genre of labeled"
    )
    assert _train(name="other") == 0
    assert _config_of("other") == _config_of()


@pytest.mark.parametrize(("flag", "value"), [("--check-store", STORE), ("--check-task", "genre")])
def test_half_a_knn_validation_is_rejected(workplace, sharded_here, capsys, flag, value):
    assert _train(flag, value) == 2
    assert "needs both --check-store and --check-task" in capsys.readouterr().err


OTHER_LOGGING = {
    **{"--log-every": "3", "--checkpoint-every": "2", "--keep": "1", "--check-every": "2"},
    "--on-sigusr1": "save",
}


def _flags_of(*groups):
    return {"--" + one.name.replace("_", "-") for group in groups for one in fields(group)}


def test_logging_and_checkpointing_change_no_result(workplace, sharded_here):
    assert set(OTHER_LOGGING) == _flags_of(LoggingConfig)
    assert _train() == 0
    before = load_file("runs/run/encoder.safetensors")
    for flag, value in OTHER_LOGGING.items():
        assert _train(flag, value) == 0, flag  # finished already, not another run
        assert _train(flag, value, name="other") == 0
        after = load_file("runs/other/encoder.safetensors")
        assert all(torch.equal(before[key], after[key]) for key in before), flag
        shutil.rmtree("runs/other")


def test_every_setting_of_a_run_is_a_flag_or_read_from_the_store():
    flags = {flag.removeprefix("--").replace("-", "_") for flag in _flags_of(*RESULT_GROUPS)}
    resolved = {"encoder", "shards", "mel", "samples"}
    objective_numbers = {"temperature", "gamma", "gamma_decay_epochs", "rho", "temperature_learning_rate"}
    assert {field.name for field in fields(TrainConfig)} - resolved <= flags
    assert flags - {field.name for field in fields(TrainConfig)} == {
        *("preset", "input_scale", "window_frames"),
        *objective_numbers,
    }


def test_the_config_of_a_run_gives_the_same_run(workplace, sharded_here, capsys):
    words = (
        "--objective",
        "fastclip-v2",
        "--rho",
        "0.4",
        "--masking",
        "centered",
        "--input-scale",
        "log",
        "--seed",
        "3",
    )
    assert _train(*words, "--warmup-steps", "1", "--schedule", "cosine") == 0
    again = ["--store", STORE, "--config", "runs/run/config.json", "--name", "again"]
    assert command.main(again) == 0
    assert _config_of("again") == _config_of("run")
    assert command.main([*again[:-1], "longer", "--steps", "4"]) == 0
    assert _config_of("longer") == replace(_config_of("run"), steps=4)


def test_the_config_of_a_run_on_other_data_is_rejected(workplace, sharded_here, make_store, capsys):
    assert _train() == 0
    make_store(LENGTHS, "stores/other.zarr", seed=1)
    assert command.main(["--store", "other", "--config", "runs/run/config.json", "--name", "again"]) == 2
    message = capsys.readouterr().err
    assert "runs/run/config.json belongs to a run on other data or with another initialization" in message
    assert re.search(r"store: made there, other here\n  shards: \w+ there, \w+ here", message)
    assert _train("--init", "run", name="second") == 0
    assert command.main(["--store", STORE, "--config", "runs/second/config.json", "--name", "third"]) == 2
    assert re.search(r"init: \w+ there, none here", capsys.readouterr().err)
    assert [path.name for path in sorted((workplace / "runs").iterdir())] == ["run", "second"]


def test_a_config_with_an_unknown_key_is_rejected(workplace, sharded_here, capsys):
    assert _train() == 0
    path = workplace / "runs" / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "momentum": 0.9}))
    assert command.main(["--store", STORE, "--config", str(path), "--name", "again"]) == 2
    assert "momentum" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--masking-rati", "--momentum"])
def test_an_unknown_flag_is_an_error_even_if_it_is_the_beginning_of_one(word, capsys):
    with pytest.raises(SystemExit):
        command.main(["--store", STORE, word, "0.5"])
    assert f"Unrecognized options: {word}" in capsys.readouterr().err


@pytest.mark.slow
def test_torchrun_trains_what_one_process_trains_and_either_goes_on_where_the_other_stopped(workplace, sharded_here):
    flags = ["--store", STORE, "--preset", "tiny", "--batch", "4", "--steps", "4", "--checkpoint-every", "2"]
    flags += ["--objective", "isogclr", "--optimizer", "sgd", "--precision", "fp32", "--projection-width", "8"]
    assert command.main([*flags, "--name", "alone"]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "model.train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(command.__file__).parents[1])}
    done = REAL_RUN([*torchrun, *flags, "--name", "two"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished after 4 steps") == 1
    again = workplace / "runs" / "again"
    shutil.copytree(workplace / "runs" / "two", again)
    for name in (locations.ENCODER_FILE, "checkpoint-00000004.safetensors"):
        (again / name).unlink()
    assert command.main([*flags, "--name", "again"]) == 0
    alone, two, again = (
        load_file(workplace / "runs" / name / "checkpoint-00000004.safetensors") for name in ("alone", "two", "again")
    )
    assert alone["objective.log_u"].isfinite().any()
    for name, expected in alone.items():
        for other in (two, again):
            torch.testing.assert_close(other[name], expected, rtol=1e-3, atol=1e-5)


def test_a_second_training_of_a_run_is_told_who_trains_it_since_when(workplace, sharded_here, capsys):
    with write_lock(locations.run("run")):
        assert _train() == 2
    process = rf"run is being written by process {os.getpid()} on host \S+ since [\d-]+ [\d:]+ UTC; wait for it"
    assert re.search(process, capsys.readouterr().err)
    assert not locations.run("run").exists()
    assert _train() == 0
    assert [path.name for path in (workplace / "runs").iterdir()] == ["run"]


@pytest.mark.parametrize("objective", ["infonce", "isogclr"])
@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_run_with_a_larger_number_of_steps_goes_on_as_if_started_with_it(
    workplace, sharded_here, capsys, state, objective
):
    words = ("--objective", objective, "--log-every", "1", "--checkpoint-every", "2", "--clip-gradient-norm", "1")
    assert _train(*words, "--steps", "6", name="whole") == 0
    assert _train(*words, "--steps", "4") == 0
    if state == "stopped":
        (workplace / "runs" / "run" / locations.ENCODER_FILE).unlink()
    capsys.readouterr()
    assert _train(*words, "--steps", "6") == 0
    assert "runs/run: extended from 4 to 6 steps\n" in capsys.readouterr().out
    whole, run = (workplace / "runs" / name for name in ("whole", "run"))
    for name in ("config.json", locations.ENCODER_FILE, "checkpoint-00000006.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    steps = [row["step"] for row in metrics_log.read(run)]
    assert steps == [0, 1, 2, 3, 4, 5]


def test_the_cosine_of_gamma_keeps_its_length_when_a_run_is_extended(workplace, sharded_here):
    assert _train("--objective", "fastclip-v1", "--steps", "8") == 0
    assert _train("--objective", "fastclip-v1", "--steps", "12") == 0
    config = _config_of("run")
    assert (config.steps, config.objective.gamma_decay_epochs) == (12, 4)  # half of 8 epochs of one step
    assert _train("--objective", "fastclip-v1", "--steps", "12") == 0
    assert _train("--objective", "fastclip-v1", "--steps", "14", "--gamma-decay-epochs", "7") == 2


@pytest.mark.parametrize("state", ["finished", "encoder removed"])
def test_a_cosine_learning_rate_that_has_ended_is_not_extended(workplace, sharded_here, capsys, state):
    assert _train("--schedule", "cosine") == 0
    path = f"runs/run/{locations.ENCODER_FILE}"
    if state == "encoder removed":
        Path(path).unlink()
        path = "runs/run/checkpoint-00000003.safetensors"
    assert _train("--schedule", "cosine", "--steps", "5") == 2
    message = capsys.readouterr().err
    assert "runs/run cannot be extended from 3 to 5 steps, because its learning rate has followed its cosine" in message
    assert f"--init {path}" in message


def test_a_cosine_learning_rate_that_has_not_ended_is_extended_with_a_note(workplace, sharded_here, capsys):
    words = ("--schedule", "cosine", "--checkpoint-every", "1", "--keep", "9")
    assert _train(*words) == 0
    for name in (locations.ENCODER_FILE, "checkpoint-00000003.safetensors"):
        (workplace / "runs" / "run" / name).unlink()
    capsys.readouterr()
    assert _train(*words, "--steps", "4") == 0
    assert "from 3 to 4 steps; the learning rate follows a cosine of 4 steps from here on" in capsys.readouterr().out


def test_a_run_of_which_only_the_encoder_is_left_is_not_extended(workplace, sharded_here, capsys):
    assert _train() == 0
    (workplace / "runs" / "run" / "checkpoint-00000003.safetensors").unlink()
    assert _train("--steps", "5") == 2
    assert "only its finished encoder; choose another --name, or start from its weights" in capsys.readouterr().err
    assert (workplace / "runs" / "run" / locations.ENCODER_FILE).is_file()


def test_a_smaller_number_of_steps_is_refused(workplace, sharded_here, capsys):
    assert _train() == 0
    assert _train("--steps", "2") == 2
    assert re.search(r"--init runs/run/encoder\.safetensors:\nsteps: 3 before, 2 now", capsys.readouterr().err)


def test_a_config_file_that_contradicts_the_weights_is_refused(workplace, sharded_here, capsys):
    assert _train() == 0
    path = workplace / "runs" / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 7}))
    for words in ((), ("--steps", "5")):
        assert _train(*words) == 2
        message = capsys.readouterr().err
        assert "runs/run/config.json contradicts the settings in the header" in message
        assert "seed: 0 before, 7 now" in message


def _process(*words):
    """Start the training as a process of its own, in which SIGINT is ignored as in the background."""
    flags = ["--store", STORE, "--preset", "tiny", "--batch", "4", "--projection-width", "8", "--name", "run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(command.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, *words, "-m", "model.train", *flags, "--steps", "100000", "--checkpoint-every", "1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def _wait_for_checkpoint(process):
    deadline = time.monotonic() + 120
    while checkpoint.newest(locations.run("run")) is None and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_training_in_the_background_saves_and_exits_with_143_after_a_signal(workplace, sharded_here, number):
    shard.main([STORE])
    process = _process()
    _wait_for_checkpoint(process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    step = checkpoint.load(checkpoint.newest(locations.run("run"))).step
    assert f"stopped after step {step} of 100000, saved as " in errors


@pytest.mark.slow
def test_ranks_of_torchrun_save_and_leave_together_after_sigterm(workplace, sharded_here):
    shard.main([STORE])
    process = _process("-m", "torch.distributed.run", "--nproc-per-node", "2")
    _wait_for_checkpoint(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=90)
    step = checkpoint.load(checkpoint.newest(locations.run("run"))).step
    assert errors.count(f"stopped after step {step} of 100000, saved as ") == 2
    assert not lock_file(locations.run("run")).exists()


@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_a_run_with_other_settings_is_refused_by_their_names(workplace, sharded_here, capsys, state):
    assert _train() == 0
    if state == "unfinished":
        (workplace / "runs" / "run" / locations.ENCODER_FILE).unlink()
    assert _train("--temperature", "0.5") == 2
    assert "temperature: 0.1 before, 0.5 now" in capsys.readouterr().err


def test_without_a_name_the_run_is_named_for_store_and_preset(workplace, sharded_here):
    options = ["--preset", "mini", "--batch", "4", "--steps", "1", "--projection-width", "8"]
    assert command.main(["--store", STORE, *options]) == 0
    assert (workplace / "runs" / "made-mini" / locations.ENCODER_FILE).is_file()


def test_several_stores_are_one_collection(workplace, sharded_here, make_store, capsys):
    more = make_store([200, 50, 0, 99], "stores/more.zarr", seed=1)
    options = ["--preset", "mini", "--batch", "9", "--steps", "1", "--projection-width", "8"]
    assert command.main(["--store", STORE, "--store", str(more.path), *options]) == 0
    printed = capsys.readouterr().out
    assert "stores/made.shards: 7 clips; left out: 1 refused\n" in printed
    assert "more.shards: 2 clips; left out: 1 refused, 1 shorter than 96 frames\n" in printed
    assert "runs/made-more-mini: 1 step of 9 clips, 1 step per epoch" in printed
    config = checkpoint.load(workplace / "runs" / "made-more-mini" / locations.ENCODER_FILE).config
    assert config.samples == len(LENGTHS) + 4
    assert config.shards == digest({"stores": [MelStore.open(STORE).shards_digest(), more.shards_digest()]})
    assert json.loads((workplace / "runs" / "made-more-mini" / "config.json").read_text())["store"] == "made-more"
    assert command.main(["--store", str(more.path), "--store", STORE, *options, "--name", "made-more-mini"]) == 2
    assert "shards: " in capsys.readouterr().err


def test_stores_of_different_mel_are_not_mixed(workplace, sharded_here, make_store, capsys):
    other = make_store([200, 150], "stores/other.zarr", preprocessing={"decoder": "another"})
    assert command.main(["--store", STORE, "--store", str(other.path), "--preset", "mini", "--batch", "4"]) == 2
    assert "preprocessing.decoder: 'none' and 'another'" in capsys.readouterr().err
    assert not (workplace / "runs").exists()


def test_where_clips_stay_and_how_many_threads_there_are_changes_nothing(workplace, sharded_here):
    for resident, workers in (("ram", "0"), ("ram", "2"), ("none", "0"), ("none", "2")):
        name = f"{resident}-{workers}"
        assert _train("--resident", resident, "--workers", workers, "--max-frame-distance", "5", name=name) == 0
    first, *others = map(checkpoint.load, (workplace / "runs").glob("*/checkpoint-00000003.safetensors"))
    assert len(others) == 3
    assert first.config.max_frame_distance == 5
    for other in others:
        assert other.config == first.config
        assert all(torch.equal(other.tensors[name], tensor) for name, tensor in first.tensors.items())


def test_shards_of_a_store_that_has_changed_are_made_again_and_the_old_run_is_not_continued(
    workplace, sharded_here, make_store, capsys
):
    assert _train() == 0
    old = _stored_digest()
    shutil.rmtree(STORE)
    new = make_store(LENGTHS, STORE, seed=1)
    assert _train() == 2
    told = capsys.readouterr()
    assert (
        f"stores/made.shards: {STORE} has changed since these shards were made: the audio, the length or the"
        in told.out
    )
    assert f"shards: {old!r} before, {new.shards_digest()!r} now" in told.err
    assert _train(name="second") == 0
    assert _stored_digest() == new.shards_digest() != old
    assert sharded_here == [STORE, STORE]
    assert checkpoint.load(workplace / "runs" / "second" / locations.ENCODER_FILE).config.shards == new.shards_digest()


def test_clips_that_have_become_test_clips_are_not_trained_on(workplace, sharded_here, capsys):
    assert _train() == 0
    store = MelStore.open(STORE)
    store.update([replace(row, split="test") if row.index < 2 else row for row in store.rows])
    assert _train(name="second") == 0
    printed = capsys.readouterr().out
    assert "since these shards were made: 2 split test instead of 0; making them again" in printed
    assert "stores/made.shards: 5 clips; left out: 1 refused, 2 split test" in printed


def test_damaged_shards_are_made_again(workplace, sharded_here, capsys):
    assert _train() == 0
    tar = workplace / "stores" / "made.shards" / "made-000000.tar"
    good = tar.read_bytes()
    tar.write_bytes(good[:-512])
    assert _train(name="second") == 0
    assert "made-000000.tar has" in capsys.readouterr().out
    assert tar.read_bytes() == good


def test_a_store_that_cannot_become_shards_ends_the_command(workplace, sharded_here, make_store, capsys):
    shutil.rmtree(STORE)
    make_store([50, 60], STORE)
    assert _train() == 2
    told = capsys.readouterr().err
    assert "no clip of stores/made.zarr can be trained on" in told
    assert f"`python -m pipeline.shard {STORE}` failed with status 2" in told


def test_a_store_that_is_not_there_is_refused_before_anything_is_made(workplace, capsys):
    assert command.main(["--store", "stores/none.zarr"]) == 2
    assert "no mel store at stores/none.zarr" in capsys.readouterr().err
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("--batch", "8"), "7 clips can be trained on, but a batch holds 8: lower --batch to at most 7"),
        (("--batch", "-1"), "error: --batch must be at least 2 (got -1)"),
        (("--masking-ratio", "1"), "--masking-ratio must be at least 0 and less than 1 (got 1.0)"),
        (("--seed", "-1"), "--seed must be at least 0 and less than 9223372036854775808 (got -1)"),
        (("--max-frame-distance", "-1"), "--max-frame-distance must be at least 0 (got -1)"),
        (("--workers", "-1"), "--workers must be at least 0 (got -1)"),
        (("--resident", "gpu"), "--resident gpu needs a GPU, but PyTorch finds none; use --resident ram or"),
        (("--name", "a/b"), "name 'a/b' cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error_of_one_line(workplace, sharded_here, capsys, changed, told):
    assert _train(*changed) == 2
    assert told in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused_before_a_folder_is_made(workplace, sharded_here):
    assert _train("--resident", "gpu") == 2
    assert not (workplace / "runs").exists()


def test_ctrl_c_ends_the_command_with_130_and_the_same_command_goes_on(workplace, sharded_here, capsys, monkeypatch):
    real = train.WindowStream.batch

    def interrupted(stream, step):
        if step == 1:
            signal.raise_signal(signal.SIGINT)
        return real(stream, step)

    with monkeypatch.context() as patched:
        patched.setattr(train.WindowStream, "batch", interrupted)
        assert _train("--workers", "0") == 130
    kept = "runs/run/checkpoint-00000002.safetensors"
    message = capsys.readouterr().err
    assert f"stopped after step 2 of 3, saved as {kept}; finished work is kept, start the same command" in message
    assert (workplace / "runs" / "run" / "checkpoint-00000002.safetensors").is_file()
    assert _train() == 0


def test_the_choice_of_matrix_products_is_printed_and_part_of_the_json(workplace, sharded_here, monkeypatch, capsys):
    product = Product("linear", 40, 96, 32)
    choice = ProductChoice(product, "cublaslt", {"cublas": 1.0, "cublaslt": 0.5}, {"triton": "its result differs by 1"})
    monkeypatch.setattr(step, "_choose_products", lambda *_: (choice,))
    assert _train("--json") == 0
    printed = capsys.readouterr()
    assert "linear of 40 x 96 x 32: cublaslt (cublaslt 0.500 ms, cublas 1.000 ms, triton rejected" in printed.err
    (result,) = json.loads(printed.out)["products"]
    assert (result["implementation"], result["product"]["rows"]) == ("cublaslt", 40)
    assert _train("--json") == 0  # finished already
    assert "products" not in json.loads(capsys.readouterr().out)
