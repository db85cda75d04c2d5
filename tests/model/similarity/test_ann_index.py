"""An index returns nearly the exact neighbors, and is refused when its embeddings have changed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from model.similarity import exact
from model.similarity.ann_index import AnnIndex
from stores.errors import CorruptArtifact, DigestMismatch, MissingArtifact

pytest.importorskip("usearch", reason="needs the extra `search`")


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return exact.unit_rows(rng.normal(size=(40, 64))[np.arange(2_000) % 40] + rng.normal(size=(2_000, 64)))


@pytest.fixture
def folder(tmp_path, vectors):
    AnnIndex.build(tmp_path / "index", vectors, "digest")
    return tmp_path / "index"


def test_an_index_finds_the_exact_neighbors_and_ranks_them_exactly(folder, vectors):
    index = AnnIndex.read(folder, "digest")
    found, wanted = (search(vectors[:200], 10) for search in (index.search, _exact_search(vectors)))
    shared = [len({*a} & {*b}) for a, b in zip(found.rows.tolist(), wanted.rows.tolist(), strict=True)]
    assert sum(shared) / 2_000 >= 0.98
    assert (np.diff(found.cosines, axis=1) <= 0).all()
    assert index.graph.expansion_search == json.loads((folder / "index.json").read_text())["search_width"]


def _exact_search(vectors):
    return lambda queries, count: exact.search(queries, vectors.astype(np.float16), count)


def test_an_index_of_other_embeddings_is_refused(folder):
    with pytest.raises(DigestMismatch, match="was built from other embeddings than the present ones; build it with"):
        AnnIndex.read(folder, "another")


def test_a_missing_index_is_an_error_that_says_how_to_build_it(tmp_path):
    with pytest.raises(MissingArtifact, match="build it with --index"):
        AnnIndex.read(tmp_path / "none", "digest")


@pytest.mark.parametrize("damage", ["vectors", "graph", "width"])
def test_a_damaged_index_is_an_error(folder, damage):
    if damage == "width":
        content = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps({**content, "width": 10**9}))
    else:
        path = folder / {"vectors": "vectors.npy", "graph": "graph.usearch"}[damage]
        path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(CorruptArtifact, match="build it again with --index"):
        AnnIndex.read(folder, "digest")


def test_building_again_replaces_the_index(folder, vectors):
    AnnIndex.build(folder, vectors[:50], "new")
    assert AnnIndex.read(folder, "new").vectors.shape == (50, 64)
    assert [path.name for path in folder.parent.iterdir()] == ["index"]
