"""The mel store: one Zarr v3 group with every clip's mel, and the manifest that says where each lies.

    NAME.zarr/
      zarr.json            attributes "myna": format_version, grid, mel_spec, quantizer, dataset, root, preprocessing
      mel/                 [128, total_frames], chunked, sharded; uint8 (or uint16) codes as differences along time in
                           Blosc zstd, or float32 power in Blosc zstd + bitshuffle; a CRC-32C behind every chunk
      manifest.parquet     one row per clip; the only place that says a clip is complete
      parts/               rows of finished regions, while an ingest is under way

The driver writes attributes and the manifest; each region of frames has one writer. Zarr does no locking.

Differences along time make 8.5 MB of an hour of real music where bitshuffle alone makes 10.8. numcodecs' Delta is not
in Zarr's own specification, so zarr-python warns on opening it; it runs over a chunk's rows one after another, `mel`
outside and `frame` inside, and needs no transposition.

Every Zarr shard that a clip lies in has its file, also one of zeros: to Zarr a lost file is silence, to us it is lost.

Format versions: a reader reads exactly `FORMAT_VERSION` and refuses every other, older ones too: a store can always be
made again from the audio, so no code is kept for stores of the past. The version rises with every change on disk.
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
from stores.commit import synced
from stores.digest import digest
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.manifest import ClipRow
from stores.mel_spec import MelSpec
from stores.quantize import Codes, Quantizer

FORMAT_VERSION = 3
# Known and meant, see above; without this every worker would say it for every region.
warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3", ZarrUserWarning)
_MANIFEST, _PARTS = "manifest.parquet", "parts"
_SETTINGS = ("grid", "dataset", "root", "mel_spec", "quantizer", "preprocessing")


class MelStore:
    """A mel store on disk; arrays are read when asked for, never before (safe to hand to other processes)."""

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
        """Make an empty store for planned `rows`.

        Args:
            path: a folder that does not exist yet.
            rows: all clips, in the order of their index, with their regions.
            settings: `mel_spec`, `quantizer`, `dataset`, `root`, `preprocessing`, all JSON.
            grid: chunks and Zarr shards.

        Raises:
            InvalidInput: if `path` exists.
        """
        if path.exists():
            raise InvalidInput(f"{path} exists already; open it, or name another store")
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
            complete: refuse a store whose ingest has not ended.

        Raises:
            MissingArtifact: no store there, or an unfinished one.
            CorruptArtifact: something there that is not a mel store of this version.
        """
        path = Path(path)
        if not (path / _MANIFEST).is_file():
            raise MissingArtifact(
                f"no mel store at {path}; make it with `python -m pipeline.ingest DATASET --store {path}`"
            )
        store = cls(path, _read_attributes(path), manifest.read(path / _MANIFEST))
        planned = sum(row.state == "planned" for row in store.rows)
        if complete and planned:
            raise MissingArtifact(
                f"{path} is not finished: {planned} of {len(store.rows)} clips are still planned; "
                f"run the same `python -m pipeline.ingest` again, it goes on where it stopped"
            )
        return store

    @classmethod
    def writer(cls, path: Path) -> MelStore:
        """Open a store to write regions, without its manifest, which may have millions of rows.

        Raises:
            CorruptArtifact: something there that is not a mel store of this version.
        """
        return cls(path, _read_attributes(path), ())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def manifest(self) -> pa.Table:
        """One row per clip, as an Arrow table."""
        return manifest.to_table(self.rows)

    def digest(self) -> str:
        """Fingerprint of everything that can change a stored value: settings, clips and the bytes of their audio."""
        clips = [[row.id, row.frames, row.source_digest] for row in self.rows]
        return digest({"settings": self.value_settings(), "clips": clips})

    def value_settings(self) -> dict[str, Any]:
        """The settings that can change a stored value."""
        return {key: self.attributes[key] for key in ("format_version", "mel_spec", "quantizer", "preprocessing")}

    def codes(self, index: int) -> Codes:
        """What is stored of clip `index`, `[128, frames]` in the quantiser's type.

        Raises:
            InvalidInput: no such clip, or it was refused.
        """
        row = self._written(index)
        return self.read_frames(row.start_frame, row.start_frame + row.frames)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Power mel `[128, frames]` of clip `index`, float32, non-negative.

        Raises:
            InvalidInput: no such clip, or it was refused.
        """
        return self.quantizer.decode(self.codes(index))

    def window(self, index: int, start: int, frames: int) -> NDArray[np.float32]:
        """Power mel `[128, frames]` of clip `index` from its frame `start` on.

        Raises:
            InvalidInput: no such clip, it was refused, or the window is not inside it.
        """
        row = self._written(index)
        if not 0 <= start <= start + frames <= row.frames:
            raise InvalidInput(f"frames {start} to {start + frames} are not inside clip {row.id!r} of {row.frames}")
        first = row.start_frame + start
        return self.quantizer.decode(self.read_frames(first, first + frames))

    def frames(self, start_frame: int, frames: int) -> Codes:
        """What is stored of a run of frames, `[128, frames]`, whichever clips they belong to.

        Chunks are decompressed whole, so that one call for many clips costs less than one for each.

        Raises:
            InvalidInput: the run is not inside the store.
        """
        if not 0 <= start_frame < start_frame + frames <= self._array().shape[1]:
            raise InvalidInput(f"frames {start_frame} to {start_frame + frames} are not inside {self.path}")
        return self.read_frames(start_frame, start_frame + frames)

    def write_region(self, region: Region, codes: Codes) -> None:
        """Write `codes` `[128, n]` at the start of `region`; the rest of its last Zarr shard becomes 0.

        Whole Zarr shards are written, so doing it twice leaves the same bytes.

        Raises:
            InvalidInput: if the codes do not fit into the region.
        """
        if codes.shape[1] > region.frames:
            raise InvalidInput(f"{region.name} owns {region.frames} frames, not {codes.shape[1]}; plan it larger")
        padded = np.pad(codes, ((0, 0), (0, self.grid.round_up(codes.shape[1]) - codes.shape[1])))
        for file in self.shard_files(region.start_frame, region.stop_frame):
            file.unlink(missing_ok=True)  # Zarr would read it first, and fail where a power cut has left half of one
        self._array()[:, region.start_frame : region.start_frame + padded.shape[1]] = padded

    def finish_region(self, region: Region, rows: Sequence[ClipRow]) -> None:
        """Record that the rows of `region` are done, once a power cut cannot take its frames; a restart skips it."""
        for file in self.shard_files(region.start_frame, region.stop_frame):
            if file.exists():  # a region has room for more than its clips turned out to need
                synced(file)
        manifest.write(self.path / _PARTS / f"{region.name}.parquet", rows)

    def is_finished(self, region: Region) -> bool:
        """Whether `finish_region` was reached for it."""
        return (self.path / _PARTS / f"{region.name}.parquet").is_file()

    def merged_rows(self) -> list[ClipRow]:
        """The manifest's rows with those of all finished regions in place."""
        parts = sorted((self.path / _PARTS).glob("region-*.parquet"))
        return manifest.merge(self.rows, (row for part in parts for row in manifest.read(part)))

    def update(self, rows: Sequence[ClipRow]) -> None:
        """Replace the manifest by `rows`, which hold all finished regions, and lengthen the frame axis to theirs.

        Only the driver calls it, while no task runs.
        """
        manifest.write(self.path / _MANIFEST, rows)
        self.rows = list(rows)
        shutil.rmtree(self.path / _PARTS, ignore_errors=True)
        self.extend_axis()

    def extend_axis(self) -> None:
        """Make the frame axis as long as the manifest's regions; a kill between the two leaves it short."""
        mel, frames = self._array(), manifest.total_frames(self.rows)
        if mel.shape[1] < frames:
            mel.resize((mel.shape[0], frames))

    def move_root(self, root: str) -> None:
        """Record that the audio lies under another folder now."""
        self.attributes["root"] = root
        zarr.open_group(self.path, mode="r+", zarr_format=3, use_consolidated=False).attrs["myna"] = self.attributes

    def require_settings(self, settings: Mapping[str, Any]) -> None:
        """Check that an ingest with `settings` may go on in this store.

        Raises:
            DigestMismatch: naming each setting that differs.
        """
        differing = [key for key in settings if self.attributes.get(key) != settings[key]]
        if differing:
            lines = [f"  {key}: store {self.attributes.get(key)!r}, now {settings[key]!r}" for key in differing]
            raise DigestMismatch(
                f"{self.path} was made with other settings; name another --store or remove it:\n" + "\n".join(lines)
            )

    def _written(self, index: int) -> ClipRow:
        if not 0 <= index < len(self.rows):
            raise InvalidInput(f"clip {index} is not in {self.path}, which has clips 0 to {len(self.rows) - 1}")
        row = self.rows[index]
        if row.state != "written":
            raise InvalidInput(f"clip {row.id!r} has no mel: {row.state} {row.reason} {row.detail}".rstrip())
        return row

    def shard_files(self, start_frame: int, stop_frame: int) -> list[Path]:
        """The files of the Zarr shards that hold these frames, whether they exist or not."""
        size = self.grid.zarr_shard_frames
        return [self.path / "mel" / "c" / "0" / str(n) for n in range(start_frame // size, -(-stop_frame // size))]

    def read_frames(self, start_frame: int, stop_frame: int) -> Codes:
        """What is stored there, `[128, frames]`, whoever's it is.

        Raises:
            MissingArtifact: a file is gone; Zarr alone would give silence.
            CorruptArtifact: the bytes of a chunk are not those that were written.
        """
        mel = self._array()
        for file in self.shard_files(start_frame, stop_frame):
            if not file.is_file():
                raise MissingArtifact(
                    f"{file} is gone; make it again: `python -m pipeline.verify {self.path} --repair`"
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
        """Without the open array: another process opens its own."""
        return {**self.__dict__, "_mel": None}


def create_array(store: Path, attributes: Mapping[str, Any], total_frames: int) -> None:
    """Make the array of a store, empty; frames that are there keep their places, should only its metadata be gone."""
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
    """Filters and compressor of the array, chosen by measuring on real music (tests/benchmarks/bench_store.py)."""
    if dtype == "float32":
        return {"compressors": (BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=4), Crc32cCodec())}
    itemsize = np.dtype(dtype).itemsize
    # for bytes level 1 is not only seven times as fast as 5, but smaller, too
    level, shuffle = (1, BloscShuffle.noshuffle) if itemsize == 1 else (5, BloscShuffle.shuffle)
    return {
        "filters": Delta(dtype=dtype),
        "compressors": (BloscCodec(cname="zstd", clevel=level, shuffle=shuffle, typesize=itemsize), Crc32cCodec()),
    }


def _grid(path: Path, stated: Any) -> ChunkGrid:
    try:
        return ChunkGrid(**stated)
    except (TypeError, InvalidInput) as error:
        raise CorruptArtifact(
            f"{path} has a grid that cannot be: {error}; ingest again under another --store"
        ) from error


def _read_attributes(path: Path) -> dict[str, Any]:
    try:
        attributes = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False).attrs["myna"]
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:  # TypeError: JSON, but no object
        raise CorruptArtifact(f"{path} is not a mel store: {error}") from error
    if not isinstance(attributes, dict) or attributes.get("format_version") != FORMAT_VERSION:
        version = attributes.get("format_version") if isinstance(attributes, dict) else None
        raise CorruptArtifact(
            f"{path} has format version {version}; this version of Myna reads {FORMAT_VERSION}; ingest again under "
            f"another --store"
        )
    if missing := [key for key in _SETTINGS if key not in attributes]:
        raise CorruptArtifact(f"{path} does not say its {', '.join(missing)}; ingest again under another --store")
    return dict(attributes)
