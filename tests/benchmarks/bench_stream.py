"""Shards -> batches of two windows a clip, page cache warm: ours against stock webdataset and PyTorch's DataLoader.

The baseline has one float32 clip a sample, as .npy in tars: decode, to_tuple, cut two windows, collate; without its
shuffle buffer, which would cost it more. It runs in the loader's process and with two workers that stay, their start
not counted; the faster of the two in each round is compared. Ours is shuffled over all clips, which is what it is for.
"""

import json
import platform
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
from model.training.on_disk import ClipsOnDisk
from model.training.prefetch import Prefetch
from model.training.resident import ResidentClips
from model.training.sources import TrainingShards
from model.training.stream import ClipSource, WindowStream
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer
from stores.shards import Record, ShardSet, write_shard

CLIPS, FRAMES, WINDOW, BATCH, ROUNDS = 2_048, 313, 96, 256, 5
A_RECORD, A_TAR = 50, 512  # clips of 10 s
CPU, TABLE = torch.device("cpu"), torch.tensor(Quantizer().table())
Made = Callable[[torch.Tensor], torch.Tensor] | None


def write_ours(folder: Path, codes: np.ndarray) -> TrainingShards:
    records = [
        Record(clips.reshape(-1, 128), first + np.arange(len(clips)), np.full(len(clips), FRAMES))
        for first, clips in zip(
            range(0, CLIPS, A_RECORD), np.split(codes, range(A_RECORD, CLIPS, A_RECORD)), strict=True
        )
    ]
    facts = [write_shard(folder / f"ours-{n:06d}.tar", records[n : n + 11]) for n in range(0, len(records), 11)]
    return TrainingShards((ShardSet(folder, tuple(facts), {}, "bench", CLIPS, MelSpec(), Quantizer(), {}),))


def write_theirs(folder: Path, codes: np.ndarray) -> list[str]:
    paths = []
    for first in range(0, CLIPS, A_TAR):
        paths.append(str(folder / f"theirs-{first:06d}.tar"))
        with tarfile.open(paths[-1], "w") as tar:
            for clip in range(first, min(CLIPS, first + A_TAR)):
                buffer = BytesIO()
                np.save(buffer, Quantizer().decode(codes[clip]).T.copy())
                member = tarfile.TarInfo(f"{clip:06d}.npy")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
    return paths


def crop(sample: tuple[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    (mel,) = sample
    first, second = np.random.randint(0, mel.shape[1] - WINDOW + 1, 2)
    return mel[:, first : first + WINDOW], mel[:, second : second + WINDOW]


def stock(paths: list[str], workers: int) -> Callable[[], int]:
    dataset = webdataset.WebDataset(paths, shardshuffle=False).decode().to_tuple("npy").map(crop)
    loader = DataLoader(dataset, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)

    def epoch() -> int:
        return sum(len(first) for first, _ in loader)

    return epoch


def batches(clips: ClipSource, workers: int, epochs: int) -> Iterator[torch.Tensor]:
    """Windows `[2 * BATCH, 96, 128]` of all batches."""
    stream = WindowStream(clips, BATCH, WINDOW, seed=0)
    steps = epochs * stream.sampler.steps_per_epoch
    ahead = Prefetch(stream, CPU, WINDOW, workers, steps)
    for step in range(steps):
        yield ahead.batch(step).windows(WINDOW)
    ahead.close()


def as_float(windows: torch.Tensor) -> torch.Tensor:
    return dequantize(windows, TABLE)


def visible_as_float(windows: torch.Tensor) -> torch.Tensor:
    """What the encoder reads of windows that are masked by 90 %: 5 of 48 patches."""
    visible = torch.rand(len(windows), 48).topk(5).indices
    return dequantize(gather_patches_frame_major(windows, visible, (16, 16)), TABLE)


def ours(
    clips: Callable[[], ClipSource], *, epochs: int = 20, made: Made = None, workers: int = 2
) -> Callable[[], int]:
    def run() -> int:
        return sum(len(made(one) if made else one) // 2 for one in batches(clips(), workers, epochs))

    return run


def timed(call: Callable[[], int]) -> tuple[float, float]:
    """Clips a second, and microseconds of this process's CPU a clip, which others at work disturb less."""
    wall, cpu = time.perf_counter(), time.process_time()
    clips = call()
    return clips / (time.perf_counter() - wall), 1e6 * (time.process_time() - cpu) / clips


def main() -> None:
    torch.set_num_threads(1)  # the threads that make batches are two
    with tempfile.TemporaryDirectory() as name:
        codes = np.random.default_rng(0).integers(0, 256, (CLIPS, FRAMES, 128), dtype=np.uint8)
        sources, paths = write_ours(Path(name), codes), write_theirs(Path(name), codes)
        resident, on_disk = ResidentClips.load(sources), ClipsOnDisk.open(sources)
        stocks = {"stock, 0 workers": stock(paths, 0), "stock, 2 workers": stock(paths, 2)}
        variants = {
            "ram": ours(lambda: resident),
            "ram, as float32": ours(lambda: resident, epochs=5, made=as_float),
            "ram, visible patches as float32": ours(lambda: resident, epochs=5, made=visible_as_float),
            "ram, first epoch, loading counted": ours(lambda: ResidentClips.load(sources), epochs=1),
            "none": ours(lambda: on_disk, epochs=5),
            "none, 0 workers": ours(lambda: on_disk, epochs=5, workers=0),
            "none, as float32": ours(lambda: on_disk, epochs=5, made=as_float),
            "none, first epoch, walking counted": ours(lambda: ClipsOnDisk.open(sources), epochs=1),
        }
        calls = {**stocks, **variants}
        for call in calls.values():
            assert call() % CLIPS == 0  # warm up: page cache, workers
        rounds = [{name: timed(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    report(rounds, list(stocks), list(variants))


def report(rounds: list[dict[str, tuple[float, float]]], stocks: list[str], variants: list[str]) -> None:
    rows = {}
    for name in (*stocks, *variants):
        ratios = sorted(one[name][0] / max(one[stock][0] for stock in stocks) for one in rounds)
        rows[name] = {
            "clips_per_second": round(statistics.median(one[name][0] for one in rounds)),
            "cpu_us_per_clip": round(statistics.median(one[name][1] for one in rounds), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        speed, cpu, ratio = (rows[name][key] for key in ("clips_per_second", "cpu_us_per_clip", "ratio"))
        print(f"{name}: {speed} clips/s, {ratio} times the faster stock; {cpu} us of this process a clip")
    machine = f"{platform.machine()} {platform.processor() or platform.system()}"
    facts = {"clips": CLIPS, "frames": FRAMES, "batch": BATCH, "rounds": ROUNDS, "machine": machine}
    print(json.dumps({"benchmark": "stream", **facts, "rows": rows}))


if __name__ == "__main__":
    main()
