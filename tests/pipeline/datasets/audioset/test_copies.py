"""Tests of the search for copies of clips in intact and damaged files, tars and Parquet files."""

from __future__ import annotations

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_audio
from audioset_on_disk import write_file, write_parquet, write_tar

from pipeline.datasets.audioset import inventory
from pipeline.datasets.audioset.copies import (
    COMPRESSED,
    DAMAGED,
    HDF5,
    OTHER_COLUMNS,
    ROW_BYTES,
    UNNAMED,
    UNREADABLE,
    ClipCopy,
    SkippedFile,
    find_copies,
)

IDS = ["--PJHxphWEs", "Yfirstisa_Y", "abcdefghijk", "zyxwvutsrqp"]


def _items(root):
    return list(find_copies(inventory.scan(root)))


def _ids(items):
    return [item.name.youtube_id for item in items if isinstance(item, ClipCopy)]


def _skipped(items):
    return [(item.reason, item.path.rpartition("/")[2]) for item in items if isinstance(item, SkippedFile)]


def test_files_come_before_containers_and_members_are_in_file_order(tmp_path):
    write_file(tmp_path / "z" / f"{IDS[0]}.wav")
    write_tar(tmp_path / "b.tar", [f"{i}.flac" for i in (IDS[2], IDS[1])])
    write_parquet(tmp_path / "a.parquet", IDS[::-1])
    items = _items(tmp_path)
    assert [(item.path.rpartition("/")[2], item.member) for item in items] == [
        (f"{IDS[0]}.wav", ""),
        *[("a.parquet", str(row)) for row in range(4)],
        *[("b.tar", f"{i}.flac") for i in (IDS[2], IDS[1])],
    ]
    assert _ids(items) == [IDS[0], *IDS[::-1], IDS[2], IDS[1]]


def test_sizes_come_from_the_header_or_the_file_system(tmp_path):
    write_file(tmp_path / f"{IDS[0]}.wav", 7)
    write_tar(tmp_path / "a.tar", [(f"{IDS[0]}.wav", 8)])
    write_parquet(tmp_path / "b.parquet", IDS[:1])
    assert [item.size_bytes() for item in _items(tmp_path)] == [7, 8, ROW_BYTES]
    assert ClipCopy(_items(tmp_path)[0].name, str(tmp_path / "gone.wav")).size_bytes() == 0


