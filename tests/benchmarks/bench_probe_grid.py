"""The 216 probes of the full grid at GTZAN's size (443 x 768 -> 10) against a sequential loop over them.

An interval consists of eight steps and an evaluation on the validation clips, which is all that the protocol repeats.
Each batched trainer of the grid runs INTERVALS of them, on as many threads as PyTorch has, as the grid search does. The
loop runs LOOP_INTERVALS of them for each probe, with modules, autograd and torch.optim.Adam on tensors in memory that
were standardized once.

Times are per interval of all probes, and both sides are timed in turn. They are printed for the linear half, for the
half with a hidden layer and for the whole grid. No probe stops early in so few intervals, so the time saved by early
stopping is not measured. Pass `cuda` as the argument to time a GPU.
"""

import json
import pathlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from model.encoder.device import fastest_precision
from model.probes.config import EVALUATE_EVERY_STEPS, FULL
from model.probes.training import grid_search, losses
from model.probes.training.batched_trainer import BatchedTrainer
from model.probes.training.inputs import TaskTensors
from pipeline.cluster.machine import processor_name

TRAIN, VALID, WIDTH, CLASSES = 443, 197, 768, 10
INTERVALS, LOOP_INTERVALS, REPEATS = 3, 1, 3


def clips(device: torch.device) -> tuple[TaskTensors, torch.Tensor, torch.Tensor]:
    """Return random features that depend weakly on the class, and the classes of the training and validation clips."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(CLASSES, WIDTH, generator=generator) / 5
    classes = torch.randint(0, CLASSES, (TRAIN + VALID,), generator=generator)
    features = (centers[classes] + torch.randn(len(classes), WIDTH, generator=generator)).to(device)
    train, valid = classes[:TRAIN].to(device), classes[TRAIN:].to(device)
    score = losses.ClassScore(torch.eye(CLASSES, device=device)[valid], None)
    one_hot = nn.functional.one_hot(train, CLASSES).float()
    tensors = TaskTensors(features[:TRAIN], one_hot, features[TRAIN:], losses.class_gradient, score)
    return tensors, train, valid


class Loop:
    """One probe in plain PyTorch."""

    def __init__(self, config, tensors: TaskTensors, train, valid) -> None:
        mean, deviation = tensors.scaler
        scaled = [(x - mean) / deviation if config.standardised else x for x in (tensors.train, tensors.valid)]
        (self.features, self.valid), self.targets, self.truth, self.config = scaled, train, valid, config
        dropout, hidden = nn.Dropout(config.dropout), config.hidden
        first = [nn.Linear(WIDTH, hidden), nn.ReLU(), dropout] if hidden else []
        self.probe = nn.Sequential(dropout, *first, nn.Linear(hidden or WIDTH, CLASSES)).to(train.device)
        self.adam = torch.optim.Adam(self.probe.parameters(), lr=config.learning_rate, weight_decay=config.l2)

    def run_interval(self) -> float:
        """Run eight steps and return the validation accuracy."""
        self.probe.train()
        for _ in range(EVALUATE_EVERY_STEPS):
            chosen = torch.randperm(TRAIN, device=self.targets.device)[: self.config.batch]
            self.adam.zero_grad()
            nn.functional.cross_entropy(self.probe(self.features[chosen]), self.targets[chosen]).backward()
            self.adam.step()
        self.probe.eval()
        with torch.no_grad():
            return float((self.probe(self.valid).argmax(1) == self.truth).float().mean())


def seconds_of_trainers(trainers: list[BatchedTrainer], threads: int) -> float:
    """Return the seconds of one interval of all probes with batched trainers."""

    def work(trainer: BatchedTrainer) -> None:
        for _ in range(INTERVALS):
            trainer.evaluate()
            trainer.train_interval()

    start = time.perf_counter()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, trainers))
    return (time.perf_counter() - start) / INTERVALS


def seconds_of_loops(loops: list[Loop]) -> float:
    """Return the seconds of one interval of all probes in the loop."""
    start = time.perf_counter()
    for loop in loops:
        for _ in range(LOOP_INTERVALS):
            loop.run_interval()
    return (time.perf_counter() - start) / LOOP_INTERVALS


def main() -> None:
    """Print the times and ratios, and a line of JSON."""
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    tensors, train, valid = clips(device)
    precision = torch.bfloat16 if fastest_precision() == "bf16" else torch.float32
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    seconds = {}
    for half, hidden in (("linear", 0), ("hidden", 512)):
        configs = [config for config in FULL.configs if config.hidden == hidden]
        trainers = [BatchedTrainer(part, tensors, FULL, precision) for part in grid_search.partition(configs, device)]
        loops = [Loop(config, tensors, train, valid) for config in configs]
        seconds_of_trainers(trainers, threads), seconds_of_loops(loops)  # warm up
        torch.set_num_threads(threads)  # the threads of the trainers have set it only for themselves
        seconds[half] = [(seconds_of_trainers(trainers, threads), seconds_of_loops(loops)) for _ in range(REPEATS)]
    whole = [tuple(map(sum, zip(*pair, strict=True))) for pair in zip(*seconds.values(), strict=True)]
    rows = {}
    for half, times in {**seconds, "whole": whole}.items():
        ratios = sorted(slow / fast for fast, slow in times)
        rows[half] = {
            "ours_ms": round(1e3 * statistics.median(fast for fast, _ in times), 1),
            "baseline_ms": round(1e3 * statistics.median(slow for _, slow in times), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
        print(f"{half:8}{rows[half]['ours_ms']:>10} ms per interval against {rows[half]['baseline_ms']:>10} ms, "
              f"{rows[half]['ratio']} times as fast")  # fmt: skip
    settings = {"machine": processor_name(), "threads": threads}
    print(json.dumps({"benchmark": f"the 216 probes at GTZAN's size, {device}, {precision}", **settings, "rows": rows}))


if __name__ == "__main__":
    main()
