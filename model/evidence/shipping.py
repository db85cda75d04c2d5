"""The folder of the encoder that ships: weights in bfloat16, configuration, and a card with licenses and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.encoder import hub, weights
from model.encoder.hub import PretrainedFolder
from model.inference.checkpoints import LoadedCheckpoint
from stores.commit import write_bytes
from stores.errors import DigestMismatch

MEASURES = {
    "track-map": "same track, mAP",
    "track-recall@5": "same track, recall@5",
    "album-map": "same album, mAP",
    "albums-5-labels": "album, 5 labels each",
    "albums-10-labels": "album, 10 labels each",
    "same-neighbor-mp3": "same neighbor, 64 kbit/s",
    "same-neighbor-quiet": "same neighbor, -12 dB",
    "same-neighbor-shifted": "same neighbor, 3 s later",
    "rendered-key": "key of rendered clips, weighted",
    "rendered-genre": "genre of rendered clips",
}
"""Measures of a comparison that the card shows, with their headings."""
_CARD = (
    hub.CARD_FRONT_MATTER
    + """\

# {name}

A small Myna encoder for a CPU: {patches} patches, width {width}, {depth} blocks, {parameters:.2f} million weights in
bfloat16 ({megabytes:.1f} MB). It turns {seconds:.2f} s of music into {embedding_width} numbers, and the embedding of a
recording is the mean over its windows. It was trained without labels, by masked contrastive learning
([Yonay, Hammond, Yang 2025](https://arxiv.org/abs/2502.12511)), on free recordings alone. It is far smaller than the
published models, and was trained on a fraction of their data. Use `myna-hybrid` where quality matters more than size.

```python
import model

myna = model.Myna.from_pretrained()  # float32 [{embedding_width}] for each recording
embedding = myna.embed("song.mp3")
```

## How it was made

    python -m dags.evidence train
    python -m dags.evidence judge --soundfont /usr/share/sounds/sf2/FluidR3_GM.sf2
    python -m dags.evidence ship

{steps:,} steps of {batch} recordings, masking ratio {masking_ratio}, input scale `{scale}`, seed {seed}. Training took
{minutes:.0f} minutes. The complete settings are in `config.json` under `origin`.

## Training data

{recordings} recordings from packages of Debian 12. Their SHA-256 and the files that count as music are in
`pipeline/open_music/packages.csv`.

| package | version | license of the recordings |
|---|---|---|
{packages}

All of these packages are in Debian's main archive, so their licenses allow everyone to use, change and distribute the
recordings, also commercially. The weights are parameters that were fitted to all recordings together. They contain no
recording, and no recording can be played from them. That is why they are distributed, under the license of this
repository.

## Scores on recordings that were not used for training or choices

{judged}
from `warzone2100-music`, `nexuiz-music` and `singularity-music` were scored. These packages were scored once for each
encoder that was shipped, and nothing was chosen by them. The values are means with 95 % intervals of a bootstrap over
recordings. {rendered}`*` marks a representation that the encoder significantly exceeds, and `!` one that significantly
exceeds the encoder, by paired differences.

{scores}

{verdict}

## Limits

It has heard little but music of computer games, of {album_count} albums. It was not evaluated on voices, on other
cultures' music or for identifying people. Embeddings carry no information about the rights to a recording.
"""
)


@dataclass(frozen=True)
class TrainingPackage:
    """A package of training recordings, as the card lists it."""

    name: str
    """Name of the package."""
    version: str
    """Version of the package."""
    license: str
    """Licenses of its recordings."""


def write(
    folder: Path,
    loaded: LoadedCheckpoint,
    packages: Sequence[TrainingPackage],
    comparison: Mapping[str, Any],
    minutes: float,
) -> None:
    """Write the folder of an encoder.

    Args:
        folder: folder to write.
        loaded: the encoder, with the settings of its run.
        packages: the packages that it was trained on.
        comparison: content of the JSON file of `dags.evidence judge`.
        minutes: minutes of training.

    Raises:
        DigestMismatch: the comparison is one of other weights.
    """
    _require_scores_of(loaded, comparison)
    hub.write(folder, PretrainedFolder(loaded.encoder, loaded.mel, loaded.origin), weight_type=torch.bfloat16)
    write_bytes(folder / hub.CARD, card(folder, loaded, packages, comparison, minutes).encode())


def card(
    folder: Path,
    loaded: LoadedCheckpoint,
    packages: Sequence[TrainingPackage],
    comparison: Mapping[str, Any],
    minutes: float,
) -> str:
    """Return the text of the card."""
    config, run = loaded.encoder.config, loaded.origin["run"]
    return _CARD.format(
        name=folder.name,
        license="mit",
        patches="vertical and square" if len(config.patch_kinds) > 1 else config.patch_kinds[0],
        width=config.width,
        embedding_width=config.embedding_width,
        depth=config.depth,
        parameters=sum(weight.numel() for weight in loaded.encoder.parameters()) / 1e6,
        megabytes=(folder / hub.WEIGHTS).stat().st_size / 1e6,
        seconds=loaded.mel_spec.seconds_for(config.window_frames),
        scale=config.input_scale,
        **{name: run[name] for name in ("steps", "batch", "masking_ratio", "seed")},
        minutes=minutes,
        recordings=run["samples"],
        packages="\n".join(f"| {package.name} | {package.version} | {package.license} |" for package in packages),
        judged=f"{comparison['passages']} passages of 30 s of {sum(comparison['recordings'].values())} recordings",
        rendered=rendered_sentence(comparison),
        scores="\n".join(score_table(comparison)),
        verdict=verdict(comparison),
        album_count=len(packages),
    )


def _require_scores_of(loaded: LoadedCheckpoint, comparison: Mapping[str, Any]) -> None:
    compared = comparison.get("weights", {}).get(comparison["subject"], "unknown")
    digest = weights.digest(loaded.encoder)
    if compared != digest:
        raise DigestMismatch(
            f"the scores are those of {comparison['subject']} with the weights {compared}, and {loaded.path} has the "
            f"weights {digest}; run python -m dags.evidence judge --checkpoint {loaded.name} again"
        )


def score_table(comparison: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table with a row for each representation, the encoder first."""
    scores, differences, subject = comparison["scores"], comparison["differences"], comparison["subject"]
    measures = [name for name in MEASURES if name in scores[subject]]
    rows = [["representation", *(MEASURES[name] for name in measures)], ["---"] * (len(measures) + 1)]
    for name, values in scores.items():
        marks = {m: mark(differences[name][m]) if name in differences else "" for m in measures}
        rows.append([name, *("{:.3f} ({:.3f} to {:.3f})".format(*values[m]) + marks[m] for m in measures)])
    return [f"| {' | '.join(row)} |" for row in rows]


def rendered_sentence(comparison: Mapping[str, Any]) -> str:
    """Return a sentence about the rendered clips of a comparison, or empty text if it has none."""
    if not comparison.get("rendered_clips"):
        return ""
    return (
        f"Key and genre are those of linear probes on {comparison['rendered_clips']:,} clips, one of each piece, whose "
        "pieces and instruments the encoder has not heard. "
    )


def mark(difference: Sequence[float]) -> str:
    """Return ` *` if the encoder significantly exceeds a representation, ` !` if it is exceeded, or empty text."""
    _, low, high = difference
    return " *" if low > 0 else " !" if high < 0 else ""


def verdict(comparison: Mapping[str, Any]) -> str:
    """Return sentences that say where the encoder is significantly ahead of all others, and where it is behind."""
    differences, subject = comparison["differences"], comparison["subject"]
    others = [name for name in differences if not name.startswith(subject)]
    lines = []
    for measure, heading in MEASURES.items():
        if measure not in comparison["scores"][subject]:
            continue
        marks = {name: mark(differences[name][measure]).strip() for name in others}
        behind = [name for name, sign in marks.items() if sign == "!"]
        ahead = [name for name, sign in marks.items() if sign == "*"]
        if behind:
            lines.append(f"- {heading}: significantly behind {', '.join(behind)}.")
        elif len(ahead) == len(others):
            lines.append(f"- {heading}: significantly ahead of all others.")
        else:
            open_names = ", ".join(name for name in others if name not in ahead)
            lines.append(f"- {heading}: behind none, and no significant difference to {open_names}.")
    return "\n".join(lines)
