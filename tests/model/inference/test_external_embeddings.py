"""Embeddings of other models are matched by id, and files that are not valid are rejected."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_embeddings
import tiny

from model.inference import external_embeddings
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

IDS = ["a", "b", "c"]
EMBEDDINGS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_ids_and_embeddings_are_read_back(tmp_path, suffix):
    external = external_embeddings.read(synthetic_embeddings.write(tmp_path / f"x{suffix}", IDS, EMBEDDINGS))
    assert external.ids == ("a", "b", "c")
    np.testing.assert_array_equal(external.embeddings, EMBEDDINGS)
    assert external.embeddings.dtype == np.float32


def test_the_digest_covers_ids_and_embeddings(tmp_path):
    digests = [
        external_embeddings.read(synthetic_embeddings.write(tmp_path / f"{number}.npz", ids, embeddings)).provenance[
            "digest"
        ]
        for number, (ids, embeddings) in enumerate([(IDS, EMBEDDINGS), (IDS[::-1], EMBEDDINGS), (IDS, EMBEDDINGS + 1)])
    ]
    assert len(set(digests)) == 3
    parquet = external_embeddings.read(synthetic_embeddings.write(tmp_path / "x.parquet", IDS, EMBEDDINGS))
    assert parquet.provenance["digest"] == digests[0]


def test_clips_are_matched_by_id_and_keep_their_order(tmp_path):
    rows = tiny.features(np.zeros((2, 1)), ["x", "y"], ["train", "test"]).rows
    ids = ["clip-1", "other", "clip-0"]
    path = synthetic_embeddings.write(tmp_path / "x.npz", ids, EMBEDDINGS)
    external = external_embeddings.read(path).of(rows, path)
    np.testing.assert_array_equal(external.embeddings, EMBEDDINGS[[2, 0]])
    assert external.rows == rows
    short = synthetic_embeddings.write(tmp_path / "y.npz", ["clip-1"], EMBEDDINGS[:1])
    with pytest.raises(InvalidInput, match=r"y.npz has no embedding for 1 of 2 clips, e.g. 'clip-0'; it has 1"):
        external_embeddings.read(short).of(rows, short)


def test_feature_stores_are_read_with_their_provenance(tmp_path):
    tiny.separable(12).write(tmp_path / "x.features.zarr")
    external = external_embeddings.read(tmp_path / "x.features.zarr")
    assert len(external.ids) == 12
    assert external.provenance["digest"] == "d"


@pytest.mark.parametrize(
    "arrays",
    [
        {"ids": np.array(IDS)},
        {"ids": np.array(IDS, object), "embeddings": EMBEDDINGS},
        {"ids": np.array(IDS), "embeddings": EMBEDDINGS.astype(object)},
        {"ids": np.array(IDS), "embeddings": EMBEDDINGS.astype(np.int64)},
        {"ids": np.array(IDS), "embeddings": EMBEDDINGS[:2]},
        {"ids": np.array(IDS), "embeddings": EMBEDDINGS[..., None]},
        {"ids": np.array(IDS), "embeddings": EMBEDDINGS[:, :0]},
        {"ids": np.array([1, 2, 3]), "embeddings": EMBEDDINGS},
        {"ids": np.array([IDS]), "embeddings": EMBEDDINGS},
        {"ids": np.array(["a", "b", "a"]), "embeddings": EMBEDDINGS},
        {"ids": np.array(IDS), "embeddings": np.where(EMBEDDINGS == 3, np.nan, EMBEDDINGS)},
        {"ids": np.array(IDS), "embeddings": np.where(EMBEDDINGS == 3, 1e300, EMBEDDINGS.astype(np.float64))},
        {"ids": np.array([], str), "embeddings": EMBEDDINGS[:0]},
    ],
)
def test_other_arrays_are_rejected_and_nothing_is_unpickled(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(CorruptArtifact, match=r"x\.npz"):
        external_embeddings.read(tmp_path / "x.npz")


def _column(values, kind=None):
    return pa.array(values, kind or pa.list_(pa.float32(), 2))


@pytest.mark.parametrize(
    "columns",
    [
        {"id": IDS},
        {"id": pa.array([1, 2, 3]), "embedding": _column(EMBEDDINGS.tolist())},
        {"id": IDS, "embedding": _column(EMBEDDINGS.tolist(), pa.list_(pa.float32()))},
        {"id": IDS, "embedding": _column(EMBEDDINGS.tolist(), pa.list_(pa.float64(), 2))},
        {"id": ["a", None, "c"], "embedding": _column(EMBEDDINGS.tolist())},
        {"id": IDS, "embedding": _column([[1.0, 2.0], None, [1.0, 2.0]])},
        {"id": IDS, "embedding": _column([[1.0, 2.0], [None, 1.0], [1.0, 2.0]])},
    ],
)
def test_other_columns_are_rejected(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(CorruptArtifact, match=r"x\.parquet does not hold ids and embeddings"):
        external_embeddings.read(tmp_path / "x.parquet")


@pytest.mark.parametrize("provenance", ["no JSON", "[1]", "[" * 100_000])
def test_a_provenance_that_is_not_a_json_object_is_rejected(tmp_path, provenance):
    table = pa.table({"id": IDS, "embedding": _column(EMBEDDINGS.tolist())})
    pq.write_table(table.replace_schema_metadata({"myna": provenance}), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", ids=np.array(IDS), embeddings=EMBEDDINGS, provenance=np.array(provenance))
    for suffix in (".npz", ".parquet"):
        with pytest.raises(CorruptArtifact, match="does not hold ids and embeddings"):
            external_embeddings.read(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"no", b"PK\x03\x04" + b"\0" * 40, b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_damaged_files_are_rejected(tmp_path, suffix, content):
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(CorruptArtifact):
        external_embeddings.read(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_that_is_too_large_is_rejected_before_it_is_unpacked(tmp_path, suffix, monkeypatch):
    synthetic_embeddings.write(tmp_path / f"x{suffix}", IDS, EMBEDDINGS)
    monkeypatch.setattr(external_embeddings, "MAX_BYTES", 10)
    monkeypatch.setattr(np, "frombuffer", None)
    with pytest.raises(CorruptArtifact, match="must be at most 10 bytes"):
        external_embeddings.read(tmp_path / f"x{suffix}")


def test_an_archive_with_a_repeated_member_is_rejected(tmp_path):
    content = io.BytesIO()
    np.save(content, EMBEDDINGS)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("ids.npy", "embeddings.npy"):
            archive.writestr(name, content.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("embeddings.npy", content.getvalue())
    with pytest.raises(CorruptArtifact, match="once each"):
        external_embeddings.read(tmp_path / "x.npz")


def test_missing_files_and_other_formats_are_rejected(tmp_path):
    with pytest.raises(MissingArtifact, match="no embeddings at"):
        external_embeddings.read(tmp_path / "x.npz")
    (tmp_path / "x.pkl").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"x.pkl must be a feature store, a .npz file or a .parquet file"):
        external_embeddings.read(tmp_path / "x.pkl")


def _claiming(shape, dtype="<f4"):
    """Return an .npy header of this shape without any value."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.mark.parametrize("member", ["ids.npy", "embeddings.npy", "provenance.npy"])