def test_only_regular_audio_files_of_a_tar_are_copies(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{IDS[0]}.flac")
            info.type, info.linkname = kind, f"{IDS[1]}.flac"
            tar.addfile(info)
        sparse = tarfile.TarInfo(f"{IDS[0]}.flac")
        sparse.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(sparse)
        for name in (f"{IDS[1]}.json", f"../../{IDS[1]}.flac", f"/abs/{IDS[2]}.flac", "cover art.flac"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    items = _items(tmp_path)
    assert _ids(items) == [IDS[1], IDS[2]]
    assert _skipped(items) == [(UNNAMED, "x.tar")]


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_completely(tmp_path, layout):
    name = f"{'folder, with é/' * 20}{IDS[0]}.flac"
    with tarfile.open(tmp_path / "x.tar", "w", format=layout) as tar:
        tar.addfile(tarfile.TarInfo(name))
    assert [item.member for item in _items(tmp_path)] == [name]


def _tar_bytes(tmp_path):
    path = write_tar(tmp_path / "x.tar", [(f"{i}.flac", 1000) for i in IDS])
    return path, bytearray(path.read_bytes())


@pytest.mark.parametrize("cut", [100, 512, 600, 1536, 1537, 2100, 4000, 6100])
def test_a_truncated_tar_gives_its_complete_members(tmp_path, cut):
    path, content = _tar_bytes(tmp_path)
    path.write_bytes(content[:cut])
    items = _items(tmp_path)
    assert _ids(items) == IDS[: (cut + 24) // 1536]  # 512 of header, 1000 of data, 24 of padding
    assert [item.reason for item in items if isinstance(item, SkippedFile)] == ([] if cut == 1536 else [DAMAGED])


def test_a_broken_header_in_the_middle_is_reported(tmp_path):
    path, content = _tar_bytes(tmp_path)
    content[2 * 1536 : 2 * 1536 + 512] = b"\x99" * 512
    path.write_bytes(content)
    *complete, damage = _items(tmp_path)
    assert _ids(complete) == IDS[:2]
    assert (damage.reason, damage.detail) == (DAMAGED, "no header at byte 3072, after 2 members")


def test_negative_sizes_do_not_cause_an_endless_loop(tmp_path):
    path, content = _tar_bytes(tmp_path)
    header = tarfile.TarInfo(f"{IDS[1]}.flac")
    header.size = -1536 - 512
    content[1536:2048] = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(content)
    items = _items(tmp_path)
    assert items[-1].reason == DAMAGED
    assert len(items) <= 3


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, b"\x1f\x8b\x08" + bytes(2000)])
def test_a_file_that_is_not_a_tar_is_reported(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    assert _skipped(_items(tmp_path)) == [(DAMAGED, "x.tar")]


def test_an_empty_tar_is_valid(tmp_path):
    write_tar(tmp_path / "x.tar", [])
    assert _items(tmp_path) == []


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_damaged_parquet_file_is_reported(tmp_path, keep):
    path = write_parquet(tmp_path / "x.parquet", IDS)
    path.write_bytes(path.read_bytes()[:keep])
    (damage,) = _items(tmp_path)
    assert damage.reason == DAMAGED
    assert damage.detail.endswith(", after 0 members")
    assert "\n" not in damage.detail


def test_a_damaged_page_of_ids_is_reported_after_the_intact_rows(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", IDS, use_dictionary=False, row_group_size=2, compression="none")
    content = bytearray(path.read_bytes())
    second = pq.read_metadata(path).row_group(1).column(0)
    start = second.data_page_offset
    content[start : start + second.total_compressed_size] = b"\xff" * second.total_compressed_size
    path.write_bytes(content)
    assert _items(tmp_path)[-1].reason == DAMAGED


@pytest.mark.parametrize(
    "columns",
    [
        {"video_id": IDS},
        {"audio": [{"bytes": b""}] * 4},
        {"video_id": IDS, "audio": IDS},
        {"video_id": IDS, "audio": [{"path": "x"}] * 4},
    ],
)
def test_parquet_files_with_other_columns_are_skipped(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert _skipped(_items(tmp_path)) == [(OTHER_COLUMNS, "x.parquet")]


def test_rows_without_an_id_keep_their_numbers(tmp_path):
    write_parquet(tmp_path / "x.parquet", [IDS[0], None, "?", f"Y{IDS[1]}"], row_group_size=1)
    items = _items(tmp_path)
    assert [(item.name.youtube_id, item.member) for item in items if isinstance(item, ClipCopy)] == [
        (IDS[0], "0"),
        (IDS[1], "3"),
    ]
    assert _skipped(items) == [(UNNAMED, "x.parquet")] * 2


def test_archives_and_files_that_are_not_read_and_unreadable_folders_are_reported():
    contents = inventory.Inventory([], [], [], ["/a/x.7z"], ["/a/y.h5"], [], [], ["/a/shut"])
    assert _skipped(find_copies(contents)) == [(COMPRESSED, "x.7z"), (HDF5, "y.h5"), (UNREADABLE, "shut")]


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_members_of_compressed_archives_are_copies(tmp_path, suffix):
    made = [write_file(tmp_path / "made" / f"{youtube_id}.flac", 10) for youtube_id in IDS]
    synthetic_audio.pack(tmp_path / "root" / f"x.{suffix}", made)
    assert [(item.name.youtube_id, item.member, item.size_bytes()) for item in _items(tmp_path / "root")] == [
        (youtube_id, f"{youtube_id}.flac", 10) for youtube_id in IDS
    ]
