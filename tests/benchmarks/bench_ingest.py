"""Stage one on 10 s clips of MP3, OGG and FLAC: ours against a baseline with one ffmpeg and one nnAudio call per file.

The baseline writes one .npy file per clip. Both sides use two warm worker processes. The benchmark also compares two
workers with one, accounts for every millisecond of the workers, measures decoding, the mel and writing alone, and
counts the bytes of an hour of audio.
"""

import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import ffmpeg
import imageio_ffmpeg
import numpy as np
import soundfile
import torch
from nnAudio.features.mel import MelSpectrogram

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import ingest_phases
import synthetic_audio

from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from pipeline.cluster.client import connect
from pipeline.cluster.machine import processor_name, usable_cpus
from pipeline.datasets import folder
from pipeline.ingestion.build import Build
from pipeline.ingestion.progress import IngestProgress
from stores.chunk_grid import ChunkGrid, Region
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

CLIPS, ROUNDS, RATE_HZ, SECONDS = 720, 3, 44_100, 10
CLIPS_PER_REGION = 104
FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "flac": ("FLAC", "PCM_16")}
_nnaudio: MelSpectrogram | None = None


def write_clips(root: Path, recordings: Path | None) -> None:
    """Write a third of the clips in each format, cut from real recordings if there are any, or else synthesized."""
    paths = [path for path in sorted(recordings.rglob("*.ogg")) if is_usable(path)] if recordings else []
    for number in range(CLIPS):
        samples = excerpt(paths[number % len(paths)], number) if paths else synthesize(number)
        suffix = list(FORMATS)[number % 3]
        kind, subtype = FORMATS[suffix]
        soundfile.write(root / f"{number:04d}.{suffix}", samples, RATE_HZ, format=kind, subtype=subtype)


def is_usable(path: Path) -> bool:
    """Return whether a recording has the sample rate and at least the length of a clip."""
    header = soundfile.info(path)
    return header.samplerate == RATE_HZ and header.frames >= SECONDS * RATE_HZ