def test_a_header_that_claims_more_than_there_is_is_rejected_before_it_is_allocated(tmp_path, member):
    members = {"ids.npy": np.array(IDS), "embeddings.npy": EMBEDDINGS, "provenance.npy": np.array("{}")}
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, array in members.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(name, _claiming((2**40, 4)) if name == member else content.getvalue())
    with pytest.raises(CorruptArtifact, match=r"needs 17592186044\d+ bytes, but there are 128"):
        external_embeddings.read(tmp_path / "x.npz")


def test_embeddings_in_column_order_are_accepted(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.array(IDS), embeddings=np.asfortranarray(EMBEDDINGS))
    np.testing.assert_array_equal(external_embeddings.read(tmp_path / "x.npz").embeddings, EMBEDDINGS)


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_file_that_is_much_larger_unpacked_is_rejected(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(external_embeddings, "MIN_CHECKED_BYTES", 1 << 10)
    path, zeros = tmp_path / f"x.{kind}", np.zeros((4000, 500), np.float32)
    ids = [str(number) for number in range(4000)]
    if kind == "npz":
        np.savez_compressed(path, ids=np.array(ids), embeddings=zeros)
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(zeros.reshape(-1)), 500)
        pq.write_table(pa.table({"id": ids, "embedding": column}), path, compression="zstd")
    with pytest.raises(CorruptArtifact, match=r"at most 100 times as many are accepted"):
        external_embeddings.read(path)


def test_ids_that_expand_from_a_dictionary_are_rejected_before_they_expand(tmp_path):
    rows, long = 40_000, "x" * 100_000  # 4 GB of text
    table = pa.table(
        {
            "id": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([long])),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows, np.float32)), 1),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(CorruptArtifact, match=r"some of its .* ids more than once"):
        external_embeddings.read(tmp_path / "x.parquet")
    assert pa.default_memory_pool().max_memory() < 1 << 30


def test_an_encoding_of_ids_that_hides_their_size_is_rejected(tmp_path):
    table = pa.table({"id": IDS, "embedding": _column(EMBEDDINGS.tolist())})
    options = {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}}
    pq.write_table(table, tmp_path / "x.parquet", **options)
    with pytest.raises(CorruptArtifact, match="is unknown; write it with plain or dictionary encoding"):
        external_embeddings.read(tmp_path / "x.parquet")
