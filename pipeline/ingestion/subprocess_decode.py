"""Subprocess decoding: one recording is read in its own process, so that a crash or a hang rejects only its clips.

It costs half a second for each recording. Only the recordings of a region with which a worker has died are read in this
way. Rows travel as a manifest and codes as plain arrays, in a temporary folder.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import native_output
from pipeline.audio.remote import audio_path
from pipeline.ingestion import python_process, recording
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings, StoredCodes
from stores import manifest
from stores.commit import write_json
from stores.errors import DecodeError, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

GRACE_SECONDS = 30.0
"""Seconds beyond the limit of decoding, for starting, reading from a container, computing the mel and writing."""
_STATUS_ROOT_MISSING = 3
_CHILD_CODE = "from pipeline.ingestion import subprocess_decode; subprocess_decode.run_child()"


def read(settings: DecodeSettings, clips: Sequence[ClipRow]) -> list[tuple[ClipRow, StoredCodes | None]]:
    """Return the result of `recording.read`, computed in a new process.

    Raises:
        MissingArtifact: the root is gone or empty.
        RuntimeError: the process failed for a reason that does not lie in the recording.
    """
    with tempfile.TemporaryDirectory(prefix="myna-") as name:
        folder = Path(name)
        manifest.write(folder / "clips.parquet", clips)
        write_json(folder / "settings.json", _to_json(settings))
        try:
            limit_seconds = recording.limit_seconds(settings.limits, clips) + GRACE_SECONDS
            _require_success(*python_process.run(_CHILD_CODE, [name], limit_seconds, folder / "output"))
        except DecodeError as rejection:
            return recording.reject(clips, rejection)
        rows = manifest.read(folder / "rows.parquet")
        return [(row, _codes(folder, row)) for row in rows]


def _require_success(status: int, output: str) -> None:
    if status < 0:
        suffix = f": {output}" if output else ""
        raise DecodeError("crashed", f"the decoder was ended by {signal.Signals(-status).name}{suffix}")
    if status == _STATUS_ROOT_MISSING:
        raise MissingArtifact(output)
    if status:
        raise RuntimeError(f"the process that decodes one recording ended with status {status}: {output}")


def run_child() -> None:
    """Decode one recording in the new process. The only argument of its command line is the temporary folder."""
    native_output.disable()  # the parent reads standard error, also after a crash
    folder = Path(sys.argv[1])
    settings = _from_json(json.loads((folder / "settings.json").read_text()))
    try:
        results = recording.read(settings, manifest.read(folder / "clips.parquet"))
    except MissingArtifact as error:
        print(error)
        sys.exit(_STATUS_ROOT_MISSING)
    for row, codes in results:
        if codes is not None:
            np.save(_file(folder, row), codes, allow_pickle=False)
    manifest.write(folder / "rows.parquet", [row for row, _ in results])


def _file(folder: Path, row: ClipRow) -> Path:
    return folder / f"{row.index}.npy"


def _codes(folder: Path, row: ClipRow) -> Codes | None:
    if row.state != "written":
        return None
    codes: Codes = np.load(_file(folder, row), mmap_mode="r", allow_pickle=False)  # a long clip stays on disk
    return codes


def _to_json(settings: DecodeSettings) -> dict[str, Any]:
    return {
        "root": str(settings.root),
        "spec": settings.spec.to_dict(),
        "quantizer": settings.quantizer.to_dict(),
        "limits": asdict(settings.limits),
        "keeps_silence": settings.keeps_silence,
        "resampler": settings.resampler,
        "cut_slack_seconds": settings.cut_slack_seconds,
    }


def _from_json(content: Mapping[str, Any]) -> DecodeSettings:
    return DecodeSettings(
        audio_path(content["root"]),
        MelSpec.from_dict(content["spec"]),
        Quantizer.from_dict(content["quantizer"]),
        Limits(**content["limits"]),
        content["keeps_silence"],
        content["resampler"],
        content["cut_slack_seconds"],
    )
