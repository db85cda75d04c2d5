"""MagnaTagATune: 25,863 clips of 29 s from Magnatune's albums, tagged by players of a game (Law et al. 2009).

The split assigns the folders `0` to `f` in the ratio 12 : 1 : 3 (18,706, 1,825 and 5,329 clips). The label consists of
the tags among the fifty most frequent. Clips without any of the fifty tags are kept, as JukeMIR does by default. Papers
differ in this.

In the metadata, no album (446 of them) and hence no song (5,405, identified by album and track number) is in two
splits, but 56 of 230 artists are. So are 25 titles that an artist has on several albums (272 clips). The published
split does not state whether these are different takes or the same take.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pipeline.audio.remote import AudioPath, RemotePath
from pipeline.datasets import jukemir
from pipeline.datasets.benchmark import BenchmarkClip, BenchmarkSet
from pipeline.datasets.jukemir import SplitEntry
from pipeline.datasets.listing import Listing
from stores.errors import MissingArtifact
from stores.labels import join_tags

_ARCHIVES = ("mp3.zip.001", "mp3.zip.002", "mp3.zip.003")
_UNPACK = (
    "Join the three files with `cat mp3.zip.001 mp3.zip.002 mp3.zip.003 > mp3.zip` (Windows: `copy /b "
    "mp3.zip.001+mp3.zip.002+mp3.zip.003 mp3.zip`) and unpack the result with `unzip mp3.zip -d mp3`"
)
_MAGNATAGATUNE = BenchmarkSet(
    title="MagnaTagATune",
    file_names=(
        "the names of its clips, e.g. mp3/f/american_bach_soloists-j_s__bach_solo_cantatas-01-bwv54__i_aria-30-59.mp3"
    ),
    advice=(
        "Get mp3.zip.001, .002 and .003 at https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset (files below "
        f"https://mirg.city.ac.uk/datasets/magnatagatune/). {_UNPACK}."
    ),
    suffixes=(".mp3",),
    damaged_ids=frozenset({"35644", "55753", "57881"}),  # damaged in the published archive; no split uses them
)


def tracks(root: AudioPath, splits: Path | None = None) -> Listing:
    """Return the clips of the split below `root`, with ids such as `00002` and the label `tags`, grouped by song.

    `tags` joins the tags as `stores.labels` does. It is empty for clips without any of the fifty tags.

    Args:
        root: folder of the audio: the sixteen folders, a folder that contains them, or all clips in one folder.
        splits: folder that holds `magnatagatune.json.gz` (default: the file is downloaded once).

    Raises:
        MissingArtifact: if the audio or the split is missing. The message says what was expected and where to get it.
            If the archive is below `root`, the message says how to join and unpack it.
        InvalidInput: if the file in `splits` is not the published one.
        CorruptArtifact: if the split does not have the content that this dataset needs.
    """
    try:
        files = _MAGNATAGATUNE.files(root)
    except MissingArtifact as no_audio:
        raise _archive_error(root) or no_audio from None
    clips = [_clip(entry) for entry in jukemir.entries("magnatagatune", splits)]
    recordings = {clip.recording for clip in clips}

    def recording_of(name: str) -> str:
        """Return the recording in the file `name`, or an empty string if the file is not part of the set."""
        stem = PurePosixPath(name).stem.lower()
        return stem if stem in recordings else ""

    return _MAGNATAGATUNE.listing(files, clips, recording_of)


def _clip(entry: SplitEntry) -> BenchmarkClip:
    song = entry.texts("clip", "audio_uid")
    if len(song) != 2:
        entry.raise_corrupt(f"clip.audio_uid must be an album and a track number (got {song})")
    album = PurePosixPath(song[0]).name  # the last component of its URL, which is unique
    return BenchmarkClip(
        id=entry.uid,
        recording=PurePosixPath(entry.text("extra", "mp3_path")).stem.lower(),  # unique without its folder
        group=f"{album}/{song[1]}",
        split=entry.split,
        labels={"tags": join_tags(entry.texts("y"))} if entry.split else {},
    )


def _archive_error(root: AudioPath) -> MissingArtifact | None:
    """Return an error that says what to do with the archive below `root`, or None if there is no archive."""
    if isinstance(root, RemotePath):
        return None
    paths = sorted(path for path in root.rglob("mp3.zip*") if path.is_file())
    if not paths:
        return None
    names = {path.name for path in paths}
    missing = [name for name in _ARCHIVES if name not in names]
    if "mp3.zip" in names:
        fix = "Unpack it with `unzip mp3.zip -d mp3`. If that fails, it was joined from incomplete files"
    elif missing:
        fix = f"{' and '.join(missing)} must be in this folder too. {_UNPACK}"
    else:
        fix = _UNPACK
    return MissingArtifact(f"MagnaTagATune is still packed in {paths[0].parent}: {', '.join(sorted(names))}. {fix}")
