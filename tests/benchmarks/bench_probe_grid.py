"""The 216 probes of the full grid at GTZAN's size (443 x 768 -> 10) against a clean loop over them, round by round.

A round is eight steps and one look at the validation score, which is all that the protocol repeats. Every stack of the
grid takes ROUNDS of them, on as many threads as PyTorch has, as the search does; the loop takes ROUNDS_OF_LOOP of them
for every probe: modules, autograd and torch.optim.Adam on tensors that are in memory, standardised once. Times of both
are per round of all probes, taken in turn; the linear half, the half with a hidden layer and the whole. Nobody stops
early in so few rounds, so what leaving probes save does not show. Give `cuda` as the argument to time a GPU.
"""

import json
import pathlib
import platform
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

TRAIN, VALID, WIDTH, CLASSES = 443, 197, 768, 10
ROUNDS, ROUNDS_OF_LOOP, REPEATS = 3, 1, 3


def clips(device: torch.device) -> tuple[TaskTensors, torch.Tensor, torch.Tensor]:
    """Random features with a little to learn; the clips, and the class of each training and validation clip."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(CLASSES, WIDTH, generator=generator) / 5
    classes = torch.randint(0, CLASSES, (TRAIN + VALID,), generator=generator)
    features = (centers[classes] + torch.randn(len(classes), WIDTH, generator=generator)).to(device)
    train, valid = classes[:TRAIN].to(device), classes[TRAIN:].to(device)
    score = losses.ClassScore(torch.eye(CLASSES, device=device)[valid], None)
    one_hot = nn.functional.one_hot(train, CLASSES).float()
    made = TaskTensors(features[:TRAIN], one_hot, features[TRAIN:], losses.class_gradient, score)
    return made, train, valid


class Loop:
    """One probe as one would write it."""

    def __init__(self, config, made: TaskTensors, train, valid) -> None:
        mean, deviation = made.scaler
        scaled = [(one - mean) / deviation if config.standardised else one for one in (made.train, made.valid)]
        (self.features, self.valid), self.targets, self.truth, self.config = scaled, train, valid, config
        dropout, hidden = nn.Dropout(config.dropout), config.hidden
        first = [nn.Linear(WIDTH, hidden), nn.ReLU(), dropout] if hidden else []
        self.probe = nn.Sequential(dropout, *first, nn.Linear(hidden or WIDTH, CLASSES)).to(train.device)
        self.adam = torch.optim.Adam(self.probe.parameters(), lr=config.learning_rate, weight_decay=config.l2)

    def take_round(self) -> float:
        """Eight steps and a look."""
        self.probe.train()
        for _ in range(EVALUATE_EVERY_STEPS):
            chosen = torch.randperm(TRAIN, device=self.targets.device)[: self.config.batch]
            self.adam.zero_grad()
            nn.functional.cross_entropy(self.probe(self.features[chosen]), self.targets[chosen]).backward()
            self.adam.step()
        self.probe.eval()
        with torch.no_grad():
            return float((self.probe(self.valid).argmax(1) == self.truth).float().mean())


def seconds_of_stacks(stacks: list[BatchedTrainer], threads: int) -> float:
    """Seconds of one round of every probe."""

    def work(stack: BatchedTrainer) -> None:
        for _ in range(ROUNDS):
            stack.evaluate()
            stack.train_interval()

    start = time.perf_counter()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, stacks))
    return (time.perf_counter() - start) / ROUNDS


def seconds_of_loops(loops: list[Loop]) -> float:
    """The same of the loop."""
    start = time.perf_counter()
    for loop in loops:
        for _ in range(ROUNDS_OF_LOOP):
            loop.take_round()
    return (time.perf_counter() - start) / ROUNDS_OF_LOOP


def main() -> None:
    """Print the times, and the ratios as JSON."""
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    made, train, valid = clips(device)
    precision = torch.bfloat16 if fastest_precision() == "bf16" else torch.float32
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    seconds = {}
    for half, wanted in (("linear", 0), ("hidden", 512)):
        configs = [one for one in FULL.configs if one.hidden == wanted]
        stacks = [BatchedTrainer(one, made, FULL, precision) for one in grid_search.partition(configs, device)]
        loops = [Loop(config, made, train, valid) for config in configs]
        seconds_of_stacks(stacks, threads), seconds_of_loops(loops)  # warm up
        torch.set_num_threads(threads)  # what the stacks' threads set holds for no other
        seconds[half] = [(seconds_of_stacks(stacks, threads), seconds_of_loops(loops)) for _ in range(REPEATS)]
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
        print(f"{half:8}{rows[half]['ours_ms']:>10} ms a round against {rows[half]['baseline_ms']:>10} ms, "
              f"{rows[half]['ratio']} times as fast")  # fmt: skip
    facts = {"machine": f"{platform.machine()} {platform.processor() or platform.system()}", "threads": threads}
    print(json.dumps({"benchmark": f"the 216 probes at GTZAN's size, {device}, {precision}", **facts, "rows": rows}))


if __name__ == "__main__":
    main()
