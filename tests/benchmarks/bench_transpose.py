"""Processor time of eleven transposed copies of a clip, against that of decoding and encoding the clip itself.

A worker decodes a recording once for all transpositions. The cost of a copy is what the copies add, divided by eleven.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import bench_ingest

from pipeline.audio.remote import audio_path
from pipeline.cluster.machine import processor_name
from pipeline.datasets import transposition
from pipeline.ingestion import recording
from pipeline.ingestion.config import Limits
from pipeline.ingestion.recording import DecodeSettings
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer

SECONDS, CLIPS, ROUNDS, MAX_FRAMES = 30, 3, 4, 2_000
COPIES = transposition.steps(12)


def write_clips(root: Path, recordings: Path | None) -> None:
    """Write clips of 30 s in each format, cut from real recordings if there are any, or else synthesized."""
    bench_ingest.SECONDS = SECONDS
    paths = [path for path in sorted(recordings.rglob("*.ogg")) if bench_ingest.is_usable(path)] if recordings else []
    for number in range(CLIPS):
        samples = bench_ingest.excerpt(paths[number], 3) if paths else bench_ingest.synthesize(number)
        for suffix, (kind, subtype) in bench_ingest.FORMATS.items():
            soundfile.write(root / f"{number}.{suffix}", samples, bench_ingest.RATE_HZ, format=kind, subtype=subtype)


def processor_seconds(settings: DecodeSettings, name: str, transpositions: tuple[int, ...]) -> float:
    """Return the least processor time of reading all transpositions of one file."""
    row = ClipRow(0, name, name, "", "", {}, bound_frames=MAX_FRAMES)
    rows = [replace(row, index=index, semitones=step) for index, step in enumerate(transpositions)]
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        results = recording.read(settings, rows)
        seconds.append(time.process_time() - start)
        assert all(codes is not None for _, codes in results)
    return min(seconds)


def main() -> None:
    """Measure every format, and print one line of JSON."""
    recordings = os.environ.get("MYNA_TEST_RECORDINGS")
    result = {"benchmark": "transposed copies, 30 s", "processor": processor_name()}
    with tempfile.TemporaryDirectory() as folder_name:
        write_clips(Path(folder_name), Path(recordings) if recordings else None)
        settings = DecodeSettings(audio_path(folder_name), MelSpec(), Quantizer(), Limits())
        for suffix in bench_ingest.FORMATS:
            names = [f"{number}.{suffix}" for number in range(CLIPS)]
            plain = sum(processor_seconds(settings, name, (0,)) for name in names)
            every = sum(processor_seconds(settings, name, (0, *COPIES)) for name in names)
            copy = (every - plain) / len(COPIES)
            result[suffix] = {
                "plain_ms": round(1e3 * plain / CLIPS, 1),
                "copy_ms": round(1e3 * copy / CLIPS, 1),
                "ratio": round(copy / plain, 2),
            }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
