"""An approximate index of clip vectors (HNSW by usearch, int8), whose candidates are ranked exactly.

EMBEDDINGS.index/
  graph.usearch        the graph, with vectors of int8
  vectors.npy          float16 [C, D], unit vectors, mapped into memory for the exact ranking of candidates
  index.json           digest of the embeddings, shape, and the width of the search, which usearch does not store

An index is refused if its embeddings have changed. The package usearch is the extra `search`.

Axes: C clip, Q query, K neighbor, D width.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.similarity.collection import Collection
from model.similarity.config import MAX_EXACT_CLIPS
from model.similarity.exact import Matches
from stores import npy
from stores.commit import write_json
from stores.errors import CorruptArtifact, DigestMismatch, InvalidInput, MissingArtifact
from stores.json_codec import read_json

CANDIDATES = 50
"""Clips of the graph that are ranked exactly, or more if more neighbors are wanted."""
CONNECTIVITY, BUILD_WIDTH, SEARCH_WIDTH = 24, 128, 160
"""Edges of a node of the graph, and candidates that are kept while it is built and searched (usearch's expansion)."""
FORMAT_VERSION = 1
_GRAPH, _VECTORS, _METADATA = "graph.usearch", "vectors.npy", "index.json"
_MAX_METADATA_BYTES = 10_000


@dataclass(frozen=True)
class AnnIndex:
    """An index in memory, with the vectors mapped from disk."""

    graph: Any
    """Graph of usearch."""
    vectors: NDArray[np.float16]
    """Unit vectors `[C, D]`."""

    @classmethod
    def build(cls, folder: Path, vectors: NDArray[np.float32], digest: str) -> AnnIndex:
        """Build the index of unit vectors `[C, D]` and write it to `folder`, where it replaces an existing one.

        Args:
            folder: folder of the index.
            vectors: unit vectors of all clips.
            digest: digest of the embeddings.

        Raises:
            MissingArtifact: usearch is not installed.
        """
        building = folder.with_name(f".{folder.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        graph = _new_graph(vectors.shape[1])
        graph.add(np.arange(len(vectors)), vectors, threads=0)
        graph.save(str(building / _GRAPH))
        with (building / _VECTORS).open("wb") as file:
            npy.write(file, vectors.astype("<f2"))
        metadata = {
            "format_version": FORMAT_VERSION,
            "digest": digest,
            "clips": len(vectors),
            "width": vectors.shape[1],
        }
        write_json(building / _METADATA, {**metadata, "search_width": SEARCH_WIDTH})
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
        return cls.read(folder, digest)

    @classmethod
    def read(cls, folder: Path, digest: str) -> AnnIndex:
        """Read the index in `folder`.

        Args:
            folder: folder of the index.
            digest: digest that the embeddings have now.

        Raises:
            MissingArtifact: there is no index, or usearch is not installed.
            DigestMismatch: the index was built from other embeddings.
            CorruptArtifact: a file of the index is damaged.
        """
        if not (folder / _METADATA).is_file():
            raise MissingArtifact(f"no index at {folder}; build it with --index")
        metadata = read_json(folder / _METADATA, _MAX_METADATA_BYTES)
        if metadata.get("digest") != digest:
            raise DigestMismatch(
                f"{folder} was built from other embeddings than the present ones; build it with --index"
            )
        try:
            vectors = _map_vectors(folder / _VECTORS, (metadata["clips"], metadata["width"]))
            graph = _new_graph(metadata["width"])
            graph.load(str(folder / _GRAPH))
            if len(graph) != len(vectors) or metadata["format_version"] != FORMAT_VERSION:
                raise ValueError(f"its graph has {len(graph)} of {len(vectors)} clips")
            graph.expansion_search = int(metadata["search_width"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CorruptArtifact(f"{folder} cannot be read: {error}; build it again with --index") from error
        return cls(graph, vectors)

    def search(self, queries: NDArray[np.float32], count: int) -> Matches:
        """Return about the `count` nearest clips of each query `[Q, D]`, ranked by their exact cosines.

        Raises:
            InvalidInput: the queries have another width than the index.
        """
        if queries.shape[1] != self.vectors.shape[1]:
            raise InvalidInput(f"the query has {queries.shape[1]} numbers, but the index has {self.vectors.shape[1]}")
        count = min(count, len(self.vectors))
        wanted = min(max(CANDIDATES, count), len(self.vectors))
        found = [np.sort(self.graph.search(query, wanted).keys.astype(np.int64)) for query in queries]
        cosines = [
            np.asarray(self.vectors[rows], np.float32) @ query for rows, query in zip(found, queries, strict=True)
        ]
        orders = [np.argsort(-values, kind="stable")[:count] for values in cosines]
        return Matches(
            np.stack([values[order] for values, order in zip(cosines, orders, strict=True)]),
            np.stack([rows[order] for rows, order in zip(found, orders, strict=True)]),
        )


def index_folder(embeddings: Path) -> Path:
    """Return the folder of the index of embeddings, which is beside them."""
    return embeddings.with_name(embeddings.name.removesuffix(".zarr") + ".index")


def open_index(collection: Collection) -> AnnIndex | None:
    """Return the index of a collection that is large enough to need one; None if it is small or has no index.

    Raises:
        DigestMismatch, CorruptArtifact, MissingArtifact: see `AnnIndex.read`.
    """
    folder = index_folder(collection.path)
    if len(collection.clips) <= MAX_EXACT_CLIPS:
        return None
    if not folder.is_dir():
        count = f"{len(collection.clips):,}"
        print(f"note: {count} clips are compared one by one; model.search --index builds an index", file=sys.stderr)
        return None
    return AnnIndex.read(folder, collection.digest)


def _new_graph(width: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingArtifact(
            "an index needs the package usearch; install it with `pip install 'myna[search]'`"
        ) from error
    return Index(
        ndim=width,
        metric="ip",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=BUILD_WIDTH,
        expansion_search=SEARCH_WIDTH,
    )


def _map_vectors(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    with path.open("rb") as file:
        dtype, stored = npy.read_header(file, path.stat().st_size)
        offset = file.tell()
    if stored != shape or dtype != np.dtype("<f2"):
        raise ValueError(f"{path.name} is {dtype} {stored}, and float16 {shape} is needed")
    return np.memmap(path, dtype, "c", offset, shape)
