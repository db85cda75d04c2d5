"""The mel store: a Zarr v3 group with the mel of every clip, and the manifest that states the place of each clip.

    NAME.zarr/
      zarr.json            attributes "myna": format_version, grid, mel_spec, quantizer, dataset, root, preprocessing
      mel/                 [128, total_frames], chunked, sharded; uint8 (or uint16) codes as differences along time in
                           Blosc zstd, or float32 power in Blosc zstd + bitshuffle; a CRC-32C behind every chunk
      manifest.parquet     one row per clip; only this file states that a clip is complete
      parts/               rows of finished regions, during an ingest

The driver writes the attributes and the manifest. Each region of frames is written by one task. Zarr does no locking.

Differences along time reduce an hour of real music to 8.5 MB, and bitshuffle alone reduces it to 10.8 MB. The Delta
filter of numcodecs is not in the Zarr specification, so zarr-python warns when it opens the array. The filter runs over
the rows of a chunk one after another, with `mel` as the outer and `frame` as the inner axis, so no transposition is
needed.

Every Zarr shard with frames of a clip has a file, even if all its codes are zero. Zarr reads a missing file as silence,
but here a missing file means that data was lost.

A reader accepts exactly `FORMAT_VERSION` and no other version, not even an older one. A store can always be made again
from the audio, so there is no code for older formats. The version increases with every change of the format.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec
from zarr.codecs.numcodecs import Delta
from zarr.errors import ZarrUserWarning

from stores import manifest
from stores.chunk_grid import ChunkGrid, Region
from stores.commit import sync_to_disk
from stores.digest import digest
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

FORMAT_VERSION = 3
# The module docstring explains this warning. Every worker would print it for every region.
warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3", ZarrUserWarning)
_MANIFEST, _PARTS = "manifest.parquet", "parts"
_SETTINGS = ("grid", "dataset", "root", "mel_spec", "quantizer", "preprocessing")


class MelStore:
    """A mel store on disk. The array is opened when it is needed, so a store can be sent to other processes."""

    def __init__(self, path: Path, attributes: Mapping[str, Any], rows: Sequence[ClipRow]) -> None:
        self.path = path
        self.attributes = dict(attributes)
        self.rows = list(rows)
        self.spec = MelSpec.from_dict(attributes["mel_spec"])
        self.quantizer = Quantizer.from_dict(attributes["quantizer"])
        self.grid = _grid(path, attributes["grid"])
        self._mel: zarr.Array[Any] | None = None

    @classmethod
    def create(cls, path: Path, rows: Sequence[ClipRow], settings: Mapping[str, Any], grid: ChunkGrid) -> MelStore:
        """Create an empty store for planned `rows`.

        Args:
            path: a folder that does not exist yet.
            rows: all clips, in the order of their index, with their regions.
            settings: `mel_spec`, `quantizer`, `dataset`, `root` and `preprocessing`, as JSON values.
            grid: the division of the frame axis.

        Raises:
            InvalidInput: `path` exists.
        """
        if path.exists():
            raise InvalidInput(f"{path} already exists; open it, or choose another path")
        attributes = {"format_version": FORMAT_VERSION, "grid": asdict(grid), **settings}
        building = path.with_name(f".{path.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        zarr.open_group(building, mode="w", zarr_format=3, attributes={"myna": attributes})
        create_array(building, attributes, manifest.total_frames(rows))
        manifest.write(building / _MANIFEST, rows)
        building.rename(path)
        return cls(path, attributes, rows)

    @classmethod
    def open(cls, path: Path | str, *, complete: bool = True) -> MelStore:
        """Open a store for reading.

        Args:
            path: folder of the store.
            complete: accept only a store whose ingest is finished.

        Raises:
            MissingArtifact: there is no store, or it is unfinished and `complete` is set.
            CorruptArtifact: the folder is not a mel store of this version.
        """
        path = Path(path)
        if not (path / _MANIFEST).is_file():
            command = f"python -m pipeline.ingest DATASET --store {path}"
            raise MissingArtifact(f"no mel store at {path}; make it with `{command}`")
        store = cls(path, _read_attributes(path), manifest.read(path / _MANIFEST))
        planned = sum(row.state == "planned" for row in store.rows)
        if complete and planned:
            raise MissingArtifact(
                f"{path} is not finished: {planned} of {len(store.rows)} clips are still planned; "
                f"run the same `python -m pipeline.ingest` again to continue"
            )
        return store

    @classmethod
    def open_without_manifest(cls, path: Path) -> MelStore:
        """Open a store for tasks that need no manifest, which may have millions of rows.

        Raises:
            CorruptArtifact: the folder is not a mel store of this version.
        """
        return cls(path, _read_attributes(path), ())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def manifest(self) -> pa.Table:
        """One row per clip, as an Arrow table."""
        return manifest.to_table(self.rows)

    def digest(self) -> str:
        """Return the digest of everything that can change a stored value: settings, clips and audio bytes."""
        clips = [[row.id, row.frames, row.source_digest] for row in self.rows]
        return digest({"settings": self.value_settings(), "clips": clips})

    def value_settings(self) -> dict[str, Any]:
        """Return the settings that can change a stored value."""
        return {key: self.attributes[key] for key in ("format_version", "mel_spec", "quantizer", "preprocessing")}

    def codes(self, index: int) -> Codes:
        """Return the codes of clip `index`, `[128, frames]` in the type of the quantizer.

        Raises:
            InvalidInput: there is no such clip, or it has no mel.
        """
        row = self._written(index)
        return self.read_frames(row.start_frame, row.start_frame + row.frames)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Return the power mel `[128, frames]` of clip `index`, float32 and non-negative.

        Raises:
            InvalidInput: there is no such clip, or it has no mel.
        """
        return self.quantizer.decode(self.codes(index))

    def window(self, index: int, start: int, frames: int) -> NDArray[np.float32]:
        """Return `frames` frames of the power mel of clip `index` from its frame `start` on, `[128, frames]`.

        Raises:
            InvalidInput: there is no such clip, it has no mel, or the window is not inside it.
        """
        row = self._written(index)
        if not 0 <= start <= start + frames <= row.frames:
            raise InvalidInput(f"frames {start} to {start + frames} are not inside clip {row.id!r} of {row.frames}")
        first = row.start_frame + start
        return self.quantizer.decode(self.read_frames(first, first + frames))

    def frames(self, start_frame: int, frames: int) -> Codes:
        """Return the codes of consecutive frames of the store, `[128, frames]`, which may belong to several clips.

        Chunks are always decompressed as a whole, so one call for many clips costs less than one call for each clip.

        Raises:
            InvalidInput: the frames are not inside the store.
        """
        if not 0 <= start_frame < start_frame + frames <= self._array().shape[1]:
            raise InvalidInput(f"frames {start_frame} to {start_frame + frames} are not inside {self.path}")
        return self.read_frames(start_frame, start_frame + frames)

    def write_region(self, region: Region, codes: Codes) -> None:
        """Write `codes` `[128, n]` at the start of `region`, and zeros in the rest of the last Zarr shard.

        Whole Zarr shards are written, so writing twice leaves the same bytes.

        Raises:
            InvalidInput: the codes do not fit into the region.
        """
        if codes.shape[1] > region.frames:
            raise InvalidInput(f"{region.name} has {region.frames} frames, but needs {codes.shape[1]}; plan it larger")
        padded = np.pad(codes, ((0, 0), (0, self.grid.round_up(codes.shape[1]) - codes.shape[1])))
        for file in self.shard_files(region.start_frame, region.stop_frame):
            file.unlink(missing_ok=True)  # Zarr would read it first, and fail if a power failure has cut it short
        self._array()[:, region.start_frame : region.start_frame + padded.shape[1]] = padded

    def finish_region(self, region: Region, rows: Sequence[ClipRow]) -> None:
        """Flush the frames of `region` to disk and record its rows, so that a restart skips the region."""
        for file in self.shard_files(region.start_frame, region.stop_frame):
            if file.exists():  # clips may need less than their bound, and then the last files do not exist
                sync_to_disk(file)
        manifest.write(self.path / _PARTS / f"{region.name}.parquet", rows)

    def is_finished(self, region: Region) -> bool:
        """Return whether `finish_region` has recorded `region`."""
        return (self.path / _PARTS / f"{region.name}.parquet").is_file()

    def merged_rows(self) -> list[ClipRow]:
        """Return the rows of the manifest, where the rows of all finished regions replace the planned ones."""
        parts = sorted((self.path / _PARTS).glob("region-*.parquet"))
        return manifest.merge(self.rows, (row for part in parts for row in manifest.read(part)))

    def update(self, rows: Sequence[ClipRow]) -> None:
        """Replace the manifest by `rows`, which include all finished regions, and extend the frame axis as needed.

        Only the driver calls this, while no task runs.
        """
        manifest.write(self.path / _MANIFEST, rows)
        self.rows = list(rows)
        shutil.rmtree(self.path / _PARTS, ignore_errors=True)
        self.extend_axis()

    def extend_axis(self) -> None:
        """Extend the frame axis to the regions of the manifest. It is too short after a kill between the two writes."""
        mel, frames = self._array(), manifest.total_frames(self.rows)
        if mel.shape[1] < frames:
            mel.resize((mel.shape[0], frames))

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
            lines = [f"  {key}: store {self.attributes.get(key)!r}, now {settings[key]!r}" for key in differing]
            raise DigestMismatch(
                f"{self.path} was made with other settings; choose another --store or remove it:\n" + "\n".join(lines)
            )

    def _written(self, index: int) -> ClipRow:
        if not 0 <= index < len(self.rows):
            raise InvalidInput(f"clip {index} is not in {self.path}, which has clips 0 to {len(self.rows) - 1}")
        row = self.rows[index]
        if row.state != "written":
            cause = f"it was rejected ({row.reason}: {row.detail})" if row.state == "refused" else "it is still planned"
            raise InvalidInput(f"clip {row.id!r} has no mel: {cause}")
        return row

    def shard_files(self, start_frame: int, stop_frame: int) -> list[Path]:
        """Return the paths of the Zarr shards of these frames, whether they exist or not."""
        size = self.grid.zarr_shard_frames
        return [self.path / "mel" / "c" / "0" / str(n) for n in range(start_frame // size, -(-stop_frame // size))]

    def read_frames(self, start_frame: int, stop_frame: int) -> Codes:
        """Return the codes of the frames from `start_frame` to `stop_frame`, `[128, frames]`.

        Raises:
            MissingArtifact: a file does not exist, which Zarr alone would read as silence.
            CorruptArtifact: the bytes of a chunk are not those that were written.
        """
        mel = self._array()
        for file in self.shard_files(start_frame, stop_frame):
            if not file.is_file():
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
                mel = zarr.open_array(self.path / "mel", mode="r+", zarr_format=3, config={"write_empty_chunks": True})
            except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
                raise CorruptArtifact(f"{self.path}/mel is not an array: {error}") from error
            self._mel = mel
        return self._mel

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open array, because another process must open its own."""
        return {**self.__dict__, "_mel": None}


def create_array(store: Path, attributes: Mapping[str, Any], total_frames: int) -> None:
    """Create the empty array of a store. If only the metadata of the array was lost, existing frames are kept."""
    grid, dtype = attributes["grid"], Quantizer.from_dict(attributes["quantizer"]).dtype
    n_mels = attributes["mel_spec"]["n_mels"]
    zarr.create_array(
        store / "mel",
        shape=(n_mels, total_frames),
        dtype=dtype,
        chunks=(n_mels, grid["chunk_frames"]),
        shards=(n_mels, grid["zarr_shard_frames"]),
        **_codecs(dtype),
        fill_value=0,
        dimension_names=("mel", "frame"),
        zarr_format=3,
    )


def _codecs(dtype: str) -> dict[str, Any]:
    """Return filters and compressors, which were chosen on real music (tests/benchmarks/bench_store.py)."""
    if dtype == "float32":
        return {"compressors": (BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=4), Crc32cCodec())}
    itemsize = np.dtype(dtype).itemsize
    # for bytes, level 1 is seven times as fast as level 5, and its result is smaller
    level, shuffle = (1, BloscShuffle.noshuffle) if itemsize == 1 else (5, BloscShuffle.shuffle)
    return {
        "filters": Delta(dtype=dtype),
        "compressors": (BloscCodec(cname="zstd", clevel=level, shuffle=shuffle, typesize=itemsize), Crc32cCodec()),
    }


def _grid(path: Path, settings: Any) -> ChunkGrid:
    try:
        return ChunkGrid(**settings)
    except (TypeError, InvalidInput) as error:
        raise CorruptArtifact(f"{path} has an impossible grid: {error}; ingest again with another --store") from error


def _read_attributes(path: Path) -> dict[str, Any]:
    try:
        attributes = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False).attrs["myna"]
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON that is not an object
        raise CorruptArtifact(f"{path} is not a mel store: {error}") from error
    if not isinstance(attributes, dict) or attributes.get("format_version") != FORMAT_VERSION:
        version = attributes.get("format_version") if isinstance(attributes, dict) else None
        raise CorruptArtifact(
            f"{path} has format version {version}, and this version of Myna reads {FORMAT_VERSION}; ingest again with "
            f"another --store"
        )
    if missing := [key for key in _SETTINGS if key not in attributes]:
        raise CorruptArtifact(f"{path} lacks the settings {', '.join(missing)}; ingest again with another --store")
    return dict(attributes)
