"""metrics.jsonl: a JSON object per line, added while a run trains; read by reports, best.safetensors and TensorBoard.

Every line has `step`, counted from 0, and `loss`; what else stands there depends on objective, settings and checks.
`unix_seconds`, `data_wait_share` and `windows_per_second` tell of the machine, the rest of the run.
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
    """Add a line for `row`.

    Raises:
        OSError: from the file system; the line may be cut off, which `forget` mends.
    """
    with (folder / NAME).open("a") as file:
        file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """Every whole line, in order; one that is being written or was cut off by a kill is left out.

    Raises:
        MissingArtifact: nothing was measured there.
        CorruptArtifact: a line is not what `append` wrote.
    """
    path = folder / NAME
    if not path.is_file():
        raise MissingArtifact(
            f"no metrics at {path}; train a run with `python -m model.train --store STORE --name NAME`"
        )
    try:
        rows = [json.loads(line) for line in _whole_lines(path)]
    except ValueError as error:
        raise CorruptArtifact(f"{path} holds a line that is no JSON: {error}; take it out") from error
    if wrong := [row for row in rows if not isinstance(row, dict) or "step" not in row]:
        raise CorruptArtifact(f"{path} holds {str(wrong[0])[:80]!r}, which is no line of metrics; take it out")
    return rows


def truncate(folder: Path, step: int) -> None:
    """Drop the lines of `step` and later ones, which will be done again, and one that was cut off."""
    path = folder / NAME
    if not path.is_file():
        return
    kept = "".join(line for line in _whole_lines(path) if json.loads(line)["step"] < step).encode()
    if len(kept) < path.stat().st_size:
        write_bytes(path, kept)


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
