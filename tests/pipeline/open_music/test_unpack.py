import hashlib
import io
import tarfile
import zipfile

import pytest
import soundfile
from synthetic_audio import noise

from pipeline.open_music.package_table import Package, packages
from pipeline.open_music.unpack import fetch, unpack
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

RATE_HZ = 8_000


def _sound(seconds, seed=0):
    file = io.BytesIO()
    soundfile.write(file, noise(seconds, RATE_HZ, seed), RATE_HZ, format="WAV")
    return file.getvalue()


def _deb(path, files, compression="xz", magic=b"!<arch>\n"):
    """Write a Debian package with these files, and return the row of the table for it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", f"data.tar.{compression}": data.getvalue()}
    blob = magic
    for name, content in parts.items():
        blob += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        blob += b"\n" * (len(content) % 2)
    path.write_bytes(blob)
    digest = hashlib.sha256(blob).hexdigest()
    return Package("made-music", "1:2.0-1", digest, "train", "CC0-1.0", "/music/")


@pytest.fixture
def deb_path(tmp_path):
    return tmp_path / "made-music_1%3a2.0-1_all.deb"


def test_music_is_unpacked_and_sound_effects_and_other_files_are_not(deb_path, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("music/third piece.wav", _sound(21, 3))
        members.writestr("sounds/wind.wav", _sound(21, 4))
    files = {
        "./usr/share/music/one.wav": _sound(21, 1),
        "./usr/share/music/menu/one.wav": _sound(22, 2),
        "./usr/share/music/jingle.wav": _sound(1),
        "./usr/share/music/one.txt": b"text",
        "./usr/share/base.pk3": archive.getvalue(),
    }
    package = _deb(deb_path, files)
    assert unpack(package, fetch(package, tmp_path), tmp_path / "music") == 3
    names = {path.name for path in (tmp_path / "music" / "made-music").iterdir()}
    assert names == {"one.wav", "menu-one.wav", "third_piece.wav"}
    deb_path.unlink()
    assert unpack(package, deb_path, tmp_path / "music") == 3  # what is unpacked is not read again


def test_names_that_leave_the_folder_stay_inside(deb_path, tmp_path):
    package = _deb(deb_path, {"../../music/../../evil.wav": _sound(21), "/etc/music/..wav": _sound(21, 1)})
    unpack(package, deb_path, tmp_path / "music")
    written = {path.name for path in (tmp_path / "music").rglob("*.wav")}
    assert written <= {"evil.wav", "wav"} and not (tmp_path.parent / "evil.wav").exists()  # noqa: PT018
    assert all((tmp_path / "music") in path.parents for path in tmp_path.rglob("*.wav"))


def test_another_digest_is_an_error(deb_path, tmp_path):
    package = _deb(deb_path, {"music/one.wav": _sound(21)})
    deb_path.write_bytes(deb_path.read_bytes() + b"x")
    with pytest.raises(CorruptArtifact, match="SHA-256"):
        fetch(package, tmp_path)


def test_a_missing_package_is_an_error_that_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.open_music.unpack.shutil.which", lambda _name: None)
    with pytest.raises(MissingArtifact, match=r"wesnoth-1\.16-music_1:1\.16"):
        fetch(next(package for package in packages() if package.name.startswith("wesnoth")), tmp_path)


@pytest.mark.parametrize("damage", ["magic", "cut"])
def test_damaged_packages_are_errors_and_leave_no_folder(deb_path, tmp_path, damage):
    package = _deb(deb_path, {"music/one.wav": _sound(21)}, magic=b"!<what>\n" if damage == "magic" else b"!<arch>\n")
    if damage == "cut":
        deb_path.write_bytes(deb_path.read_bytes()[:20_000])
    with pytest.raises(CorruptArtifact):
        unpack(package, deb_path, tmp_path / "music")
    assert list((tmp_path / "music").iterdir()) == []


def test_a_package_without_music_is_an_error(deb_path, tmp_path):
    package = _deb(deb_path, {"sounds/one.wav": _sound(21)})
    with pytest.raises(InvalidInput, match="no recording"):
        unpack(package, deb_path, tmp_path / "music")


def test_no_package_of_the_table_is_used_for_two_purposes():
    table = packages()
    assert len({package.name for package in table}) == len(table)
    assert {package.name for package in packages("judge")} == {"warzone2100-music", "nexuiz-music", "singularity-music"}
    assert len(packages("train")) + len(packages("choice")) + len(packages("judge")) == len(table)
