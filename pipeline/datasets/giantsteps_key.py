"""GiantSteps as a test set for keys: 604 previews of two minutes with one key each (Knees et al. 2015), whole.

`pipeline.datasets.giantsteps` cuts the same previews into clips of 30 s, as JukeMIR does. No preview is one of
GiantSteps-MTG, and no two have the same audio, according to the digests that both repositories publish.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.listing import Listing
from stores.errors import CorruptArtifact, MissingArtifact
from stores.key_names import parse_key

ANNOTATIONS = "annotations/key"
MAX_ANNOTATION_BYTES = 1_000
_ANNOTATION = re.compile(r"([0-9]{1,10})\.LOFI\.key")
_STEM = re.compile(r"0*([0-9]{1,10})(\.LOFI)?", re.IGNORECASE)
_SET = BenchmarkSet(
    title="GiantSteps",
    file_names="BEATPORT_ID.LOFI.mp3, or BEATPORT_ID with any audio suffix, e.g. audio/10089.LOFI.mp3",
    advice=(
        "Run audio_dl.sh in a clone of github.com/GiantSteps/giantsteps-key-dataset. A mirror of the audio is "
        "https://www.cp.jku.at/datasets/giantsteps/backup/."
    ),
    suffixes=(".mp3",),
)


def tracks(root: AudioPath, metadata: Path | None = None) -> Listing:
    """Return the previews below `root` as a test set, with ids such as `10089` and the label `key`.

    Args:
        root: folder of the audio.
        metadata: the clone of the published repository (default: `root`).

    Raises:
        MissingArtifact: if the audio or the annotations are missing.
        CorruptArtifact: if an annotation is no key.
    """
    files = _SET.files(root)
    keys = _keys(root, metadata)
    clips = [BenchmarkClip(number, number, number, "test", {"key": key}) for number, key in keys.items()]
    listing = _SET.listing(files, clips, _recording_of)
    return replace(listing, published={"test": len(clips)})


def _keys(root: AudioPath, metadata: Path | None) -> Mapping[str, str]:
    folder = metadata or root
    if isinstance(folder, RemotePath) or not (folder / ANNOTATIONS).is_dir():
        raise MissingArtifact(
            f"no {ANNOTATIONS} below {folder}. Clone github.com/GiantSteps/giantsteps-key-dataset, and use --metadata "
            f"with its folder"
        )
    paths = {match[1]: path for path in (folder / ANNOTATIONS).iterdir() if (match := _ANNOTATION.fullmatch(path.name))}
    return {number: _key(paths[number]) for number in sorted(paths, key=int)}


def _key(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_ANNOTATION_BYTES).strip()
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{path} cannot be read ({error}); clone the repository again") from error
    if parse_key(text) is None:
        raise CorruptArtifact(f"{path} holds {text[:40]!r}, and a key such as 'Eb minor' is needed; clone it again")
    return text


def _recording_of(name: str) -> str:
    match = _STEM.fullmatch(PurePosixPath(name).stem)
    return match[1] if match else ""
