"""The commands of docs/walkthrough.md run in their order, and leave the files that the page names."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import synthetic_songs

PAGE = (Path(__file__).parents[2] / "docs" / "walkthrough.md").read_text()
SECTIONS = re.split(r"^## \d+\. ", PAGE, flags=re.MULTILINE)[1:]


def _write_music(folder):
    """Write the recordings and the table that the page begins with, and return the lines of the table."""
    splits = ["train" if song < 24 else "valid" if song < 32 else "test" for song in range(40)]
    return synthetic_songs.write_labels(folder / "labels.csv", synthetic_songs.write(folder / "music"), splits)


def test_each_section_has_one_command():
    assert len(SECTIONS) == 10
    assert [len(re.findall(r"^    python -m ", section, re.MULTILINE)) for section in SECTIONS] == [1] * 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_leave_the_files_that_the_page_names(tmp_path):
    lines = _write_music(tmp_path)
    example = re.search(r"```\n(path,.*?)```", PAGE, re.DOTALL).group(1).splitlines()
    assert set(example) <= set(lines)
    for section in SECTIONS:
        command = re.search(r"^    python (-m .*)$", section, re.MULTILINE).group(1)
        done = subprocess.run(
            [sys.executable, *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        listed = re.findall(r"`([\w./-]+)`", " ".join(re.findall(r"^- (.*?):", section, re.MULTILINE)))
        assert [path for path in listed if not (tmp_path / path).exists()] == []
    predicted = {row["id"]: row["prediction"] for row in pq.read_table(tmp_path / "moods.parquet").to_pylist()}
    assert predicted["album-9/38.wav"] == "calm"
