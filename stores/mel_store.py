"""The mel store: a Zarr v3 group with the mel of every clip, and the manifest that states the place of each clip.

    NAME.zarr/
      zarr.json            attributes "myna": format_version, grid, mel_spec, quantizer, dataset, root, preprocessing
      mel/                 [n_mels, total_frames], chunked, sharded; uint8 (or uint16) codes as differences along time
                           in Blosc zstd, or float32 power in Blosc zstd + bitshuffle; a CRC-32C after every chunk
      manifest.parquet     one row per clip; only this file states that a clip is complete
      parts/               rows of finished regions, during an ingest

The driver writes the attributes and the manifest. Each region of frames is written by one task. Zarr does no locking.

Differences along time reduce an hour of real music to 8.5 MB, and bitshuffle alone reduces it to 10.8 MB. The Delta
filter of numcodecs is not in the Zarr specification, so zarr-python warns when it opens the array. The filter runs over
the rows of a chunk one after another, with `mel` as the outer and `frame` as the inner axis, so no transposition is
needed.

Every Zarr shard with frames of a clip has a file, even if all its codes are zero. Zarr reads a missing file as silence,
but here a missing file means that data was lost.

A reader accepts exactly one format version and no other version, not even an older one (`stores.mel_attributes`).
`stores.mel_store_upgrade` converts a store of the previous version, because decoding a dataset again can take days.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zarr
from numpy.typing import NDArray
from zarr.errors import ZarrUserWarning

from stores import manifest, mel_array, mel_attributes, remote_link
from stores.chunk_grid import ChunkGrid, Region
from stores.digest import digest_with_clips
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.manifest import ClipRow, ClipRows
from stores.manifest_checks import find_problem
from stores.mel_flags import flags_to_continue
from stores.mel_spec import MelSpec
from stores.quantize import Codes, CodeSlices, Quantizer

# The module docstring explains this warning. Every worker would print it for every region.
warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3", ZarrUserWarning)
MANIFEST, PARTS = "manifest.parquet", "parts"
_CAUSES = {
    "planned": "it is still planned",
    "refused": "it was rejected ({row.reason}: {row.detail})",
    "unlisted": "its dataset no longer lists it",
}


class MelStore:
    """A mel store on disk. The array is opened when it is needed, so a store can be sent to other processes."""

    def __init__(self, path: Path, attributes: Mapping[str, Any], rows: Sequence[ClipRow]) -> None:
        self.path = path
        self.attributes = dict(attributes)
        self.rows = ClipRows.of(rows)
        self.spec = MelSpec.from_dict(attributes["mel_spec"])
        self.quantizer = Quantizer.from_dict(attributes["quantizer"])
        self.grid = mel_attributes.read_grid(path, attributes)
        self._mel: zarr.Array[Any] | None = None
        self._url = remote_link.url_of(path)

    @classmethod
    def create(cls, path: Path, rows: Sequence[ClipRow], settings: Mapping[str, Any], grid: ChunkGrid) -> MelStore:
        """Create an empty store for planned `rows`.

        Args:
            path: a folder that does not exist yet, or is empty.
            rows: all clips, in the order of their index, with their regions.
            settings: `mel_spec`, `quantizer`, `dataset`, `root` and `preprocessing`, as JSON values.
            grid: the division of the frame axis.

        Raises:
            InvalidInput: `path` exists and is not an empty folder.
        """
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise InvalidInput(f"{path} already exists; open it, or choose another path")
        attributes = {"format_version": mel_attributes.FORMAT_VERSION, "grid": asdict(grid), **settings}
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        zarr.open_group(building, mode="w", zarr_format=3, attributes={"myna": attributes})
        mel_array.create_array(building, attributes, manifest.total_frames(rows))
        manifest.write(building / MANIFEST, rows)
        building.rename(path)
        return cls(path, attributes, rows)

    @classmethod
    def open(cls, path: Path | str, *, complete: bool = True, checks_array: bool = True) -> MelStore:
        """Open a store for reading.

        Args:
            path: folder of the store.
            complete: accept only a store whose ingest is finished.
            checks_array: compare the metadata of the array with the store.

        Raises:
            MissingArtifact: there is no store, or it is unfinished and `complete` is set.
            CorruptArtifact: the folder is not a mel store of this version, or contradicts itself.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            command = f"python -m pipeline.ingest DATASET --store {path}"
            raise MissingArtifact(f"no mel store at {path}; make it with `{command}`")
        store = cls(path, mel_attributes.read(path), manifest.read(path / MANIFEST))
        store._require_sound(checks_array, complete)
        planned = int(store.rows.in_state("planned").sum())
        if complete and planned:
            raise MissingArtifact(
                f"{path} is not finished: {planned} of {len(store.rows)} clips are still planned; "
                f"run the same `python -m pipeline.ingest` again to continue"
            )
        return store

    def _require_sound(self, checks_array: bool, complete: bool) -> None:
        self.rows.verify()
        if problem := find_problem(self.rows, self.grid):
            raise CorruptArtifact(f"{self.path / MANIFEST} is damaged: {problem}; remove {self.path} and ingest again")
        # the axis of an unfinished store may be shorter than its manifest, see `extend_axis`
        frames = manifest.total_frames(self.rows) if complete else 0
        damage = mel_array.find_metadata_damage(self.path, self.attributes, frames) if checks_array else ""
        if damage:
            raise CorruptArtifact(f"{self.path}: {damage}; run `python -m pipeline.verify {self.path} --repair`")

    @classmethod
    def open_without_manifest(cls, path: Path) -> MelStore:
        """Open a store for tasks that need no manifest, which may have millions of rows.

        Raises:
            CorruptArtifact: the folder is not a mel store of this version.
        """
        return cls(path, mel_attributes.read(path), ())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rows(self) -> ClipRows:
        """One row per clip. Its columns stay in Arrow, and row objects are built when they are needed."""
        return self._rows

    @rows.setter
    def rows(self, rows: Iterable[ClipRow]) -> None:
        """Use other rows in memory. The store on disk is not changed."""
        self._rows = ClipRows.of(rows)

    @property
    def manifest(self) -> pa.Table:
        """One row per clip, as an Arrow table."""
        return self.rows.table()

    def digest(self) -> str:
        """Return the digest of everything that can change a value read from the store: settings, clips, audio bytes.

        Clips that are no longer listed leave a gap, so that the digest changes with the clips that are read and with
        their indices. Splits and labels do not change it.
        """
        clips = manifest.clips_for_digest(self.rows, ("id", "frames", "source_digest"))
        return digest_with_clips(self.value_settings(), clips)

    def shards_digest(self) -> str:
        """Return the digest of everything that can change the shards: that of `digest`, and each split and state."""
        clips = manifest.clips_for_digest(self.rows, ("id", "frames", "source_digest", "split", "state"))
        return digest_with_clips(self.value_settings(), clips)

    def value_settings(self) -> dict[str, Any]:
        """Return the settings that can change a stored value."""
        return mel_attributes.value_settings(self.attributes)

    def codes(self, index: int) -> Codes:
        """Return the codes of clip `index`, `[n_mels, frames]` in the type of the quantizer.

        Raises:
            InvalidInput: there is no such clip, or it has no mel.
        """
        start, frames = self._place(index)
        return self.read_frames(start, start + frames)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Return the power mel `[n_mels, frames]` of clip `index`, float32 and non-negative.

        Raises:
            InvalidInput: there is no such clip, or it has no mel.
        """
        return self.quantizer.decode(self.codes(index))

    def window(self, index: int, start: int, frames: int) -> NDArray[np.float32]:
        """Return `frames` frames of the power mel of clip `index` from its frame `start` on, `[n_mels, frames]`.

        Raises:
            InvalidInput: there is no such clip, it has no mel, or the window is not inside it.
        """
        clip_start, clip_frames = self._place(index)
        if not 0 <= start <= start + frames <= clip_frames:
            raise InvalidInput(
                f"frames {start} to {start + frames} are not inside clip {self.rows[index].id!r} of {clip_frames}"
            )
        return self.quantizer.decode(self.read_frames(clip_start + start, clip_start + start + frames))

    def frames(self, start_frame: int, frames: int) -> Codes:
        """Return the codes of consecutive frames of the store, `[n_mels, frames]`, which may belong to several clips.

        Chunks are decompressed as a whole, so one call for many clips costs less than one call for each.

        Raises:
            InvalidInput: the frames are not inside the store.
        """
        if not 0 <= start_frame < start_frame + frames <= self._array().shape[1]:
            raise InvalidInput(f"frames {start_frame} to {start_frame + frames} are not inside {self.path}")
        return self.read_frames(start_frame, start_frame + frames)

    def write_region(self, region: Region, codes: CodeSlices) -> None:
        """Write `codes` `[n_mels, n]` at the start of `region`, and zeros in the rest of the last Zarr shard.

        Whole Zarr shards are written one after another, so writing twice leaves the same bytes, and memory holds one.
        Each is flushed to disk.

        Raises:
            InvalidInput: the codes do not fit into the region, or have another number of mel bins.
        """
        if codes.shape[1] > region.frames:
            raise InvalidInput(f"{region.name} has {region.frames} frames, but needs {codes.shape[1]}; plan it larger")
        if codes.shape[0] != self.spec.n_mels:
            raise InvalidInput(f"the codes have {codes.shape[0]} mel bins, and {self.path} has {self.spec.n_mels}")
        for file in self.shard_files(region.start_frame, region.stop_frame):
            file.unlink(missing_ok=True)  # an earlier attempt may have written more Zarr shards
        step = self.grid.zarr_shard_frames
        for start in range(0, codes.shape[1], step):
            (file,) = self.shard_files(region.start_frame + start, region.start_frame + start + 1)
            mel_array.write_shard(file, np.asarray(codes[:, start : start + step], self.quantizer.dtype), self.grid)

    def finish_region(self, region: Region, rows: Sequence[ClipRow]) -> None:
        """Record the rows of `region`, whose frames are on disk, so that a restart skips the region."""
        manifest.write(self.path / PARTS / f"{region.name}.parquet", rows)

    def is_finished(self, region: Region) -> bool:
        """Return whether `finish_region` has recorded `region`."""
        return (self.path / PARTS / f"{region.name}.parquet").is_file()

    def merged_rows(self) -> ClipRows:
        """Return the rows of the manifest, where the rows of all finished regions replace the planned ones."""
        parts = sorted((self.path / PARTS).glob("region-*.parquet"))
        return manifest.merge(self.rows, ClipRows.concat(map(manifest.read, parts)))

    def update(self, rows: Iterable[ClipRow]) -> None:
        """Replace the manifest by `rows`, which include all finished regions, and extend the frame axis as needed.

        Only the driver calls this, while no task runs.
        """
        manifest.write(self.path / MANIFEST, rows)
        self.rows = manifest.read(self.path / MANIFEST)
        shutil.rmtree(self.path / PARTS, ignore_errors=True)
        self.extend_axis()

    def extend_axis(self) -> None:
        """Extend the frame axis to the regions of the manifest. It is too short after a kill between the two writes."""
        mel, frames = self._array(), manifest.total_frames(self.rows)
        if mel.shape[1] < frames:
            mel.resize((mel.shape[0], frames))

    def free_unused_frames(self) -> None:
        """Remove the files of frames that no clip of the manifest has, and shorten the frame axis.

        Only the driver calls this, while no task runs. Files that a kill leaves are removed by the next call.
        """
        stored = self.rows.take(np.flatnonzero(self.rows.has_frames()))
        regions = set(zip(stored.numbers("region_start"), stored.numbers("region_stop"), strict=True))
        needed = {file for region in regions for file in self.shard_files(*region)}
        for file in (self.path / "mel" / "c" / "0").glob("[0-9]*"):
            if file not in needed:
                file.unlink()
        self._array().resize((self.spec.n_mels, manifest.total_frames(self.rows)))

    def move_root(self, root: str) -> None:
        """Record `root` as the new folder of the audio."""
        self.attributes["root"] = root
        zarr.open_group(self.path, mode="r+", zarr_format=3, use_consolidated=False).attrs["myna"] = self.attributes

    def require_settings(self, settings: Mapping[str, Any]) -> None:
        """Check that an ingest with `settings` may continue in this store.

        Raises:
            DigestMismatch: a setting differs. The message names each of them with both values.
        """
        differing = [key for key in settings if self.attributes.get(key) != settings[key]]
        if differing:
            flags = " ".join(flags_to_continue(self.attributes, settings))
            advice = f"state {flags} as for this store, or choose" if flags else "choose"
            lines = [f"{self.path} was made with other settings; {advice} another --store or remove it:"]
            lines += [f"  {key}: store {self.attributes.get(key)!r}, now {settings[key]!r}" for key in differing]
            raise DigestMismatch("\n".join(lines))

    def _place(self, index: int) -> tuple[int, int]:
        """Return the first frame and the number of frames of clip `index`."""
        if not 0 <= index < len(self.rows):
            raise InvalidInput(f"clip {index} is not in {self.path}, which has clips 0 to {len(self.rows) - 1}")
        if self.rows.codes("state", manifest.STATES)[index] != manifest.STATES.index("written"):
            row = self.rows[index]
            raise InvalidInput(f"clip {row.id!r} has no mel: {_CAUSES[row.state].format(row=row)}")
        return int(self.rows.numbers("start_frame")[index]), int(self.rows.numbers("frames")[index])

    def shard_files(self, start_frame: int, stop_frame: int) -> list[Path]:
        """Return the paths of the Zarr shards of these frames, whether they exist or not."""
        size = self.grid.zarr_shard_frames
        return [self.path / "mel" / "c" / "0" / str(n) for n in range(start_frame // size, -(-stop_frame // size))]

    def read_frames(self, start_frame: int, stop_frame: int) -> Codes:
        """Return the codes of the frames from `start_frame` to `stop_frame`, `[n_mels, frames]`.

        Raises:
            MissingArtifact: a file does not exist, which Zarr alone would read as silence.
            CorruptArtifact: the bytes of a chunk are not those that were written.
        """
        mel = self._array()
        for file in self.shard_files(start_frame, stop_frame):
            if not (file.is_file() if self._url is None else remote_link.has_file(self.path, file)):
                raise MissingArtifact(
                    f"{file} is missing; restore it with `python -m pipeline.verify {self.path} --repair`"
                )
        try:
            return np.asarray(mel[:, start_frame:stop_frame], dtype=self.quantizer.dtype)
        except (ValueError, RuntimeError, OSError) as error:
            raise CorruptArtifact(
                f"{self.path}, frames {start_frame} to {stop_frame}: {error}; "
                f"run `python -m pipeline.verify {self.path} --repair`"
            ) from error

    def _array(self) -> zarr.Array[Any]:
        if self._mel is None:
            try:
                mel = mel_array.open_array(self.path, self._url)
            except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
                raise CorruptArtifact(f"{self.path}/mel is not an array: {error}") from error
            self._mel = mel
        return self._mel

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open array, because another process must open its own."""
        return {**self.__dict__, "_mel": None}
