"""Search in 200,000 x 768: exact with float16 mapped from a file, and by an index, against the limits of the issue.

    python tests/benchmarks/bench_search.py EMBEDDINGS [ROWS]

EMBEDDINGS are embeddings of real windows. They are repeated up to ROWS (200,000 by default) with noise of the spread
that windows have around their nearest neighbor, and brought to 768 numbers by a random rotation if they have others.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.inference import external_embeddings
from model.similarity.ann_index import AnnIndex
from model.similarity.exact import search, unit_rows
from stores.features import CLIPS, FeatureStore

WIDTH, QUERIES, NEIGHBORS = 768, 200, 10


def enlarge(windows: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """Return `rows` unit vectors `[rows, 768]` like the windows `[n, D]`."""
    rng = np.random.default_rng(0)
    units = unit_rows(windows)
    if units.shape[1] != WIDTH:
        units = unit_rows(units @ np.linalg.qr(rng.normal(size=(WIDTH, units.shape[1])))[0].T.astype(np.float32))
    sample = units[rng.permutation(len(units))[:1_000]]
    nearest = search(sample, units, 2).rows[:, 1]
    spread = (sample - units[nearest]).std(axis=0) / np.sqrt(2)
    made = units[rng.integers(0, len(units), rows)]
    made += rng.normal(size=made.shape).astype(np.float32) * spread
    return unit_rows(made)


def milliseconds(run: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> tuple[float, float]:
    """Return the median and the 95th percentile of the time of a query."""
    times = []
    for query in queries:
        start = time.perf_counter()
        run(query[None])
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), float(np.quantile(times, 0.95))


def main(embeddings: str, rows: int = 200_000) -> None:
    """Print times, recall and memory."""
    path = Path(embeddings)
    known = FeatureStore.read(path) if (path / CLIPS).is_file() else external_embeddings.read(path)
    vectors = enlarge(known.embeddings, rows)
    queries = unit_rows(vectors[:: rows // QUERIES][:QUERIES] + 0.01)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, vectors.astype(np.float16))
        mapped = np.load(file, mmap_mode="c")
        search(queries[:3], mapped, NEIGHBORS)
        print(f"exact, {rows:,} x {WIDTH} float16 mapped: {_words(milliseconds(_exact(mapped), queries))}")
        exact = search(queries, mapped, NEIGHBORS).rows
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        index = AnnIndex.build(Path(folder) / "index", vectors, "digest")
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = sum(part.stat().st_size for part in (Path(folder) / "index").iterdir())
        found = index.search(queries, NEIGHBORS).rows
        recall = np.mean([len({*a} & {*b}) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]) / NEIGHBORS
        timing = milliseconds(lambda query: index.search(query, NEIGHBORS), queries)
        print(f"index: {_words(timing)}, recall@{NEIGHBORS} {recall:.4f}, built in {seconds:.0f} s,")
        print(f"  {size / 1e6:.0f} MB on disk, {(after - before) / 1e3:.0f} MB more memory while it was built")


def _exact(mapped: NDArray[np.float16]) -> Callable[[NDArray[np.float32]], object]:
    return lambda query: search(query, mapped, NEIGHBORS)


def _words(timing: tuple[float, float]) -> str:
    return f"{timing[0]:.1f} ms a query (median), {timing[1]:.1f} ms (95th percentile)"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        print(f"{sys.argv[0]} is left out: it needs EMBEDDINGS, as its first lines say")  # as in `make bench`
