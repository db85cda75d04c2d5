"""One recording read in a process of its own: what crashes or hangs there is one refused row, and harms nothing else.

It costs half a second a recording, so it is for those alone among which one has ended a worker. Rows travel as a
manifest and codes as plain arrays, in a temporary folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ingestion import recording
from pipeline.ingestion.plan import Limits
from pipeline.ingestion.recording import DecodeSettings
from stores import manifest
from stores.commit import write_json
from stores.errors import DecodeError, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

GRACE_SECONDS = 30.0
"""Beyond a recording's own limit: for starting, reading from a container, mel and writing."""
LAST_WORDS_CHARACTERS = 2_048
_ROOT_GONE = 3


def read(reading: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[ClipRow, Codes | None]]:
    """What `recording.read` gives, made by a process of its own.

    Raises:
        MissingArtifact: the whole root is gone or empty.
        RuntimeError: the process failed for a reason that lies in no recording.
    """
    with tempfile.TemporaryDirectory(prefix="myna-") as name:
        folder = Path(name)
        manifest.write(folder / "clips.parquet", clips)
        write_json(folder / "reading.json", _to_json(reading))
        try:
            _run(folder, reading.limits.decode_seconds + GRACE_SECONDS)
        except DecodeError as refusal:
            return recording.refused(clips, refusal)
        rows = manifest.read(folder / "rows.parquet")
        return [(row, _codes(folder, row)) for row in rows]


def _run(folder: Path, limit_seconds: float) -> None:
    command = [sys.executable, "-c", "from pipeline import isolation; isolation.child()", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "words").open("wb+") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=environment, start_new_session=True
        )
        try:
            status = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise DecodeError("timeout", f"reading it took over {limit_seconds:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = (folder / "words").read_text("utf-8", "replace")[-LAST_WORDS_CHARACTERS:].strip()
    if status < 0:
        raise DecodeError("crashed", f"the decoder ended by {signal.Signals(-status).name}{said and f': {said}'}")
    if status == _ROOT_GONE:
        raise MissingArtifact(said)
    if status:
        raise RuntimeError(f"a process for one recording ended with status {status}: {said}")


def child() -> None:
    """The other side of `read`: the folder is the only argument."""
    folder = Path(sys.argv[1])
    reading = _from_json(json.loads((folder / "reading.json").read_text()))
    try:
        results = recording.read(reading, manifest.read(folder / "clips.parquet"))
    except MissingArtifact as error:
        print(error)
        sys.exit(_ROOT_GONE)
    for row, codes in results:
        if codes is not None:
            np.save(_file(folder, row), codes, allow_pickle=False)
    manifest.write(folder / "rows.parquet", [row for row, _ in results])


def _file(folder: Path, row: ClipRow) -> Path:
    return folder / f"{row.index}.npy"


def _codes(folder: Path, row: ClipRow) -> Codes | None:
    if row.state != "written":
        return None
    codes: Codes = np.load(_file(folder, row), allow_pickle=False)
    return codes


def _to_json(reading: DecodeSettings) -> dict[str, Any]:
    return {
        "root": str(reading.root),
        "spec": reading.spec.to_dict(),
        "quantizer": reading.quantizer.to_dict(),
        "limits": asdict(reading.limits),
        "keeps_silence": reading.keeps_silence,
    }


def _from_json(content: Mapping[str, Any]) -> DecodeSettings:
    return DecodeSettings(
        Path(content["root"]),
        MelSpec.from_dict(content["spec"]),
        Quantizer.from_dict(content["quantizer"]),
        Limits(**content["limits"]),
        content["keeps_silence"],
    )
