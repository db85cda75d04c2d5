"""Error rates of near-duplicates on made pairs: changed copies of real recordings, and all other pairs.

    python tests/benchmarks/bench_duplicates.py EMBEDDINGS CHECKPOINT [RECORDINGS]

EMBEDDINGS are those of an ingested folder (`model.extract --pool none`), made by CHECKPOINT. Each of RECORDINGS (60 by
default) gives one copy for each change. A copy is missed if the embeddings do not propose its recording, or if the
fingerprints agree too little. Two different recordings that agree enough are a false pair. Intervals are 95 % by
Clopper and Pearson.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from model.inference.myna import Myna
from model.similarity import duplicates
from model.similarity.collection import Collection
from model.similarity.exact import search, unit_rows
from model.similarity.fingerprints import MIN_AGREEMENT, MIN_OVERLAP_SECONDS, Fingerprint
from pipeline.audio import mp3
from pipeline.audio.decode import decode
from pipeline.audio.mel import mel_power

Samples = NDArray[np.float32]
MAX_SECONDS = 90.0


def encode(samples: Samples, rate_hz: int) -> Samples:
    """Return samples after MP3 at 48 kbit/s."""
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        file.write(mp3.encode(samples, rate_hz))
        file.flush()
        return decode(Path(file.name), rate_hz).samples


def changes(rate_hz: int) -> dict[str, Callable[[Samples], Samples]]:
    """Return the changes by name. A cut is 20.013 s from the beginning and 40 s long, and shorter for short music."""

    def cut(samples: Samples) -> Samples:
        start = min(int(20.013 * rate_hz), max(0, len(samples) - 40 * rate_hz))
        return samples[start : start + 40 * rate_hz]

    return {
        "MP3 at 48 kbit/s": lambda samples: encode(samples, rate_hz),
        "12 dB quieter": lambda samples: 0.25 * samples,
        "cut to 40 s": cut,
        "cut to 12 s": lambda samples: cut(samples)[: 12 * rate_hz],
        "cut to 40 s, MP3, 12 dB quieter": lambda samples: 0.25 * encode(cut(samples), rate_hz),
    }


def upper(errors: int, trials: int) -> float:
    """Return the upper end of the 95 % interval of an error rate."""
    return 1.0 if errors == trials else float(beta.ppf(0.975, errors + 1, trials - errors))


def is_proposed(collection: Collection, embeddings: NDArray[np.float32], clip: int) -> bool:
    """Return whether the embeddings `[windows, D]` of a copy propose its recording."""
    means = duplicates.clip_means(collection.features)
    centered = unit_rows(means - means.mean(axis=0))
    mean = unit_rows(unit_rows(embeddings).mean(axis=0, keepdims=True) - means.mean(axis=0))
    if clip in search(mean, centered, duplicates.NEIGHBORS).rows:
        return True
    middle = collection.features.embeddings.mean(axis=0)
    windows = unit_rows(collection.features.embeddings - middle)
    chosen = np.unique(np.linspace(0, len(embeddings) - 1, duplicates.WINDOWS).round().astype(int))
    rows = search(unit_rows(embeddings[chosen] - middle), windows, duplicates.WINDOW_NEIGHBORS).rows
    return clip in collection.features.spans.clip[rows]


def main(embeddings: str, checkpoint: str, recordings: int = 60) -> None:
    """Print misses by change, and false pairs."""
    collection = Collection.open(embeddings)
    assert collection.store is not None
    store, rows = collection.store, collection.clips
    myna = Myna.from_pretrained(checkpoint)
    chosen = np.random.default_rng(0).permutation(len(rows))[:recordings]
    prints = {i: Fingerprint.of_mel(store.clip(rows[i].index)) for i in range(len(rows))}
    frames = round(MIN_OVERLAP_SECONDS / store.spec.seconds_for(1))
    rate_hz = store.spec.sample_rate_hz
    agreements: dict[str, list[float]] = {}
    missed: dict[str, int] = {}
    for i in chosen.tolist():
        path = collection.audio_path(rows[i])
        samples = decode(path, rate_hz).samples[: int(MAX_SECONDS * rate_hz)]
        for name, change in changes(rate_hz).items():
            copy = change(samples)
            match = prints[i].align(Fingerprint.of_mel(mel_power(copy, store.spec)), frames)
            agreements.setdefault(name, []).append(match.agreement)
            proposed = is_proposed(collection, myna.embed(copy, rate_hz, pool="none"), i)
            missed[name] = missed.get(name, 0) + (not proposed or match.agreement < MIN_AGREEMENT)
    for name, values in agreements.items():
        count = len(values)
        print(
            f"{name}: {missed[name]} of {count} missed (at most {upper(missed[name], count):.1%}), agreement "
            f"{min(values):.2f} to {max(values):.2f}, median {np.median(values):.2f}"
        )
    others = [prints[a].align(prints[b], frames).agreement for a, b in sorted(duplicates.propose(collection.features))]
    false = sum(value >= MIN_AGREEMENT for value in others)
    print(
        f"{len(others)} proposed pairs of different recordings: {false} false (at most "
        f"{upper(false, len(others)):.2%}), agreement at most {max(others):.2f}"
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
    else:
        print(f"{sys.argv[0]} is left out: it needs EMBEDDINGS and CHECKPOINT (see its first lines)")  # in `make bench`
