"""With `--json`, standard output has one JSON object and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import small_collection
import synthetic_audio
import tiny

from model import extract, models
from pipeline import ingest, verify
from stores.command_line import CommandSettings, run_command
from stores.json_output import print_json


@dataclass(frozen=True, kw_only=True)
class Settings(CommandSettings):
    """Settings of a command."""

    json: bool = False
    """Print JSON."""


def _body(settings):
    print("a note")
    if settings.json:
        print_json({"name": "ä", "value": 1.5})
    print("another note")


def test_text_goes_to_standard_error_and_json_to_standard_output(capsys):
    assert run_command(Settings, ["--json"], "x", _body) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == {"name": "ä", "value": 1.5}
    assert output.err == "a note\nanother note\n"


def test_without_the_option_text_goes_to_standard_output(capsys):
    assert run_command(Settings, [], "x", _body) == 0
    assert capsys.readouterr().out == "a note\nanother note\n"


def test_a_command_within_a_command_prints_to_the_same_place(capsys):
    def outer(settings):
        run_command(Settings, ["--json"], "y", _body)

    run_command(Settings, ["--json"], "x", outer)
    assert json.loads(capsys.readouterr().out)["name"] == "ä"


def test_numbers_that_json_does_not_have_are_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"x": float("nan")})


def test_commands_that_print_numbers_print_one_object(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    synthetic_audio.write(tmp_path / "music" / "a.wav", small_collection.song(1))
    tiny.write_run(tmp_path / "runs" / "first")
    threads = ["--scheduler", "threads", "--workers", "1", "--json"]

    def values(command, *words):
        assert command.main([*words]) == 0
        return json.loads(capsys.readouterr().out)

    store = tmp_path / "stores" / "mine.zarr"
    assert values(ingest, "folder", "--root", "music", "--store", str(store), *threads)["written"] == 1
    assert values(extract, "mine", "--json")["clips"] == 1
    assert values(verify, str(store), *threads)["findings"] == {str(store): 0}
    assert values(models, "--json")["models"]
