"""Batches of two windows per clip from shards in a warm page cache: ours against webdataset and PyTorch's DataLoader.

The baseline stores one float32 clip per sample as .npy in tars. It decodes, cuts two windows and collates. It uses no
shuffle buffer, which would make it slower. It runs without workers and with two persistent workers, whose start is not
counted, and the faster of the two in each round is compared. Our batches are shuffled over all clips.
"""

import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import webdataset
from torch.utils.data import DataLoader

from model.encoder.patches import dequantize, gather_patches_frame_major
from model.training.batch_prefetch import Prefetch
from model.training.on_disk import ClipsOnDisk
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from model.training.stream import ClipSource, WindowStream
from pipeline.cluster.machine import processor_name
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer
from stores.shards import Record, ShardSet, write_shard

CLIPS, FRAMES, WINDOW, BATCH, ROUNDS = 2_048, 313, 96, 256, 5
CLIPS_PER_RECORD, CLIPS_PER_TAR = 50, 512  # clips of 10 s
CPU, TABLE = torch.device("cpu"), torch.tensor(Quantizer().table())
Transform = Callable[[torch.Tensor], torch.Tensor] | None


def write_ours(folder: Path, codes: np.ndarray) -> TrainingShards:
    """Write the clips as our shards."""
    records = [
        Record(clips.reshape(-1, 128), first + np.arange(len(clips)), np.full(len(clips), FRAMES))
        for first, clips in zip(
            range(0, CLIPS, CLIPS_PER_RECORD),
            np.split(codes, range(CLIPS_PER_RECORD, CLIPS, CLIPS_PER_RECORD)),
            strict=True,
        )
    ]
    summaries = [write_shard(folder / f"ours-{n:06d}.tar", records[n : n + 11]) for n in range(0, len(records), 11)]
    return TrainingShards((ShardSet(folder, tuple(summaries), {}, "bench", CLIPS, MelSpec(), Quantizer(), {}),))


def write_theirs(folder: Path, codes: np.ndarray) -> list[str]:
    """Write the clips as tars of .npy files, and return their paths."""
    paths = []
    for first in range(0, CLIPS, CLIPS_PER_TAR):
        paths.append(str(folder / f"theirs-{first:06d}.tar"))
        with tarfile.open(paths[-1], "w") as tar:
            for clip in range(first, min(CLIPS, first + CLIPS_PER_TAR)):
                buffer = BytesIO()
                np.save(buffer, Quantizer().decode(codes[clip]).T.copy())
                member = tarfile.TarInfo(f"{clip:06d}.npy")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
    return paths


def crop(sample: tuple[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return two random windows of a clip."""
    (mel,) = sample
    first, second = np.random.randint(0, mel.shape[1] - WINDOW + 1, 2)
    return mel[:, first : first + WINDOW], mel[:, second : second + WINDOW]


def stock(paths: list[str], workers: int) -> Callable[[], int]:
    """Return a function that loads an epoch with webdataset and a DataLoader, and returns its number of clips."""
    dataset = webdataset.WebDataset(paths, shardshuffle=False).decode().to_tuple("npy").map(crop)
    loader = DataLoader(dataset, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)

    def epoch() -> int:
        return sum(len(first) for first, _ in loader)

    return epoch


def batches(clips: ClipSource, workers: int, epochs: int) -> Iterator[torch.Tensor]:
    """Yield the windows `[2 * BATCH, 96, 128]` of each batch."""
    stream = WindowStream(clips, BATCH, WINDOW, seed=0)
    steps = epochs * stream.sampler.steps_per_epoch
    prefetch = Prefetch(stream, CPU, WINDOW, workers, steps)
    for step in range(steps):
        yield prefetch.batch(step).windows(WINDOW)
    prefetch.close()


def as_float(windows: torch.Tensor) -> torch.Tensor:
    """Return the mel power of windows of codes."""
    return dequantize(windows, TABLE)


def visible_as_float(windows: torch.Tensor) -> torch.Tensor:
    """Return the mel power of the visible patches at a masking ratio of 90 %, which are 5 of 48."""
    visible = torch.rand(len(windows), 48).topk(5).indices
    return dequantize(gather_patches_frame_major(windows, visible, (16, 16)), TABLE)


def ours(
    clips: Callable[[], ClipSource], *, epochs: int = 20, transform: Transform = None, workers: int = 2
) -> Callable[[], int]:
    """Return a function that loads `epochs` epochs with our stream, and returns their number of clips."""

    def run() -> int:
        return sum(
            len(transform(windows) if transform else windows) // 2 for windows in batches(clips(), workers, epochs)
        )

    return run


def timed(call: Callable[[], int]) -> tuple[float, float]:
    """Return the clips per second, and the microseconds of CPU time per clip, which other processes disturb less."""
    wall, cpu = time.perf_counter(), time.process_time()
    clips = call()
    return clips / (time.perf_counter() - wall), 1e6 * (time.process_time() - cpu) / clips


def main() -> None:
    """Time all variants in turn, and print a table and a line of JSON."""
    torch.set_num_threads(1)  # batches are made in two threads
    with tempfile.TemporaryDirectory() as name:
        codes = np.random.default_rng(0).integers(0, 256, (CLIPS, FRAMES, 128), dtype=np.uint8)
        sources, paths = write_ours(Path(name), codes), write_theirs(Path(name), codes)
        resident, on_disk = ResidentClips.load(sources), ClipsOnDisk.open(sources)
        stocks = {"stock, 0 workers": stock(paths, 0), "stock, 2 workers": stock(paths, 2)}
        variants = {
            "ram": ours(lambda: resident),
            "ram, as float32": ours(lambda: resident, epochs=5, transform=as_float),
            "ram, visible patches as float32": ours(lambda: resident, epochs=5, transform=visible_as_float),
            "ram, first epoch, loading counted": ours(lambda: ResidentClips.load(sources), epochs=1),
            "none": ours(lambda: on_disk, epochs=5),
            "none, 0 workers": ours(lambda: on_disk, epochs=5, workers=0),
            "none, as float32": ours(lambda: on_disk, epochs=5, transform=as_float),
            "none, first epoch, walking counted": ours(lambda: ClipsOnDisk.open(sources), epochs=1),
        }
        calls = {**stocks, **variants}
        for call in calls.values():
            assert call() % CLIPS == 0  # warm up the page cache and the workers
        rounds = [{name: timed(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    report(rounds, list(stocks), list(variants))


def report(rounds: list[dict[str, tuple[float, float]]], stocks: list[str], variants: list[str]) -> None:
    """Print the medians of all rounds and the ratios to the faster stock loader."""
    rows = {}
    for name in (*stocks, *variants):
        ratios = sorted(times[name][0] / max(times[stock][0] for stock in stocks) for times in rounds)
        rows[name] = {
            "clips_per_second": round(statistics.median(times[name][0] for times in rounds)),
            "cpu_us_per_clip": round(statistics.median(times[name][1] for times in rounds), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        speed, cpu, ratio = (rows[name][key] for key in ("clips_per_second", "cpu_us_per_clip", "ratio"))
        print(f"{name}: {speed} clips/s, {ratio} times the faster stock loader, {cpu} us of CPU time per clip")
    machine = processor_name()
    settings = {"clips": CLIPS, "frames": FRAMES, "batch": BATCH, "rounds": ROUNDS, "machine": machine}
    print(json.dumps({"benchmark": "stream", **settings, "rows": rows}))


if __name__ == "__main__":
    main()
