"""MagnaTagATune: 25,863 clips of 29 s from Magnatune's albums, tagged by players of a game (Law et al. 2009).

The split is that of the folders, 12 : 1 : 3 of `0` to `f` (18,706, 1,825 and 5,329 clips), the label the tags among the
fifty most frequent. Clips that carry none of the fifty are kept, as JukeMIR does by default; papers differ here.

In the metadata no album (446 of them) and hence no song (5,405: album and track number) stands in two splits; 56 of 230
artists do. So do 25 titles that an artist has on several albums (272 clips): other takes or the same one, which the
published split does not tell apart.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing
from stores.errors import MissingArtifact
from stores.labels import join_tags

_PARTS = ("mp3.zip.001", "mp3.zip.002", "mp3.zip.003")
_UNPACK = (
    "Join the three parts with `cat mp3.zip.001 mp3.zip.002 mp3.zip.003 > mp3.zip` (Windows: `copy /b "
    "mp3.zip.001+mp3.zip.002+mp3.zip.003 mp3.zip`) and unpack them with `unzip mp3.zip -d mp3`"
)
_MAGNATAGATUNE = BenchmarkSet(
    title="MagnaTagATune",
    looked_for=(
        "the names of its clips, e.g. mp3/f/american_bach_soloists-j_s__bach_solo_cantatas-01-bwv54__i_aria-30-59.mp3"
    ),
    advice=(
        "The audio is mp3.zip.001, .002 and .003 at https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset (files "
        f"below https://mirg.city.ac.uk/datasets/magnatagatune/). {_UNPACK}."
    ),
    suffixes=(".mp3",),
    broken=frozenset({"35644", "55753", "57881"}),  # in the published archive; no split uses them
)


def tracks(root: Path, splits: Path | None = None) -> Listing:
    """The clips of the split that lie below `root`, by number such as `00002`, labelled `tags`; groups are songs.

    `tags` joins tags as `stores.labels` does and is empty for clips without any of the fifty.

    Args:
        root: folder of the audio: the sixteen folders, a folder that holds them, or all clips together.
        splits: folder that holds `magnatagatune.json.gz`; by default it is fetched once.

    Raises:
        MissingArtifact: without audio, or without the split: what was looked for, where people get it; if the
            archive lies there in its three parts, how to join and unpack them.
        InvalidInput: the split given is not the published one.
        CorruptArtifact: it holds something else than this dataset needs.
    """
    try:
        files = _MAGNATAGATUNE.files(root)
    except MissingArtifact as absent:
        raise _packed(root) or absent from None
    clips = [_clip(entry) for entry in jukemir.entries("magnatagatune", splits)]
    recordings = {clip.recording for clip in clips}

    def recording_of(name: str) -> str:
        """The recording that a file of this name holds; empty if it is not of the set."""
        stem = PurePosixPath(name).stem.lower()
        return stem if stem in recordings else ""

    return _MAGNATAGATUNE.listing(files, clips, recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    song = entry.texts("clip", "audio_uid")
    if len(song) != 2:
        entry.refuse(f"clip.audio_uid is {song}, and not an album and a track number")
    album = PurePosixPath(song[0]).name  # the last part of its address; no two albums share it
    return BenchmarkClip(
        id=entry.uid,
        recording=PurePosixPath(entry.text("extra", "mp3_path")).stem.lower(),  # unique without its folder
        group=f"{album}/{song[1]}",
        split=entry.split,
        labels={"tags": join_tags(entry.texts("y"))} if entry.split else {},
    )


def _packed(root: Path) -> MissingArtifact | None:
    """What to do with the archive, if it lies below `root` as it is distributed."""
    found = sorted(path for path in root.rglob("mp3.zip*") if path.is_file())
    if not found:
        return None
    names = {path.name for path in found}
    absent = [name for name in _PARTS if name not in names]
    if "mp3.zip" in names:
        todo = "Unpack it with `unzip mp3.zip -d mp3`; if that fails, it was joined from parts that were not whole"
    elif absent:
        todo = f"{' and '.join(absent)} must be there too. {_UNPACK}"
    else:
        todo = _UNPACK
    return MissingArtifact(f"MagnaTagATune lies packed in {found[0].parent}: {', '.join(sorted(names))}. {todo}")
