"""All commands follow one rule for the encoder that they use if none is named, and never ask."""

from __future__ import annotations

import importlib
import json

import pytest
import tiny

from model import extract, shipped
from stores import locations

COMMANDS = [
    ("model.extract", ["made"], "--checkpoint"),
    ("model.probe", ["made", "--task", "genre"], "--checkpoint"),
    ("model.export", ["onnx"], "--checkpoint"),
    ("model.export", ["hub", "--out", "folder"], "--checkpoint"),
    ("dags.embed", ["music", "--out", "out.npz"], "--checkpoint"),
    ("dags.benchmark", ["gtzan"], "--checkpoint"),
    ("model.compare", [], "--run"),
    ("model.report", [], "--run"),
]


@pytest.fixture
def workplace(tmp_path, monkeypatch, make_store):
    """A folder with a store, and a folder of audio without files."""
    monkeypatch.chdir(tmp_path)
    for name in ("stores", "music"):
        (tmp_path / name).mkdir()
    make_store([100, 100], "stores/made.zarr")
    return tmp_path


@pytest.mark.parametrize(("command", "arguments", "option"), COMMANDS)
def test_several_finished_runs_end_every_command_with_status_2_and_a_list(
    workplace, capsys, command, arguments, option
):
    for name in ("second", "first"):
        tiny.write_run(workplace / "runs" / name)
    assert importlib.import_module(command).main(arguments) == 2
    message = f"error: 2 runs are finished, so {option} must name one of them: first, second\n"
    assert capsys.readouterr().err.endswith(message)


@pytest.mark.parametrize("command", ["model.compare", "model.report"])
def test_no_finished_run_ends_commands_that_show_runs_with_status_2(workplace, capsys, command):
    assert importlib.import_module(command).main([]) == 2
    advice = "train one with `python -m model.train --store STORE`, or state --run"
    assert capsys.readouterr().err.endswith(f"error: no finished run under runs/; {advice}\n")


def test_without_a_finished_run_the_encoder_that_ships_is_used_and_named(workplace, capsys):
    assert extract.main(["made"]) == 0
    assert f"({shipped.NAME}, which ships with this package)" in capsys.readouterr().out
    assert locations.feature_store("made", shipped.NAME).exists()


@pytest.mark.parametrize("command", ["model.compare", "model.report"])
def test_a_config_file_that_contradicts_the_weights_is_refused(workplace, capsys, command):
    config = tiny.train_config()
    tiny.write_run(locations.run("first"), config)
    path = locations.run("first") / "config.json"
    for values, message in (
        ({"learning_rate": 0.5}, "learning_rate: 0.001 before, 0.5 now"),
        ({"steps": 9}, "steps: 8 before, 9 now"),
        ({"seed": "x"}, "runs/first/config.json has settings that this version cannot use"),
    ):
        path.write_text(json.dumps({**config.to_dict(), "store": "made", **values}))
        assert importlib.import_module(command).main([]) == 2
        assert message in capsys.readouterr().err
    path.write_text(json.dumps({**config.to_dict(), "store": "made"}))
    importlib.import_module(command).main([])
    assert "config.json" not in capsys.readouterr().err
