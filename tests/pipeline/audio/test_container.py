"""Names in archives, sound and hostile."""

from __future__ import annotations

import io
import random
import stat
import tarfile
import zipfile

import pyarrow as pa
import pytest

from pipeline.audio import container
from pipeline.audio.container import DamagedContainer
from pipeline.audio.source import open_audio
from stores.errors import DecodeError

FILES = {"a/1.wav": b"one", "../../2.wav": b"two", "/abs/3.wav": b"three", "é 4.wav": b"four"}
SUFFIXES = ("tar", "tar.gz", "tgz", "zip", "ZIP")


def _write(path, files=FILES):
    kind = container.kind(path.name)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_are_listed_and_read_and_never_unpacked_to_their_paths(tmp_path, suffix):
    folder = tmp_path / "b" / "c" / "d"
    folder.mkdir(parents=True)
    path = _write(folder / f"x.{suffix}")
    assert [(member.name, member.size_bytes) for member in container.members(path)] == [
        (name, len(content)) for name, content in FILES.items()
    ]
    for name, content in reversed(FILES.items()):
        with open_audio(path, name) as copy:
            assert copy.read_bytes() == content
            assert tmp_path not in copy.parents
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_first_bytes_are_read_only_where_they_are_wanted(tmp_path, suffix):
    path = _write(tmp_path / f"x.{suffix}")
    heads = {member.name: member.head for member in container.members(path, lambda name: name.endswith("2.wav"))}
    assert heads == {**dict.fromkeys(FILES, b""), "../../2.wav": b"two"}


def test_links_and_devices_in_a_zip_are_no_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link.wav")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.mkdir("folder.wav")
    assert list(container.members(tmp_path / "x.zip")) == []
    with pytest.raises(DecodeError, match="missing"), open_audio(tmp_path / "x.zip", "link.wav"):
        pass


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_links_and_devices_are_passed_to_skip_and_folders_are_not(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            link = zipfile.ZipInfo("soft.wav")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "a.wav")
            archive.mkdir("folder.wav")
    else:
        with tarfile.open(path, "w:gz" if suffix == "tar.gz" else "w") as archive:
            for name, kind in {"soft.wav": tarfile.SYMTYPE, "hard.wav": tarfile.LNKTYPE, "d": tarfile.DIRTYPE}.items():
                item = tarfile.TarInfo(name)
                item.type, item.linkname = kind, "a.wav"
                archive.addfile(item)
    skipped = []
    assert list(container.members(path, skip=skipped.append)) == []
    assert skipped == (["soft.wav"] if suffix == "zip" else ["soft.wav", "hard.wav"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_last_of_several_members_of_one_name_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("1.wav", b"old")
        archive.writestr("1.wav", b"new")
    assert [member.name for member in container.members(tmp_path / "x.zip")] == ["1.wav", "1.wav"]
    with open_audio(tmp_path / "x.zip", "1.wav") as copy:
        assert copy.read_bytes() == b"new"


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_tars_that_were_joined_are_read_to_the_end(tmp_path, suffix):
    parts = [_write(tmp_path / f"{number}.{suffix}", {f"{number}.wav": bytes([number])}) for number in range(3)]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert [member.name for member in container.members(path)] == ["0.wav", "1.wav", "2.wav"]
    with open_audio(path, "2.wav") as copy:
        assert copy.read_bytes() == b"\2"


def test_bytes_behind_a_tar_that_are_no_tar_are_damage(tmp_path):
    path = _write(tmp_path / "x.tar", {"a.wav": b"a"})
    path.write_bytes(path.read_bytes() + b"x" * 1_000)
    names = []
    with pytest.raises(container.DamagedContainer):
        names += [member.name for member in container.members(path) if not names.append(member.name)]
    assert names == ["a.wav"]


def _set_encrypted(content):
    local, central = content.index(b"PK\3\4"), content.index(b"PK\1\2")
    content[local + 6] |= 1
    content[central + 8] |= 1


def _set_unknown_method(content):
    local, central = content.index(b"PK\3\4"), content.index(b"PK\1\2")
    content[local + 8] = content[central + 10] = 97


def _flip_data(content):
    content[45] ^= 0xFF


@pytest.mark.parametrize("damage", [_set_encrypted, _set_unknown_method, _flip_data])
def test_a_member_of_a_zip_that_cannot_be_read_is_rejected(tmp_path, damage):
    path = _write(tmp_path / "x.zip", {"sound.wav": bytes(range(256)) * 10})
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    assert [member.name for member in container.members(path, lambda _: True)] == ["sound.wav"]
    with pytest.raises(DecodeError) as raised, open_audio(path, "sound.wav"):
        pass
    assert raised.value.reason == "unreadable"


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("content", [b"", b"no archive" * 400])
def test_a_file_that_is_no_archive_is_damaged(tmp_path, suffix, content):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DamagedContainer):
        list(container.members(path))


def test_a_tar_in_gzip_that_ends_early_gives_its_first_members(tmp_path):
    rng = random.Random(0)
    path = _write(tmp_path / "x.tar.gz", {f"{n}.wav": rng.randbytes(50_000) for n in range(10)})
    path.write_bytes(path.read_bytes()[:260_000])
    names = []
    with pytest.raises(DamagedContainer, match="ends early"):
        names += [member.name for member in container.members(path) if not names.append(member.name)]
    assert names[:5] == [f"{n}.wav" for n in range(5)]
    assert len(names) < 10


def test_a_member_that_expands_beyond_the_limit_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.audio.source.MAX_MEMBER_BYTES", 1000)
    for suffix in ("zip", "tar.gz"):
        path = _write(tmp_path / f"x.{suffix}", {"bomb.wav": bytes(100_000)})
        with pytest.raises(DecodeError, match="too_long"), open_audio(path, "bomb.wav"):
            pass


@pytest.mark.parametrize(
    ("names", "column"), [(["audio"], "audio"), (["sound", "audio"], "audio"), (["recording"], "recording")]
)
def test_the_column_of_audio_is_found_by_its_type(names, column):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert container.audio_column(pa.schema([("id", pa.string()), *((name, kind) for name in names)])) == column
    with pytest.raises(pa.ArrowInvalid, match="no column holds audio"):
        container.audio_column(pa.schema([("audio", pa.string())]))