def excerpt(path: Path, number: int) -> np.ndarray:
    """Return 10 s of a recording, at one of seven places that depends on `number`."""
    with soundfile.SoundFile(path) as file:
        length = min(file.frames, SECONDS * RATE_HZ)
        file.seek((file.frames - length) * (number % 7) // 7)
        return file.read(length)


def synthesize(number: int) -> np.ndarray:
    """Return 10 s of chords and noise, `[T, 2]`."""
    left, right = (
        synthetic_audio.chords(SECONDS, RATE_HZ, number),
        synthetic_audio.noise(SECONDS, RATE_HZ, number, amplitude=0.02),
    )
    return np.stack([left + right, left - right], axis=1).clip(-1, 1)


def run_baseline(paths: tuple[Path, Path]) -> None:
    """Decode one file with ffmpeg, compute its mel with nnAudio, and save it as .npy."""
    global _nnaudio
    if _nnaudio is None:
        torch.set_num_threads(1)
        _nnaudio = MelSpectrogram(sr=16_000, verbose=False)
    source, target = paths
    stream = ffmpeg.input(str(source)).output("pipe:", format="f32le", ac=1, ar=16_000).global_args("-v", "error")
    content, _ = stream.run(cmd=imageio_ffmpeg.get_ffmpeg_exe(), capture_stdout=True, capture_stderr=True)
    with torch.inference_mode():
        mel = _nnaudio(torch.from_numpy(np.frombuffer(content, np.float32).copy())[None])
    np.save(target, mel[0].numpy())


def seconds_of(call) -> float:
    """Return the wall-clock seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ingest(root: Path, store: Path, client) -> None:
    """Ingest the folder `root` into a new store."""
    build = Build("folder", root, store)
    build.run(build.create_or_update(build.plan_manifest(folder.tracks(root).tracks, client)), client, IngestProgress())


def measure_pipeline(root: Path, work: Path) -> dict:
    """Return the median times of ours and the baseline, timed in turn, and the speedup from one worker to two."""
    files = sorted(root.iterdir())
    pairs = [(file, work / f"{file.name}.npy") for file in files]
    ours, theirs, one_worker = [], [], []
    with connect("processes", 2) as client, multiprocessing.get_context("spawn").Pool(2) as pool:
        ingest(root, work / "warm.zarr", client)
        pool.map(run_baseline, pairs[:12])
        for number in range(ROUNDS):
            ours.append(seconds_of(lambda n=number: ingest(root, work / f"{n}.zarr", client)))
            theirs.append(seconds_of(lambda: pool.map(run_baseline, pairs, chunksize=4)))
        accounts = account(root, work, client)
    with connect("processes", 1) as client:
        ingest(root, work / "warm1.zarr", client)
        one_worker = [
            seconds_of(lambda n=number: ingest(root, work / f"one-{n}.zarr", client)) for number in range(ROUNDS)
        ]
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    return {
        "ours_ms_per_clip": round(1e3 * sorted(ours)[ROUNDS // 2] / CLIPS, 2),
        "baseline_ms_per_clip": round(1e3 * sorted(theirs)[ROUNDS // 2] / CLIPS, 2),
        "ratio": round(ratios[ROUNDS // 2], 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "accounts": accounts,
        "two_workers_against_one": round(sorted(one_worker)[ROUNDS // 2] / sorted(ours)[ROUNDS // 2], 2),
    }


def account(root: Path, work: Path, client) -> dict:
    """Return where the time of one ingest goes, in milliseconds per clip and core. The parts add up to the whole."""
    workers = len(client.nthreads())
    client.run(ingest_phases.install)
    before = client.run(ingest_phases.seconds)
    build = Build("folder", root, work / "account.zarr")
    marks = [time.perf_counter()]
    rows = build.plan_manifest(folder.tracks(root).tracks, client)
    marks.append(time.perf_counter())
    store = build.create_or_update(rows)
    marks.append(time.perf_counter())
    rounds = []
    run_round = Build._run_round
    with mock.patch.object(
        Build, "_run_round", lambda *arguments: rounds.append(seconds_of(lambda: run_round(*arguments)))
    ):
        build.run(store, client, IngestProgress())
    marks.append(time.perf_counter())
    planning, creating, running = (workers * (stop - start) for start, stop in itertools.pairwise(marks))
    wall, processor = (_difference(client.run(ingest_phases.seconds), before, kind) for kind in (0, 1))
    tasks = sum(wall.values())
    parts = {
        "inspecting headers and planning": planning,
        "creating the store": creating,
        **dict(wall.most_common()),
        "workers without a task": workers * sum(rounds) - tasks,
        "merging the manifest": running - workers * sum(rounds),
    }
    result = {name: round(1e3 * value / CLIPS, 3) for name, value in parts.items()}
    processor_parts = {name: round(1e3 * processor[name] / CLIPS, 3) for name in result if name in processor}
    return {
        "ms_per_clip_and_core": result,
        "sum_of_parts": round(sum(result.values()), 2),
        "whole": round(1e3 * workers * (marks[-1] - marks[0]) / CLIPS, 2),
        "processor_ms_of_tasks": processor_parts,
        "waiting_in_tasks": round(1e3 * (tasks - sum(processor.values())) / CLIPS, 3),
    }


def _difference(after: dict, before: dict, kind: int) -> Counter:
    """Return the seconds by phase, summed over all workers: wall clock (kind 0) or processor (kind 1)."""
    total: Counter = Counter()
    for worker, values in after.items():
        total.update(values[kind])
        total.subtract(before[worker][kind])
    return total


def measure_stages(root: Path, work: Path) -> dict:
    """Return milliseconds per clip and core of decoding each format, of the mel and of writing, and MB per hour."""
    store, spec, quantizer = MelStore.open(work / "0.zarr"), MelSpec(), Quantizer()
    seconds = {}
    for suffix in FORMATS:
        files = sorted(root.glob(f"*.{suffix}"))[:40]
        seconds[f"decode_{suffix}_ms"] = (
            min(seconds_of(lambda f=files: [decode(x, 16_000) for x in f]) for _ in range(3)) / 40
        )
    samples = [decode(file, 16_000).samples for file in sorted(root.iterdir())[:40]]
    codes = [quantizer.encode(mel_power(x, spec)) for x in samples]
    mel = min(seconds_of(lambda: [quantizer.encode(mel_power(x, spec)) for x in samples]) for _ in range(3)) / 40
    region = Region(0, ChunkGrid().zarr_shard_frames, ())
    packed = np.concatenate((codes * 3)[:CLIPS_PER_REGION], axis=1)
    writer = MelStore.open_without_manifest(work / "0.zarr")
    write = min(seconds_of(lambda: writer.write_region(region, packed)) for _ in range(3)) / CLIPS_PER_REGION
    hours = spec.seconds_for(sum(row.frames for row in store.rows)) / 3600
    size = sum(file.stat().st_size for file in (work / "1.zarr").rglob("*") if file.is_file())
    seconds |= {"mel_and_quantize_ms": mel, "write_ms": write, "all_but_decoding_ms": mel + write}
    return {name: round(1e3 * value, 2) for name, value in seconds.items()} | {
        "mb_per_hour": round(size / 1e6 / hours, 2)
    }


def main() -> None:
    """Run all measurements, and print a summary and a line of JSON."""
    recordings = os.environ.get("MYNA_TEST_RECORDINGS")
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        (work / "audio").mkdir()
        write_clips(work / "audio", Path(recordings) if recordings else None)
        row = {"benchmark": f"ingest, {CLIPS} clips of 10 s, {'recordings' if recordings else 'synthetic'}"}
        row |= {"processor": processor_name(), "cores": usable_cpus()}
        row |= measure_pipeline(work / "audio", work) | measure_stages(work / "audio", work)
    accounts = row["accounts"]
    print(f"{row['processor']}, {row['cores']} cores; milliseconds per clip and core, of {accounts['whole']} in all,")
    print("and those of them that a processor works on a task:")
    for name, milliseconds in accounts["ms_per_clip_and_core"].items():
        print(f"  {milliseconds:7.3f}  {accounts['processor_ms_of_tasks'].get(name, ''):7}  {name}")
    print(f"ingest: {row['ratio']} times as fast as the baseline, {row['mb_per_hour']} MB per hour of audio")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
