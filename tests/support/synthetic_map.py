"""A mel store, features and audio for maps: three groups of clips that lie apart, with hostile names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import synthetic_audio

from pipeline.audio.decode import file_digest
from stores.features import FeatureStore
from stores.manifest import ClipRow, ClipRows
from stores.mel_spec import MelSpec

GENRES = ("</script><script>window.pwned = 1</script>", "fiddle & <b>pipe</b>", "mass")
KEYS = ("C major", "F# minor", "Bb major", "a minor")
TAGS = ("slow", "slow|voice", "", "loud|voice")
SPLITS = ("train", "valid", "test")


@dataclass
class SyntheticStore:
    """The parts of a mel store that a map reads."""

    rows: ClipRows
    attributes: dict[str, str]
    path: Path = Path("made.zarr")
    spec: MelSpec = MelSpec()  # noqa: RUF009 -- frozen

    def clip(self, index):
        """Return a mel `[128, 60]` whose loudest row depends on the clip."""
        mel = np.full((128, 60), 1e-4, np.float32)
        mel[index % 128] = 1e4
        return mel


def rows(clips):
    """Return clips in pieces of three, with the genres in turn. Every fourth clip has no key."""
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
    """Return embeddings `[clips, width]` that are similar within a genre, and more similar within a piece."""
    rng = np.random.default_rng(seed)
    pieces = rng.normal(size=(clips, width))[np.arange(clips) // 3]
    genres = 4 * np.eye(3, width)[(np.arange(clips) // 3) % 3]
    return (genres + pieces + 0.5 * rng.normal(size=(clips, width))).astype(np.float32)


def features_and_store(clips, root=None, with_audio=()):
    """Return features and a store of `clips` clips. Those `with_audio` have a file below `root`."""
    clip_rows = rows(clips)
    for i in with_audio:
        file = synthetic_audio.write(root / f"{i}.wav", synthetic_audio.sine(220 + 10 * i, 7.0))
        clip_rows[i] = replace(clip_rows[i], source_digest=file_digest(file))
    features = FeatureStore(embeddings(clips), clip_rows, {"digest": "d"})
    return features, SyntheticStore(ClipRows.of(clip_rows), {"root": str(root)})
