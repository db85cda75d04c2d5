"""A mel store, features and audio for maps, made out of nothing: three groups of clips that lie apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import synthetic_audio

from pipeline.audio.decode import file_digest
from stores.features import FeatureStore
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec

GENRES = ("</script><script>window.pwned = 1</script>", "fiddle & <b>pipe</b>", "mass")
KEYS = ("C major", "F# minor", "Bb major", "a minor")
TAGS = ("slow", "slow|voice", "", "loud|voice")
SPLITS = ("train", "valid", "test")


@dataclass
class MadeStore:
    """What a map reads of a mel store."""

    rows: list[ClipRow]
    attributes: dict[str, str]
    path: Path = Path("made.zarr")
    spec: MelSpec = MelSpec()  # noqa: RUF009 -- frozen

    def clip(self, index):
        """A mel `[128, 60]` whose loudest row tells the clip."""
        mel = np.full((128, 60), 1e-4, np.float32)
        mel[index % 128] = 1e4
        return mel


def rows(clips):
    """Clips of pieces of three, in turn of every genre; every fourth has no key."""
    return [
        ClipRow(
            index=i,
            id=f"<img src=x onerror=alert(1)>/{i}",
            source=f"{i}.wav",
            group=f"<i>piece {i // 3}",
            split=SPLITS[(i // 9) % 3],
            labels={
                "genre": GENRES[(i // 3) % 3],
                "tags": TAGS[i % 4],
                "arousal": f"{i / clips - 0.5}",
                **({"key": KEYS[i % 4]} if i % 4 else {}),
            },
            state="written",
        )
        for i in range(clips)
    ]


def embeddings(clips, width=8, seed=0):
    """`[clips, width]`, alike within a genre and more so within a piece."""
    rng = np.random.default_rng(seed)
    pieces = rng.normal(size=(clips, width))[np.arange(clips) // 3]
    genres = 4 * np.eye(3, width)[(np.arange(clips) // 3) % 3]
    return (genres + pieces + 0.5 * rng.normal(size=(clips, width))).astype(np.float32)


def made(clips, root=None, heard=()):
    """Features and store of so many clips; those `heard` have audio below `root`."""
    made_rows = rows(clips)
    for i in heard:
        file = synthetic_audio.write(root / f"{i}.wav", synthetic_audio.sine(220 + 10 * i, 7.0))
        made_rows[i] = replace(made_rows[i], source_digest=file_digest(file))
    features = FeatureStore(embeddings(clips), made_rows, {"digest": "d"})
    return features, MadeStore(made_rows, {"root": str(root)})
