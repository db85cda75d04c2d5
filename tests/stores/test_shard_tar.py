"""Random access to shards: the same clips as through webdataset, and damage is an error."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import webdataset

from stores.errors import CorruptArtifact
from stores.shard_tar import ShardTar
from stores.shards import Record, decode_record, write_shard

NAME = "made-000000.tar"


def _record(lengths, first=0, mels=128):
    codes = np.random.default_rng(first).integers(0, 256, (sum(lengths), mels), dtype=np.uint8)
    return Record(codes, np.arange(first, first + len(lengths)), np.array(lengths, np.int64))


@pytest.fixture
def summary(tmp_path):
    """The summary of a shard with three records and five clips."""
    return write_shard(tmp_path / NAME, [_record([100, 200]), _record([96], 2), _record([120, 97], 3)])


def _read(tar, clip, first=0, frames=96):
    window = np.empty((frames, 128), np.uint8)
    tar.read([tar.offsets[clip] + 128 * first], [window])
    return window


def test_a_scan_finds_the_clips_that_webdataset_finds(tmp_path, summary):
    tar = ShardTar.scan(tmp_path / NAME, summary, 128)
    records = [decode_record(sample) for sample in webdataset.WebDataset(str(tmp_path / NAME), shardshuffle=False)]
    assert tar.indices.tolist() == [index for record in records for index in record.indices]
    assert tar.frames.tolist() == [frames for record in records for frames in record.frames]
    clips = [clip for record in records for clip in np.split(record.codes, np.cumsum(record.frames)[:-1])]
    for place, clip in enumerate(clips):
        np.testing.assert_array_equal(_read(tar, place, 0, len(clip)), clip)
        np.testing.assert_array_equal(_read(tar, place, len(clip) - 96), clip[-96:])


def test_windows_are_read_in_one_call_in_any_order(tmp_path, summary):
    tar = ShardTar.scan(tmp_path / NAME, summary, 128)
    windows = np.empty((3, 96, 128), np.uint8)
    tar.read(tar.offsets[[4, 0, 4]].tolist(), list(windows))
    for window, clip in zip(windows, [4, 0, 4], strict=True):
        np.testing.assert_array_equal(window, _read(tar, clip))


def _member(name, content, **changed):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in changed.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.GNU_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


CODES, CLIPS = _npy(np.zeros((613, 128), np.uint8)), _npy(np.array([[0, 100], [1, 200], [2, 96], [3, 120], [4, 97]]))


def _tar(codes=CODES, clips=CLIPS, names=("a.codes.npy", "a.clips.npy"), **changed):
    return _member(names[0], codes, **changed) + _member(names[1], clips) + bytes(1024)


def test_a_tar_from_single_members_is_read(tmp_path, summary):
    (tmp_path / NAME).write_bytes(_tar())
    assert ShardTar.scan(tmp_path / NAME, summary, 128).frames.tolist() == [100, 200, 96, 120, 97]


HUGE = 2**62


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"holds 0 clips of 0 frames, its index says 5 of 613; shard again"),
        (bytes(2048), "holds 0 clips"),
        (_tar()[:300], "cannot be read: truncated header"),
        (_tar()[:2000], "is not a whole regular file"),
        (b"xyz" + _tar()[3:], "cannot be read: bad checksum"),
        (_tar()[:700] + bytes(512), "is not a whole regular file"),
        (_tar(size=2**40), "of 1099511627776 bytes is not a whole regular file"),
        (_tar(size=-512), "of -512 bytes is not a whole regular file"),
        (_tar(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is not a whole regular file"),
        (_tar(type=tarfile.XHDTYPE), "is not a whole regular file"),
        (_tar(names=("a.clips.npy", "a.codes.npy")), "member 'a.clips.npy' is followed by 'a.codes.npy'"),
        (_tar(names=("a.codes.npy", "b.clips.npy")), "member 'a.codes.npy' is followed by 'b.clips.npy'"),
        (_member("a.codes.npy", CODES) + bytes(1024), "is followed by 'nothing'"),
        (_tar(codes=CODES[:100]), "header|EOF"),
        (_tar(codes=CODES[:-1]), "there are"),
        (_tar(codes=b"garbage" + CODES[7:]), "magic"),
        (_tar(codes=_npy(np.zeros((613, 64), np.uint8))), r"uint8 \(613, 64\), and uint8 \(frames, 128\) is needed"),
        (_tar(codes=_npy(np.zeros((613, 128), np.int8))), "holds int8"),
        (_tar(clips=_npy(np.zeros(10, np.int64))), r"holds int64 \(10,\)"),
        (_tar(clips=_npy(np.zeros((5, 2), np.int32))), "holds int32"),
        (_tar(clips=_npy(np.array([[0, 612]]))), "a record has 613 frames, but its 1 clips claim 612"),
        (_tar(clips=_npy(np.array([[0, -1], [1, 614]]))), "a record has 613 frames, but its 2 clips claim 613"),
        (_tar(clips=_npy(np.array([[0, 0], [1, 613]]))), "clips without frames"),
        (_tar(clips=_npy(np.array([[0, HUGE], [1, HUGE], [2, HUGE], [3, HUGE], [4, 613]]))), "but its 5 clips claim"),
        (_tar(clips=_npy(np.array([[0, 613]]))), "holds 1 clips of 613 frames, its index says 5 of 613"),
    ],
)
def test_a_shard_that_contradicts_its_index_is_an_error(tmp_path, summary, content, message):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(CorruptArtifact, match=message) as raised:
        ShardTar.scan(tmp_path / NAME, summary, 128)
    assert str(tmp_path / NAME) in str(raised.value)
    assert "shard again" in str(raised.value)


def test_a_missing_shard_is_an_error(tmp_path, summary):
    with pytest.raises(CorruptArtifact, match=r"cannot be read: .*No such file"):
        ShardTar.scan(tmp_path / "other.tar", summary, 128)
    tar = ShardTar.scan(tmp_path / NAME, summary, 128)
    (tmp_path / NAME).unlink()
    with pytest.raises(CorruptArtifact, match=r"can no longer be read: .*No such file"):
        _read(tar, 0)


def test_a_shard_that_changed_after_the_scan_is_an_error(tmp_path, summary):
    tar = ShardTar.scan(tmp_path / NAME, summary, 128)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content[:-512])
    with pytest.raises(CorruptArtifact, match="has changed since the run began; start the same command again"):
        _read(tar, 0)


def test_bytes_after_the_end_are_an_error(tmp_path, summary):
    tar = ShardTar.scan(tmp_path / NAME, summary, 128)
    with pytest.raises(CorruptArtifact, match="has changed"):
        replace(tar, offsets=tar.offsets + 10**9).read([10**9], [np.empty((96, 128), np.uint8)])
