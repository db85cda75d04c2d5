"""WebDataset shards: the webdataset package reads them, the same clips give the same bytes, and damage is found."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import webdataset

from stores import digest
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact
from stores.mel_spec import MelSpec
from stores.quantize import Quantizer
from stores.shards import Record, ShardSet, decode_record, write_shard


def _record(lengths, first=0, seed=0):
    codes = np.random.default_rng(seed).integers(0, 256, (sum(lengths), 128), dtype=np.uint8)
    return Record(codes, np.arange(first, first + len(lengths)), np.array(lengths, np.int64))


def _write_set(folder, shards=2):
    summaries = [
        write_shard(folder / f"made-{n:06d}.tar", [_record([100, 200], 4 * n, n), _record([50, 96], 4 * n + 2, n + 10)])
        for n in range(shards)
    ]
    shard_set = ShardSet(
        folder, tuple(summaries), {"split test": 3}, "digest", 11, MelSpec(), Quantizer(), {"downmix": "mean"}
    )
    shard_set.write_index()
    return shard_set


def _samples(path, decode=False):
    dataset = webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False)
    return list(dataset.decode() if decode else dataset)


def _npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def _assert_same(record, other):
    np.testing.assert_array_equal(record.codes, other.codes)
    np.testing.assert_array_equal(record.indices, other.indices)
    np.testing.assert_array_equal(record.frames, other.frames)


def test_webdataset_reads_the_records_as_they_were_written(tmp_path):
    records = [_record([100, 200, 96]), _record([500], 3, 1)]
    write_shard(tmp_path / "made-000000.tar", records)
    decoded = [decode_record(sample) for sample in _samples(tmp_path / "made-000000.tar")]
    assert len(decoded) == 2
    for record, original in zip(decoded, records, strict=True):
        _assert_same(record, original)


def test_plain_webdataset_decodes_a_shard(tmp_path):
    record = _record([100, 200])
    write_shard(tmp_path / "made-000000.tar", [record])
    (sample,) = _samples(tmp_path / "made-000000.tar", decode=True)
    np.testing.assert_array_equal(sample["codes.npy"], record.codes)
    np.testing.assert_array_equal(sample["clips.npy"], np.stack([record.indices, record.frames], axis=1))


def test_keys_contain_no_dot_and_members_of_a_key_follow_each_other(tmp_path):
    write_shard(tmp_path / "made-000007.tar", [_record([10])] * 3)
    with tarfile.open(tmp_path / "made-000007.tar") as tar:
        names = tar.getnames()
    kinds = ("codes.npy", "clips.npy", "about.json")
    assert names == [f"made-000007-{n:04d}.{kind}" for n in range(3) for kind in kinds]


@pytest.mark.parametrize("name", ["a.b.tar", "with space.tar", "ä.tar"])
def test_a_name_that_cannot_be_a_key_is_an_error(tmp_path, name):
    with pytest.raises(InvalidInput, match="cannot be a key"):
        write_shard(tmp_path / name, [_record([10])])
    assert list(tmp_path.iterdir()) == []


def test_the_same_records_give_the_same_bytes(tmp_path):
    summaries = [write_shard(tmp_path / name / "made-000000.tar", [_record([100, 96])]) for name in ("a", "b")]
    assert summaries[0] == summaries[1]
    assert (tmp_path / "a/made-000000.tar").read_bytes() == (tmp_path / "b/made-000000.tar").read_bytes()


def test_the_summary_describes_the_file(tmp_path):
    summary = write_shard(tmp_path / "made-000000.tar", [_record([100, 96]), _record([300])])
    assert (summary.name, summary.clips, summary.frames) == ("made-000000.tar", 3, 496)
    assert summary.size_bytes == (tmp_path / "made-000000.tar").stat().st_size
    assert len(summary.sha256) == 64


def test_an_error_while_writing_leaves_no_shard(tmp_path):
    with pytest.raises(AttributeError):
        write_shard(tmp_path / "made-000000.tar", [_record([10]), None])
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_read_from_its_index(tmp_path):
    shard_set = _write_set(tmp_path / "made.shards")
    opened = ShardSet.open(tmp_path / "made.shards")
    assert opened == shard_set
    assert (opened.clips, opened.frames) == (8, 2 * 446)
    assert [path.name for path in opened.paths] == ["made-000000.tar", "made-000001.tar"]


def test_a_folder_without_index_names_the_command_that_makes_it(tmp_path):
    _write_set(tmp_path / "made.shards")
    (tmp_path / "made.shards" / "index.json").unlink()
    with pytest.raises(MissingArtifact, match=r"python -m pipeline.shard .*made.zarr"):
        ShardSet.open(tmp_path / "made.shards")


def test_a_missing_shard_is_found(tmp_path):
    shard_set = _write_set(tmp_path / "made.shards")
    shard_set.paths[1].unlink()
    with pytest.raises(CorruptArtifact, match=r"made-000001.tar has -1 bytes, its index says \d+; shard again"):
        ShardSet.open(shard_set.folder)


def test_a_resized_shard_is_found(tmp_path):
    shard_set = _write_set(tmp_path / "made.shards")
    shard_set.paths[0].write_bytes(shard_set.paths[0].read_bytes()[:-512])
    with pytest.raises(CorruptArtifact, match=r"made-000000\.tar has"):
        ShardSet.open(shard_set.folder)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format_version": 2}', '{"format_version": 1}', '{"format_version": 1, "shards": [{}]}'],
)
def test_an_index_that_cannot_be_read_is_an_error(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(CorruptArtifact):
        ShardSet.open(tmp_path)


def test_an_index_without_one_of_its_keys_is_an_error(tmp_path):
    shard_set = _write_set(tmp_path / "made.shards")
    index = json.loads((shard_set.folder / "index.json").read_text())
    for part in index:
        rest = {name: value for name, value in index.items() if name != part}
        (shard_set.folder / "index.json").write_text(json.dumps(rest))
        with pytest.raises(CorruptArtifact):
            ShardSet.open(shard_set.folder)


@pytest.mark.parametrize(
    "changed",
    [
        *({"clips": -1}, {"clips": "3"}, {"frames": 2.5}, {"frames": 0}, {"size_bytes": True}, {"more": 1}),
        *({"frames": 1 << 62}, {"clips": 1 << 62}, {"clips": 10**30}),
        *({"name": "../up.tar"}, {"name": "/etc/passwd"}, {"name": 3}, {"name": "a.b.tar"}),
    ],
)
def test_an_index_with_an_impossible_shard_is_an_error(tmp_path, changed):
    shard_set = _write_set(tmp_path / "made.shards")
    index = json.loads((shard_set.folder / "index.json").read_text())
    index["shards"][1] |= changed
    index["digest"] = digest.digest({key: value for key, value in index.items() if key != "digest"})
    (shard_set.folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptArtifact, match=r"index.json is damaged: .*; shard again"):
        ShardSet.open(shard_set.folder)


@pytest.mark.parametrize("clips", [-1, 1, 1 << 40, 1 << 62])
def test_an_index_with_an_impossible_number_of_clips_is_an_error(tmp_path, clips):
    shard_set = _write_set(tmp_path / "made.shards")
    index = json.loads((shard_set.folder / "index.json").read_text())
    index["store"]["clips"] = clips
    index["digest"] = digest.digest({key: value for key, value in index.items() if key != "digest"})
    (shard_set.folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptArtifact, match=f"its store cannot have {clips} clips"):
        ShardSet.open(shard_set.folder)


def test_an_index_that_is_nested_too_deeply_is_an_error(tmp_path):
    shard_set = _write_set(tmp_path / "made.shards")
    (shard_set.folder / "index.json").write_text("[" * 100_000)
    with pytest.raises(CorruptArtifact, match="nested more than 64 levels deep"):
        ShardSet.open(shard_set.folder)


class Evil:
    """An object whose pickle creates a file when it is loaded."""

    def __reduce__(self):
        return exec, ("open('evil', 'w')",)


GOOD = {"codes.npy": _npy(np.zeros((5, 128), np.uint8)), "clips.npy": _npy(np.array([[0, 2], [1, 3]]))}


def _zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", GOOD["codes.npy"])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"codes.npy": _npy(np.array([Evil()], object), allow_pickle=True)},
        {"codes.npy": pickle.dumps(Evil())},
        {"codes.npy": b""},
        {"codes.npy": b"not an array"},
        {"codes.npy": b"PK\x03\x04 not a zip"},
        {"codes.npy": _zip()},
        {"codes.npy": GOOD["codes.npy"][:-1]},
        {"codes.npy": GOOD["codes.npy"][:20]},
        {"codes.npy": _npy(np.zeros((5, 128), np.float32))},
        {"codes.npy": _npy(np.zeros(5, np.uint8))},
        {"codes.npy": _npy(np.zeros((6, 128), np.uint8))},
        {"clips.npy": _npy(np.array([[0, 2], [1, 4]]))},
        {"clips.npy": _npy(np.array([[0, 7], [1, -2]]))},
        {"clips.npy": _npy(np.array([[0, 5], [1, 0]]))},
        {"clips.npy": _npy(np.array([0, 5]))},
        {"clips.npy": _npy(np.array([[0, 2, 0], [1, 3, 0]]))},
        {"clips.npy": _npy(np.array([[0, 2], [1, 3]], np.int32))},
        {"clips.npy": _npy(np.array(5))},
    ],
)
def test_a_malformed_record_is_an_error_and_runs_no_code(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorruptArtifact):
        decode_record({"__key__": "made-0", **GOOD, **change})
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("member", ["codes.npy", "clips.npy"])
def test_a_record_without_one_of_its_members_is_an_error(member):
    sample = {"__key__": "made-0", **{name: content for name, content in GOOD.items() if name != member}}
    with pytest.raises(CorruptArtifact, match="'made-0'"):
        decode_record(sample)


def test_a_good_record_is_decoded():
    record = decode_record({"__key__": "made-0", **GOOD})
    assert (record.codes.shape, record.indices.tolist(), record.frames.tolist()) == ((5, 128), [0, 1], [2, 3])


def test_a_record_with_a_wrong_sum_of_lengths_is_an_error():
    with pytest.raises(CorruptArtifact, match="has 5 frames, but its 2 clips claim 6"):
        Record(np.zeros((5, 128), np.uint8), np.arange(2), np.array([3, 3]))
