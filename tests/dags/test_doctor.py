"""`myna doctor` states what a report of a fault needs, and what is missing for which command."""

from __future__ import annotations

import importlib.metadata
import json

import pytest
import tiny

from dags import doctor, entry_point
from dags.workflows import doctor as checks
from pipeline import ingest


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder, in which the disk use of stores and runs is counted."""
    monkeypatch.chdir(tmp_path)
    for name in ("STORES", "RUNS"):
        monkeypatch.setattr(checks.locations, name, tmp_path / name.lower())
    return tmp_path


def test_versions_devices_decoders_and_disk_are_printed(capsys):
    assert doctor.main([]) == 0
    text = capsys.readouterr().out
    for part in ("versions:", "machine:", "decoders:", "disk:", "encoder:", "missing:"):
        assert f"{part}" in text.splitlines()[0] or f"\n{part}" in text
    assert f"  myna: {importlib.metadata.version('myna')}" in text
    assert "ffmpeg: ffmpeg " in text


def test_json_is_one_object_with_the_same_parts(capsys):
    assert doctor.main(["--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        *("versions", "machine", "decoders", "disk", "encoder", "missing")
    }


def test_a_module_that_is_missing_is_named_with_the_command_that_needs_it(monkeypatch):
    found = checks.importlib.util.find_spec
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None if name == "usearch" else found(name))
    missing = checks.report()["missing"]
    remedy = "usearch not installed; pip install 'myna[search]'"
    assert missing["an index for model.search above 200,000 clips"] == remedy


def test_files_of_stores_count_and_code_does_not(workplace):
    (workplace / "stores" / "a.zarr").mkdir(parents=True)
    (workplace / "stores" / "a.zarr" / "chunk").write_bytes(bytes(3_000_000))
    (workplace / "stores" / "code.py").write_bytes(bytes(9_000_000))
    assert checks.report()["disk"][str(workplace / "stores")] == "3.0 MB"


def test_the_run_that_commands_use_is_named(workplace):
    tiny.write_run(workplace / "runs" / "first")
    assert checks.report()["encoder"] == {"finished run": "first"}


def test_every_command_and_the_program_state_the_version(capsys):
    version = importlib.metadata.version("myna")
    assert entry_point.main(["--version"]) == 0
    with pytest.raises(SystemExit) as ended:
        ingest.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"myna {version}\npipeline.ingest of myna {version}\n"
