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

from stores.commit import write_bytes
from stores.errors import CorruptArtifact, MissingArtifact

NAME = "metrics.jsonl"


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
    try:
        rows = [json.loads(line) for line in _complete_lines(path)]
    except ValueError as error:
        raise CorruptArtifact(f"{path} has a line that is not JSON: {error}; remove that line") from error
    if invalid := [row for row in rows if not isinstance(row, dict) or "step" not in row]:
        raise CorruptArtifact(
            f"{path} has the line {str(invalid[0])[:80]!r}, which is not a line of metrics; remove that line"
        )
    return rows


def truncate(folder: Path, step: int) -> None:
    """Remove the lines of `step` and later steps, which will be repeated, and a last line that is incomplete."""
    path = folder / NAME
    if not path.is_file():
        return
    content = "".join(line for line in _complete_lines(path) if json.loads(line)["step"] < step).encode()
    if len(content) < path.stat().st_size:
        write_bytes(path, content)


def _complete_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
