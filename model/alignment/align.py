"""The work of `python -m model.align`: train an alignment or find it finished, score it, and print the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.alignment import checkpoint, retrieval_scores
from model.alignment import pairs as pair_reader
from model.alignment.alignment import FILE, Alignment
from model.alignment.config import AdapterConfig, AlignSettings
from model.alignment.pairs import Pairs
from model.alignment.retrieval_scores import DIRECTIONS, RetrievalScores
from model.alignment.training import train_adapters
from model.encoder.device import fastest_device
from model.training import ranks
from stores import locations
from stores.commit import write_json
from stores.errors import MissingArtifact
from stores.json_output import print_json

SCORES_FILE = "alignment.json"
TRAIN, TEST = "train", "test"


def align(settings: AlignSettings) -> None:
    """Train the alignment, unless it is finished, and score it on the pairs of the split test.

    A training that was interrupted continues from its last checkpoint, with the same result to the last bit.

    Raises:
        MynaError: the features, the texts or an earlier alignment of this name cannot be used.
    """
    device = fastest_device()
    with ranks.process_group(device):
        pairs = pair_reader.read(settings)
        name = settings.name or default_name(settings.audio, settings.objective)
        path = locations.run(name) / FILE
        alignment = _finished(path, pairs, settings.adapters())
        if alignment is None:
            unfinished = path.with_name(checkpoint.FILE)
            trained = train_adapters(pairs.of_split(TRAIN), settings.adapters(), device, unfinished)
            alignment = Alignment(
                trained.adapters,
                settings.adapters(),
                pairs.audio_provenance,
                pairs.text_provenance,
                str(settings.audio),
                pairs.digests,
            )
        if ranks.is_main_process():
            _finish(alignment, path, pairs, settings.json)


def default_name(features: Path, objective: str) -> str:
    """Return the name of an alignment of these features, without the dots that separate parts of names."""
    stem = features.name.removesuffix(".features.zarr").replace(".", "-")
    return locations.validate_name(f"{stem}-text-{objective}")


def score_pairs(alignment: Alignment, pairs: Pairs) -> RetrievalScores:
    """Return the scores of an alignment on all pairs, in both directions."""
    audio = alignment.adapters.audio.project(pairs.audio)
    text = alignment.adapters.text.project(pairs.text)
    return retrieval_scores.score(audio, text, pairs.text_numbers, pairs.group_numbers, pairs.meaning_numbers)


def _finished(path: Path, pairs: Pairs, config: AdapterConfig) -> Alignment | None:
    """Return the finished alignment at `path`, or None if there is none.

    Raises:
        InvalidInput: it has other settings or was trained on other embeddings. The message names the differences.
    """
    try:
        alignment = Alignment.read(path)
    except MissingArtifact:
        return None
    before, now = {**alignment.config.to_dict(), **alignment.digests}, {**config.to_dict(), **pairs.digests}
    checkpoint.require_same(before, now, path)
    return alignment


def _finish(alignment: Alignment, path: Path, pairs: Pairs, as_json: bool) -> None:
    """Write the alignment and its scores, and print the scores."""
    test = pairs.of_split(TEST)
    scores = score_pairs(alignment, test).to_dict()
    content = {"alignment": str(path), "objective": alignment.config.objective.name, "scores": scores}
    alignment.write(path)
    path.with_name(checkpoint.FILE).unlink(missing_ok=True)
    write_json(path.with_name(SCORES_FILE), content)
    if as_json:
        print_json(content)
    else:
        print("\n".join(_lines(path, scores)))


def _lines(path: Path, scores: dict[str, Any]) -> list[str]:
    lines = [f"{path}: {scores['queries']} pairs of the split {TEST} in {scores['groups']} groups"]
    for direction in DIRECTIONS:
        lines.append(f"  {direction:<24}{'score':>8}{'95 % interval':>20}{'chance':>9}")
        for metric, (value, low, high) in scores[direction].items():
            chance = scores["chance"][direction].get(metric)
            random = "" if chance is None else f"{chance:.3f}"
            lines.append(f"    {metric:<22}{value:>8.3f}{f'{low:.3f} to {high:.3f}':>20}{random:>9}")
    return lines
