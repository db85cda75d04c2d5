"""With `--json`, standard output has one JSON object and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import small_collection
import synthetic_audio
import tiny

from dags import embed, explore
from dags.command_table import COMMANDS
from dags.workflow import Step, print_graph, run
from model import export, extract, metrics, models, train
from pipeline import ingest, preview, shard, verify
from stores.command_line import CommandSettings, run_command
from stores.json_output import collect, print_json


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


def test_every_command_that_prints_numbers_has_the_option():
    without = [name for name, command in COMMANDS.items() if not hasattr(command.settings_class(), "json")]
    assert without == ["serve"]


def test_objects_of_steps_are_collected_and_not_printed(capsys):
    with collect() as objects:
        assert run_command(Settings, ["--json"], "x", _body) == 0
    assert objects == [{"name": "ä", "value": 1.5}]
    assert capsys.readouterr().out == ""


def test_a_workflow_has_the_objects_of_its_steps(capsys):
    words = []

    def command(arguments):
        words.append(arguments)
        return run_command(Settings, arguments, "y", _body)

    chain = [Step("a", command, ()), Step("b", lambda _: 0, (), ("a",))]
    results = run(chain, as_json=True)
    assert (results["a"]["result"]["value"], set(results["b"]), words) == (1.5, {"seconds"}, [("--json",)])
    assert "result" not in run(chain)["a"]
    capsys.readouterr()
    print_graph(chain, as_json=True)
    assert "a --> b" in json.loads(capsys.readouterr().out)["mermaid"]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abcd"):
        synthetic_audio.write(tmp_path / "music" / f"{name}.wav", synthetic_audio.chords(4, seed=number))
    tiny.write_run(tmp_path / "runs" / "first")
    return tmp_path


THREADS = ["--scheduler", "threads", "--workers", "1"]


@pytest.mark.slow
def test_commands_from_audio_to_metrics_print_one_object(workplace, capfd):
    def values(command, *words):
        assert command.main(["--json", *words]) == 0
        return json.loads(capfd.readouterr().out)

    assert values(ingest, "folder", "--root", "music", "--store", "stores/mine.zarr", *THREADS)["written"] == 4
    assert values(preview, "mine", "--clips", "2")["of"] == 4
    training = ["--store", "mine", "--name", "second", "--preset", "tiny", "--batch", "2"]
    trained = values(train, *training, "--steps", "2")
    assert (trained["run"], trained["steps"], trained["new_steps"], trained["metrics"]["step"]) == ("second", 2, 2, 1)
    assert values(train, *training, "--steps", "2")["new_steps"] == 0
    assert values(shard, "mine")["clips"] == 4
    assert values(shard, "mine", "--format", "stock")["clips"] == 4
    assert values(metrics, "second", "--to", "csv")["metrics"][0]["lines"] == 2
    assert values(export, "hub", "--checkpoint", "first", "--out", "hub")["files"]


@pytest.mark.slow
def test_workflows_print_one_object(workplace, capfd):
    def values(command, *words):
        assert command.main(["--json", *words]) == 0
        return json.loads(capfd.readouterr().out)

    embedded = values(embed, "music", "--checkpoint", "first", "--out", "x.parquet", "--workers", "1")
    assert (embedded["files"], embedded["rejected"], set(embedded["steps"])) == (4, 0, {"ingest", "extract"})
    assert embedded["steps"]["ingest"]["result"]["written"] == 4
    page = values(explore, "music", "--checkpoint", "first", "--workers", "1", "--audio", "0")
    assert page["page"].endswith("music.html")
    assert page["steps"]["report"]["result"]["page"] == page["page"]
    assert "-->" in values(explore, "music", "--checkpoint", "first", "--draw")["mermaid"]
