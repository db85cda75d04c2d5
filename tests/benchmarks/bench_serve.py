"""Times of answers of `dags.serve` at 1, 4 and 16 clients, and its memory over many requests.

    python tests/benchmarks/bench_serve.py                    # about 2 minutes on two cores
    python tests/benchmarks/bench_serve.py --requests 10000   # and the memory over as many requests

The encoder is the one that ships. An upload is a stereo MP3 of 30 s at 44.1 kHz. The collection has 1,000 clips.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]

import service_load  # noqa: E402
import synthetic_audio  # noqa: E402
from small_stores import store_maker  # noqa: E402

from model import extract, shipped  # noqa: E402

CLIENTS = (1, 4, 16)
CLIPS = 1_000


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=96, help="uploads at each number of clients")
    parser.add_argument("--tracks", type=int, default=1_000, help="similar tracks at each number of clients")
    parser.add_argument("--requests", type=int, default=0, help="requests over which memory is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder)
        words = ["--embeddings", "made", "--quiet"]
        with service_load.serving(folder, words) as (process, port, _):
            upload = ("POST", "/api/analyze", (folder / "song.mp3").read_bytes())
            tracks = [("GET", f"/api/similar_tracks?item_id=clip-{i % CLIPS}", None) for i in range(arguments.tracks)]
            service_load.load(port, 2, [upload] * 8)
            result = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
            for clients in CLIENTS:
                result[f"upload, {clients} clients"] = _times(port, clients, [upload] * arguments.uploads)
                result[f"similar tracks, {clients} clients"] = _times(port, clients, tracks)
            if arguments.requests:
                short = ("POST", "/api/analyze?n=3", (folder / "short.mp3").read_bytes())
                result["memory"] = _memory(process, port, arguments.requests, [short, *tracks[:4]])
    print(json.dumps(result))


def _prepare(folder: Path) -> None:
    os.chdir(folder)
    (folder / "stores").mkdir()
    store_maker(folder)([96] * CLIPS, "stores/made.zarr")
    assert extract.main(["made", "--checkpoint", shipped.NAME, "--quiet"]) == 0
    for name, seconds in (("song.mp3", 30), ("short.mp3", 5)):
        sound = synthetic_audio.chords(seconds, 44_100)
        synthetic_audio.write(folder / name, np.stack([sound, sound], axis=1), 44_100)


def _times(port: int, clients: int, requests: list) -> dict[str, float]:
    seconds, statuses = service_load.load(port, clients, requests)
    assert set(statuses) == {200}, set(statuses)
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50_ms": round(1000 * p50, 1), "p99_ms": round(1000 * p99, 1)}


def _memory(process, port: int, count: int, pattern: list) -> list[dict[str, float]]:
    """Return the memory in MB after every tenth of `count` requests, a fifth of which are uploads of 5 s."""
    rows, part = [], count // 10
    for done in range(0, count, part):
        _, statuses = service_load.load(port, 4, [pattern[i % len(pattern)] for i in range(part)])
        assert set(statuses) == {200}, set(statuses)
        rows.append({"requests": done + part, "megabytes": round(service_load.resident_bytes(process) / 1e6, 1)})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    main()
