"""Access to audio in a file, a tar or a Parquet file, and the rejection reason if it is missing."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_audio

from pipeline.audio import source
from pipeline.audio.source import open_audio
from stores.errors import DecodeError


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(7):
        path = tmp_path / "files" / f"{number}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (1000 + number))
        paths.append(path)
    return paths


def _bytes(path, member):
    with open_audio(path, member) as copy:
        return copy.read_bytes()


def _rejection(path, member):
    with pytest.raises(DecodeError) as raised, open_audio(path, member):
        pass
    return raised.value


def test_a_file_is_opened_without_a_copy(files):
    with open_audio(files[0]) as path:
        assert path == files[0]


def test_members_of_a_tar_are_read_in_any_order(files, tmp_path):
    tar = synthetic_audio.pack(tmp_path / "x.tar", files)
    for number in (3, 0, 6, 3):
        assert _bytes(tar, f"{number}.bin") == files[number].read_bytes()


def test_rows_of_a_parquet_file_are_read_in_any_order(files, tmp_path):
    parquet = synthetic_audio.pack(tmp_path / "x.parquet", files)
    for number in (*range(7), 3, 0, 6, 5, 1):
        assert _bytes(parquet, str(number)) == files[number].read_bytes()


def test_the_copy_of_a_member_is_removed_afterward(files, tmp_path):
    tar = synthetic_audio.pack(tmp_path / "x.tar", files)
    with open_audio(tar, "1.bin") as copy:
        assert copy.exists()
    assert not copy.exists()


@pytest.mark.parametrize("suffix", ["tar", "parquet"])
def test_a_container_that_changed_is_read_again(files, tmp_path, suffix):
    name = {"tar": "0.bin", "parquet": "0"}[suffix]
    container = synthetic_audio.pack(tmp_path / f"x.{suffix}", files[:3])
    assert _bytes(container, name) == files[0].read_bytes()
    files[0].write_bytes(b"other")
    synthetic_audio.pack(container, files)
    assert _bytes(container, name) == b"other"


@pytest.mark.parametrize(
    ("suffix", "member"), [("tar", "7.bin"), ("tar", "../0.bin"), ("parquet", "7"), ("parquet", "-1"), ("parquet", "x")]
)
def test_an_absent_member_is_missing(files, tmp_path, suffix, member):
    rejection = _rejection(synthetic_audio.pack(tmp_path / f"x.{suffix}", files), member)
    assert rejection.reason == "missing"
    assert member in rejection.detail


@pytest.mark.parametrize("suffix", ["tar", "parquet"])
def test_an_absent_container_is_missing(tmp_path, suffix):
    assert _rejection(tmp_path / f"x.{suffix}", "0").reason == "missing"


@pytest.mark.parametrize("suffix", ["tar", "parquet"])
@pytest.mark.parametrize("content", [b"", b"x" * 3000])
def test_a_file_that_is_not_a_container_is_rejected(tmp_path, suffix, content):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    assert _rejection(path, "0").reason in ("unreadable", "missing")


def test_a_truncated_tar_is_unreadable_after_its_whole_members(files, tmp_path):
    tar = synthetic_audio.pack(tmp_path / "x.tar", files)
    whole = tar.read_bytes()
    tar.write_bytes(whole[: whole.index(b"\x06" * 1000) + 500])
    assert _rejection(tar, "6.bin").reason in ("missing", "unreadable")
    assert _bytes(tar, "5.bin") == files[5].read_bytes()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_regular_members_are_audio(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        item = tarfile.TarInfo("x")
        item.type, item.linkname = kind, "/etc/passwd"
        tar.addfile(item, io.BytesIO())
    assert _rejection(tmp_path / "x.tar", "x").reason == "missing"


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": "x.wav"}])
def test_a_row_without_audio_has_no_audio(tmp_path, cell):
    schema = pa.schema([("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])
    pq.write_table(pa.Table.from_pylist([{"audio": cell}], schema), tmp_path / "x.parquet")
    assert _rejection(tmp_path / "x.parquet", "0").reason == "no_audio"


def test_a_parquet_file_without_audio_is_rejected(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    assert _rejection(tmp_path / "x.parquet", "0").reason in ("unreadable", "missing")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_gigabytes_needs_no_memory(files, tmp_path, kind):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 7 << 30
    path = synthetic_audio.pack(tmp_path / "x.tar", files[:2])
    two_members = path.read_bytes()[: 2 * (512 + 1024)]
    path.write_bytes(two_members + header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with path.open("r+b") as file:
        file.truncate(8 << 30)  # a hole, as large as the header says
    tracemalloc.start()
    assert _bytes(path, "0.bin") == files[0].read_bytes()  # a member before the damaged header
    assert _rejection(path, "6.bin").reason in ("missing", "unreadable")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_member_that_is_too_large_is_rejected_and_not_copied(files, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_MEMBER_BYTES", 100)
    assert _rejection(synthetic_audio.pack(tmp_path / "x.tar", files), "6.bin").reason == "too_long"
