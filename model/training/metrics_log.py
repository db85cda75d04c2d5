"""metrics.jsonl: one JSON object per line, appended while a run trains; reports, metric exports and sweeps read it.

Every line has `step`, counted from 0, and `loss`. The other keys depend on the objective, the settings and the k-NN
validation. `unix_seconds`, `data_wait_share` and `windows_per_second` describe the machine. All other keys describe the
run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stores.commit import read_bounded, write_bytes
from stores.errors import CorruptArtifact, MissingArtifact
from stores.json_codec import parse_json

NAME = "metrics.jsonl"
MAX_BYTES = 1 << 30
"""Largest file that is read. A line has about 400 bytes."""


def append(folder: Path, row: Mapping[str, Any]) -> None:
    """Append a line for `row`.

    Raises:
        OSError: from the file system. The line may then be incomplete, which `truncate` repairs.
    """
    with (folder / NAME).open("a") as file:
        file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Return all complete lines in order, without a last line that is incomplete.

    Raises:
        MissingArtifact: there is no metrics log in `folder`.
        CorruptArtifact: a line is not one that `append` wrote.
    """
    path = folder / NAME
    if not path.is_file():
        raise MissingArtifact(
            f"no metrics at {path}; train a run with `python -m model.train --store STORE --name NAME`"
        )
    return [_parse(line, path) for line in _complete_lines(path)]


def truncate(folder: Path, step: int) -> None:
    """Remove the lines of `step` and later steps, which will be repeated, and a last line that is incomplete.

    Raises:
        CorruptArtifact: a line is not one that `append` wrote.
    """
    path = folder / NAME
    if not path.is_file():
        return
    content = "".join(line for line in _complete_lines(path) if _parse(line, path)["step"] < step).encode()
    if len(content) < path.stat().st_size:
        write_bytes(path, content)


def _parse(line: str, path: Path) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise CorruptArtifact(f"{path} has a line that is not JSON: {error}; remove that line") from error
    if not isinstance(row, dict) or type(row.get("step")) is not int or not _is_number(row.get("loss")):
        raise CorruptArtifact(f"{path} has the line {line[:80]!r}, which is not a line of metrics; remove that line")
    return row


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _complete_lines(path: Path) -> list[str]:
    try:
        text = read_bounded(path, MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise CorruptArtifact(f"{path} is not text: {error}; remove it") from error
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
