"""Compare the objectives of `model.align` on captions of the demo corpus, at batches of 64 and 1,024 and equal pairs.

    python tests/benchmarks/compare_alignments.py        # about 25 minutes on two cores

It renders one clip of each of 2,400 pieces with one of six instruments, embeds them by the encoder that ships, and
trains adapters with a hidden layer of 256 units on 56,320 pairs with each objective and batch. The learning rate is the
one of three that has the best recall@10 on validation. The last table compares the encoder with mean-log-mel, each with
the objective that is best on validation for it. The tables of docs/alignment.md are what this prints.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context

import torch

import model.extract
import pipeline.ingest
from model import shipped
from model.alignment import pairs as pair_reader
from model.alignment import text_table
from model.alignment.align import score_pairs
from model.alignment.alignment import Alignment
from model.alignment.config import AdapterConfig
from model.alignment.retrieval_scores import AUDIO_TO_TEXT, DIRECTIONS, TEXT_TO_AUDIO
from model.alignment.training import train_adapters
from model.encoder import hub_models
from model.inference import representations
from model.objectives.bimodal_config import BIMODAL_PRESETS
from model.probes.evaluation import bootstrap
from pipeline.datasets import demo
from pipeline.demo_corpus.rendering_settings import default_soundfont, rendering_settings_for
from stores import locations
from stores.mel_store import MelStore

CLIPS, PROGRAMS = 2400, ("0", "6", "19", "24", "40", "73")
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
SEEN_PAIRS = {64: 40 * 22 * 64, 1024: 55 * 1024}  # 56,320 pairs each, of 1,440
METRIC = "recall@10"


def main():
    """Print both tables."""
    audio = {name: pair_reader.read_audio(path) for name, path in _features().items()}
    corpus = rendering_settings_for(0, tuple(map(int, PROGRAMS)), [default_soundfont()])
    captions = locations.data_root("demo") / f"demo-{corpus.digest()[:8]}" / demo.CAPTIONS_FILE
    texts = text_table.read(captions, "minilm")
    meanings = text_table.read_meanings(captions)
    pairs = {name: pair_reader.join(each, texts, meanings) for name, each in audio.items()}
    test = {name: each.of_split("test") for name, each in pairs.items()}
    cases = [("shipped", *case) for case in product(BIMODAL_PRESETS, SEEN_PAIRS)]
    cases += [("mean-log-mel", name, 64) for name in BIMODAL_PRESETS]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        results = pool.map(_best, *zip(*((pairs[each], name, batch) for each, name, batch in cases), strict=True))
        alignments = dict(zip(cases, results, strict=True))
    best = {case[1:]: alignment for case, (_, alignment) in alignments.items() if case[0] == "shipped"}
    scores = {case: score_pairs(alignment, test["shipped"]) for case, alignment in best.items()}
    print(
        f"| objective | batch | rate | {' | '.join(f'{METRIC}, {each}' for each in DIRECTIONS)} | mAP, text to audio |"
    )
    print("|---|---|---|---|---|---|")
    for case, each in scores.items():
        cells = [_cell(each.to_dict()[direction][METRIC]) for direction in DIRECTIONS]
        rate = best[case].config.learning_rate
        precision = _cell(each.to_dict()[TEXT_TO_AUDIO]["mAP"])
        print(f"| `{case[0]}` | {case[1]} | {rate:g} | {' | '.join(cells)} | {precision} |")
    print("\n| objective | batch of 1,024 ahead of 64, text to audio |\n|---|---|")
    for name in BIMODAL_PRESETS:
        print(f"| `{name}` | {_cell(scores[name, 1024].lead_over(scores[name, 64], TEXT_TO_AUDIO, METRIC))} |")
    ours_case, mel_case = (
        max((case for case in alignments if case[0] == each and case[2] == 64), key=lambda case: alignments[case][0])
        for each in pairs
    )
    ours, mel = (score_pairs(alignments[case][1], test[case[0]]) for case in (ours_case, mel_case))
    print(f"\n| {METRIC}, batch 64, best on validation | {TEXT_TO_AUDIO} | {AUDIO_TO_TEXT} |\n|---|---|---|")
    rows = {
        f"the encoder that ships, `{ours_case[1]}`": [ours.to_dict()[each][METRIC] for each in DIRECTIONS],
        f"mean-log-mel, `{mel_case[1]}`": [mel.to_dict()[each][METRIC] for each in DIRECTIONS],
        "ahead of mean-log-mel": [ours.lead_over(mel, each, METRIC) for each in DIRECTIONS],
        "ahead of mean-log-mel, mAP": [ours.lead_over(mel, each, "mAP") for each in DIRECTIONS],
        "ahead of chance": [ours.lead_over_chance(each, METRIC) for each in DIRECTIONS],
    }
    for title, values in rows.items():
        print(f"| {title} | {' | '.join(map(_cell, values))} |")
    print(f"\nahead of mean-log-mel, mean of both directions: {_cell(_mean_lead(ours, mel))}")
    print(f"\n{len(test['shipped'])} test pairs, chance {ours.chance[TEXT_TO_AUDIO][METRIC]:.3f} and "
          f"{ours.chance[AUDIO_TO_TEXT][METRIC]:.3f}")  # fmt: skip


def _features():
    """Return the paths of the features of the encoder that ships and of mean-log-mel, which are made if missing."""
    words = ["demo", "--clips", str(CLIPS), "--as-written", "--programs", *PROGRAMS, "--quiet"]
    assert pipeline.ingest.main(words) == 0
    path = locations.feature_store("demo", "shipped")
    words = ["demo", "--checkpoint", shipped.NAME, "--out", str(path), "--quiet"]
    assert path.exists() or model.extract.main(words) == 0
    baseline = representations.baseline("mean-log-mel", hub_models.find_checkpoint(shipped.NAME).path)
    baseline.extract(MelStore.open(locations.mel_store("demo")), baseline.path("demo"))
    return {"shipped": path, "mean-log-mel": baseline.path("demo")}


def _best(pairs, name, batch):
    """Return recall@10 on validation, the mean of both directions, and the alignment of the best learning rate."""
    torch.set_num_threads(1)
    valid = pairs.of_split("valid")
    trained = [_train(pairs.of_split("train"), name, batch, rate) for rate in LEARNING_RATES]
    recalls = [
        sum(score_pairs(each, valid).values[direction][METRIC].mean() for direction in DIRECTIONS) for each in trained
    ]
    print(f"{name} {batch}: {[round(float(recall) / 2, 3) for recall in recalls]}", file=sys.stderr)
    return float(max(recalls)) / 2, trained[recalls.index(max(recalls))]


def _train(pairs, name, batch, rate):
    epochs = SEEN_PAIRS[batch] // (len(pairs) // batch * batch)
    objective = BIMODAL_PRESETS[name]
    if "gamma_decay_epochs" in objective.options:
        objective = replace(objective, gamma_decay_epochs=max(1, epochs // 2))
    config = AdapterConfig(objective, 128, 256, batch, epochs, rate, 0.1, seed=0)
    trained = train_adapters(pairs, config, torch.device("cpu"))
    return Alignment(trained.adapters, config, pairs.audio_provenance, pairs.text_provenance, "", pairs.digests)


def _mean_lead(ours, others):
    """Return the lead in recall@10, averaged over the directions for each pair, with its interval over groups."""
    lead = sum(ours.values[each][METRIC] - others.values[each][METRIC] for each in DIRECTIONS) / len(DIRECTIONS)
    interval = bootstrap.confidence_interval(lead, ours.groups)
    return float(lead.mean()), interval.low, interval.high


def _cell(value_with_interval):
    value, low, high = value_with_interval
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
