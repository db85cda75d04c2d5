"""Costs of each objective: the time of a step, the bytes of state per clip, and the bytes that a rank sends.

OpenCLIP's gather with gradients is included for comparison. Bytes are counted below the code that sends them, with 2
and 4 ranks joined by gloo. They are projected to 64 ranks by the formula that the counts confirm: (ranks - 1) times the
rank's own rows. All numbers are for one kind of patch. A hybrid encoder doubles them.
"""

import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import collectives
import torch.distributed as dist

from model.encoder.config import preset as encoder_preset
from model.objectives import objective
from model.objectives.config import PRESETS, preset
from model.training import optimizer
from model.training.config import TrainConfig
from model.training.learner import build_model
from model.training.step import TrainingStep
from model.training.stream import TrainingBatch
from pipeline.cluster.machine import processor_name
from stores.quantize import Quantizer

CLIPS, WIDTH, SAMPLES, ROUNDS = 64, 128, 8_400, 7  # clips of a rank, width of the head, clips of the corpus
CONTRASTIVE = [name for name in PRESETS if name != "mae"]
OPENCLIP = "openclip, gather with gradient"


def sent_bytes(_folder) -> dict[str, int]:
    """Return the bytes that this rank sends for one loss and its gradient, by objective."""
    sent_by_objective = {}
    for name in [*CONTRASTIVE, OPENCLIP]:
        first, second = (torch.randn(CLIPS, WIDTH, requires_grad=True) for _ in range(2))
        with collectives.SentBytes() as sent:
            if name == OPENCLIP:
                collectives.openclip_loss(first, second, 0.1).backward()
            else:
                objective_module = objective.build(preset(name), 1, SAMPLES)
                objective_module(first, second, torch.arange(CLIPS) + CLIPS * dist.get_rank(), 0, 0).backward()
        sent_by_objective[name] = sent.total
    return sent_by_objective


def one_step(name: str):
    """Return a function that runs a step of the tiny encoder, and the bytes of the objective's state."""
    config = TrainConfig(
        encoder=encoder_preset("tiny"), shards="none", samples=SAMPLES, objective=preset(name), batch=CLIPS, steps=1
    )
    learner, objective_module = build_model(config), objective.build(preset(name), 1, SAMPLES)
    step, adam = TrainingStep(learner, objective_module, config, Quantizer()), optimizer.build(learner, config)
    codes = np.random.default_rng(0).integers(0, 256, (2 * CLIPS, 96, 128), dtype=np.uint8)
    batch = TrainingBatch.from_windows(torch.from_numpy(codes), torch.arange(CLIPS))

    def run() -> None:
        adam.zero_grad(set_to_none=True)
        step.backward(batch, 0)
        adam.step()

    return run, sum(state.numel() * state.element_size() for state in objective_module.state_dict().values())


def times_ms(steps) -> dict[str, float]:
    """Return the median milliseconds of each step, timed in turn, because absolute times drift more than ratios."""
    times = {name: [] for name in steps}
    for _ in range(ROUNDS + 1):
        for name, run in steps.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values[1:]) for name, values in times.items()}  # the first is a warm-up


def main() -> None:
    """Print a table, and its numbers as a line of JSON."""
    sent = {ranks: collectives.on_ranks(ranks, sent_bytes, tempfile.mkdtemp())[0] for ranks in (2, 4)}
    steps = {name: one_step(name) for name in PRESETS}
    times = times_ms({name: run for name, (run, _) in steps.items()})
    rows = {}
    for name in [*PRESETS, OPENCLIP]:
        two, four = (sent[ranks].get(name, 0) for ranks in (2, 4))
        assert four == 3 * two, "the bytes sent are not proportional to (ranks - 1)"
        state = steps[name][1] / SAMPLES if name in steps else 0
        rows[name] = {
            "ms": round(times[name], 1) if name in times else None,
            "state_bytes_per_clip": round(state, 2),
            "sent_bytes": {"2": two, "4": four, "64 (projected)": 63 * two},
        }
        print(
            f"{name:32}{rows[name]['ms'] or '':>8} ms {state:6.2f} B/clip {two:>10,} {four:>10,} {63 * two:>12,} B sent"
        )
    machine = processor_name()
    print(json.dumps({"benchmark": f"objectives, tiny, {CLIPS} clips a rank", "machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
