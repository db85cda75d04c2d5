"""Stage one on 10 s clips of MP3, OGG and FLAC: ours against one ffmpeg and one nnAudio call and one .npy per file.

Both get the same two processes, already started and warm. Also: two workers against one, what is not decoding, bytes.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np
import soundfile
import torch
from nnAudio.features.mel import MelSpectrogram

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import synthetic_audio

from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power
from pipeline.cluster.client import connect
from pipeline.datasets import folder
from pipeline.ingestion.build import Build
from pipeline.ingestion.progress import IngestProgress
from stores.chunk_grid import ChunkGrid, Region
from stores.mel_spec import MelSpec
from stores.mel_store import MelStore
from stores.quantize import Quantizer

CLIPS, ROUNDS, RATE_HZ, SECONDS = 720, 3, 44_100, 10
CLIPS_OF_A_REGION = 104
FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "flac": ("FLAC", "PCM_16")}
_nnaudio: MelSpectrogram | None = None


def write_clips(root: Path, recordings: Path | None) -> None:
    """A third of the clips in each format: cut from real recordings if there are some, else chords and noise."""
    found = [path for path in sorted(recordings.rglob("*.ogg")) if is_long(path)] if recordings else []
    for number in range(CLIPS):
        samples = excerpt(found[number % len(found)], number) if found else made(number)
        suffix = list(FORMATS)[number % 3]
        kind, subtype = FORMATS[suffix]
        soundfile.write(root / f"{number:04d}.{suffix}", samples, RATE_HZ, format=kind, subtype=subtype)


def is_long(path: Path) -> bool:
    facts = soundfile.info(path)
    return facts.samplerate == RATE_HZ and facts.frames >= SECONDS * RATE_HZ


def excerpt(path: Path, number: int) -> np.ndarray:
    with soundfile.SoundFile(path) as file:
        length = min(file.frames, SECONDS * RATE_HZ)
        file.seek((file.frames - length) * (number % 7) // 7)
        return file.read(length)


def made(number: int) -> np.ndarray:
    left, right = (
        synthetic_audio.chords(SECONDS, RATE_HZ, number),
        synthetic_audio.noise(SECONDS, RATE_HZ, number, amplitude=0.02),
    )
    return np.stack([left + right, left - right], axis=1).clip(-1, 1)


def baseline_one(paths: tuple[Path, Path]) -> None:
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
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ingest(root: Path, store: Path, client) -> None:
    building = Build("folder", root, store)
    building.run(
        building.create_or_update(building.plan_manifest(folder.tracks(root).tracks, client)), client, IngestProgress()
    )


def measure_pipeline(root: Path, work: Path) -> dict:
    """Median seconds of ours and of the baseline, run in turn, and of ours with one worker."""
    files = sorted(root.iterdir())
    pairs = [(file, work / f"{file.name}.npy") for file in files]
    ours, theirs, alone = [], [], []
    with connect("processes", 2) as two, multiprocessing.get_context("spawn").Pool(2) as pool:
        ingest(root, work / "warm.zarr", two)
        pool.map(baseline_one, pairs[:12])
        for number in range(ROUNDS):
            ours.append(seconds_of(lambda n=number: ingest(root, work / f"{n}.zarr", two)))
            theirs.append(seconds_of(lambda: pool.map(baseline_one, pairs, chunksize=4)))
    with connect("processes", 1) as one:
        ingest(root, work / "warm1.zarr", one)
        alone = [seconds_of(lambda n=number: ingest(root, work / f"one-{n}.zarr", one)) for number in range(ROUNDS)]
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    return {
        "ours_ms_per_clip": round(1e3 * sorted(ours)[ROUNDS // 2] / CLIPS, 2),
        "baseline_ms_per_clip": round(1e3 * sorted(theirs)[ROUNDS // 2] / CLIPS, 2),
        "ratio": round(ratios[ROUNDS // 2], 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "two_workers_against_one": round(sorted(alone)[ROUNDS // 2] / sorted(ours)[ROUNDS // 2], 2),
    }


def measure_parts(root: Path, work: Path) -> dict:
    """Milliseconds per clip and core: decoding by format, mel and quantizing, writing; bytes of an hour."""
    store, spec, quantizer = MelStore.open(work / "0.zarr"), MelSpec(), Quantizer()
    found = {}
    for suffix in FORMATS:
        files = sorted(root.glob(f"*.{suffix}"))[:40]
        found[f"decode_{suffix}_ms"] = (
            min(seconds_of(lambda f=files: [decode(x, 16_000) for x in f]) for _ in range(3)) / 40
        )
    samples = [decode(file, 16_000).samples for file in sorted(root.iterdir())[:40]]
    codes = [quantizer.encode(mel_power(x, spec)) for x in samples]
    mel = min(seconds_of(lambda: [quantizer.encode(mel_power(x, spec)) for x in samples]) for _ in range(3)) / 40
    region = Region(0, ChunkGrid().zarr_shard_frames, ())
    packed = np.concatenate((codes * 3)[:CLIPS_OF_A_REGION], axis=1)
    writer = MelStore.open_without_manifest(work / "0.zarr")
    write = min(seconds_of(lambda: writer.write_region(region, packed)) for _ in range(3)) / CLIPS_OF_A_REGION
    hours = spec.seconds_for(sum(row.frames for row in store.rows)) / 3600
    size = sum(file.stat().st_size for file in (work / "1.zarr").rglob("*") if file.is_file())
    found |= {"mel_and_quantize_ms": mel, "write_ms": write, "all_but_decoding_ms": mel + write}
    return {name: round(1e3 * value, 2) for name, value in found.items()} | {
        "mb_per_hour": round(size / 1e6 / hours, 2)
    }


def main() -> None:
    recordings = os.environ.get("MYNA_TEST_RECORDINGS")
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        (work / "audio").mkdir()
        write_clips(work / "audio", Path(recordings) if recordings else None)
        row = {"benchmark": f"ingest, {CLIPS} clips of 10 s, {'recordings' if recordings else 'synthetic'}"}
        row |= measure_pipeline(work / "audio", work) | measure_parts(work / "audio", work)
    print(f"ingest: {row['ratio']} times the baseline, {row['mb_per_hour']} MB an hour")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
