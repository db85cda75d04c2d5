"""Paths on remote storage, with fsspec's storage in memory and one that fails."""

from __future__ import annotations

import functools
import http.server
import pickle
import threading
from pathlib import Path

import fsspec
import pytest
import synthetic_audio
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.audio import remote, source
from pipeline.audio.remote import RemotePath, audio_path, name_below
from pipeline.audio.source import open_audio
from pipeline.datasets import audio_files, dataset_root, folder
from stores.errors import DecodeError, InvalidInput, MissingArtifact

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket in memory."""
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return audio_path("memory://bucket/music/")


def _put(path, content=CONTENT):
    fsspec.filesystem("memory").pipe_file(path.url.partition("://")[2], content)
    return path


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket/a", "https://host/a/b", "http://host/a"])
def test_text_with_a_protocol_is_never_a_local_path(url, monkeypatch):
    monkeypatch.setattr(remote, "_file_system", lambda url: (None, url))
    path = audio_path(f"{url}/")
    assert isinstance(path, RemotePath)
    space = "%20" if url.startswith("http") else " "
    assert (str(path), str(path / "x y.wav")) == (url, f"{url}/x{space}y.wav")
    assert (name_below(path / "a b" / "x y.wav", path), (path / "x y.wav").name) == ("a b/x y.wav", "x y.wav")
    assert pickle.loads(pickle.dumps(path)) == path
    monkeypatch.setenv("MYNA_DATA", url)
    assert dataset_root.locate("gtzan", None) == RemotePath(f"{url}/gtzan")


def test_local_paths_and_file_urls_are_local(tmp_path, monkeypatch):
    assert audio_path(tmp_path / "a" / ".." / "b") == tmp_path / "b"
    assert audio_path(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    monkeypatch.chdir(tmp_path)
    assert audio_path("data") == tmp_path / "data"
    assert dataset_root.locate("x", str(tmp_path)) == tmp_path
    assert dataset_root.require_local(tmp_path) == tmp_path


@pytest.mark.parametrize("url", ["ftp://host/a", "zip://a.wav::file:///a.zip", "s3://", "://x", "nonesuch://a"])
def test_other_protocols_are_errors(url):
    with pytest.raises(InvalidInput, match=r"use a local folder, or a URL that begins with one of s3://"):
        audio_path(url)


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", r"'myna\[remote\]'"), ("gs", "gcsfs"), ("az", "adlfs"), ("abfs", "adlfs")]
)
def test_a_missing_package_is_an_error_that_says_what_to_install(scheme, package, monkeypatch):
    def no_package(*_, **__):
        raise ImportError("Install it to access this storage")

    monkeypatch.setattr(fsspec, "filesystem", no_package)
    with pytest.raises(InvalidInput, match=rf"{scheme}:// needs a package .*pip install {package}$"):
        audio_path(f"{scheme}://bucket")


def test_a_dataset_that_is_read_from_local_folders_says_so():
    with pytest.raises(InvalidInput, match=r"not read from s3://b.*Remote storage is read by folder"):
        dataset_root.require_local(RemotePath("s3://b"))


def test_an_object_is_copied_to_a_temporary_file(bucket):
    path = _put(bucket / "a b" / "x#1?.wav")
    status = path.stat()
    assert (status.st_size, status.st_mtime_ns > 0, path.is_file(), path.is_dir()) == (len(CONTENT), True, True, True)
    with open_audio(path) as copy:
        assert copy.read_bytes() == CONTENT
    assert not copy.exists()
    assert path.read_head(5) == CONTENT[:5]
    assert name_below(path, bucket) == "a b/x#1?.wav"
    assert [entry.name for entry in bucket.iterdir()] == ["a b"]


def test_an_object_that_does_not_exist_is_missing(bucket):
    path = bucket / "gone.wav"
    assert not path.is_file()
    with pytest.raises(FileNotFoundError):
        path.stat()
    with pytest.raises(DecodeError, match="missing") as raised, open_audio(path):
        pass
    assert raised.value.reason == "missing"
    assert list((bucket / "none").iterdir()) == []
    assert (bucket / "none").files() == {}


def test_an_object_over_the_limit_is_rejected(bucket, monkeypatch):
    monkeypatch.setattr(source, "MAX_MEMBER_BYTES", 1000)
    with pytest.raises(DecodeError, match="too_long"), open_audio(_put(bucket / "x.wav")):
        pass


class _Unreliable:
    """A file that fails after every `after` bytes, and cannot seek if `seekable` is false."""

    def __init__(self, content, after, seekable=True):
        self._content, self._after, self._seekable, self._offset = content, after, seekable, 0
        self._given = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def seekable(self):
        return self._seekable

    def seek(self, offset):
        self._offset = offset

    def read(self, size):
        if self._given >= self._after:
            raise ConnectionError("connection reset")
        block = self._content[self._offset : self._offset + min(size, self._after)]
        self._offset += len(block)
        self._given += len(block)
        return block


@pytest.mark.parametrize("seekable", [True, False])
def test_a_read_that_fails_continues_where_it_stopped(bucket, monkeypatch, seekable):
    path = _put(bucket / "x.wav")
    opened = []

    def unreliable(*_, **__):
        opened.append(1)
        after = 100_000 if seekable else 100_000 * len(opened)  # without a seek, everything is read again
        return _Unreliable(CONTENT, after, seekable)

    monkeypatch.setattr(MemoryFileSystem, "open", unreliable)
    assert b"".join(path.download()) == CONTENT
    assert len(opened) >= 3


def test_a_storage_that_cannot_be_reached_stops_the_run_and_rejects_nothing(bucket, monkeypatch):
    path, tries = _put(bucket / "x.wav"), []

    def fail(*_, **__):
        tries.append(1)
        raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "info", fail)
    with pytest.raises(
        MissingArtifact, match=r"cannot be read after 4 tries \(TimeoutError: no answer\).*same command"
    ):
        path.stat()
    assert len(tries) == remote.MAX_TRIES


def test_a_denied_object_is_not_tried_again(bucket, monkeypatch):
    path, tries = _put(bucket / "x.wav"), []

    class DeniedError(Exception):
        status = 403

    def deny(*_, **__):
        tries.append(1)
        raise DeniedError("Forbidden")

    monkeypatch.setattr(MemoryFileSystem, "info", deny)
    with pytest.raises(DecodeError, match=r"missing: .*may not be read"), open_audio(path):
        pass
    assert len(tries) == 1


def test_a_listing_has_names_sizes_and_counts_what_it_passes_over(bucket, tmp_path):
    made = synthetic_audio.write(tmp_path / "x.flac", synthetic_audio.sine(440, 0.2)).read_bytes()
    for name in ("b.wav", ".38 Special/a.mp3", "notes.txt", ".git/c.wav", "x.zip"):
        _put(bucket / name)
    _put(bucket / "One", made)
    _put(bucket / "README", b"text")
    files = audio_files.find(bucket)
    assert list(files.names) == [".38 Special/a.mp3", "One", "b.wav"]
    assert files.passed_over.counts() == {".txt": 1, "in .git": 1, "without a suffix, no audio": 1}
    assert files.counts == {audio_files.REMOTE_CONTAINERS: 1}
    tracks = folder.tracks(bucket).tracks
    assert [(track.id, str(track.path)) for track in tracks][1] == ("One", "memory://bucket/music/One")
    assert all(track.bound_seconds > 0 for track in tracks)


NAMES = ("a b/0.wav", "a b/c#d/1 100%.wav", "amp&x+y.wav", "q?x.wav", "semi;x.wav", "without suffix", "ü.wav")


def test_names_on_a_web_server_are_those_of_local_files(tmp_path):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (it is in the extra `remote`)")
    sound = synthetic_audio.write(tmp_path / NAMES[0], synthetic_audio.sine(440, 0.2)).read_bytes()
    for number, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(sound + bytes([number]))
    handler = functools.partial(_QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            root = audio_path(f"http://127.0.0.1:{server.server_port}/")
            files, local = audio_files.find(root), audio_files.find(tmp_path)
            assert list(files.names) == list(local.names) == list(NAMES)
            for name in NAMES:
                assert name_below(root / name, root) == name
                with open_audio(root / name) as copy:
                    assert copy.read_bytes() == (tmp_path / name).read_bytes()
        finally:
            server.shutdown()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_an_empty_bucket_is_an_error(bucket):
    with pytest.raises(MissingArtifact, match="no audio below memory://bucket/music"):
        folder.tracks(bucket)


@pytest.mark.parametrize("name", ["x.zip", "a/x.tar.gz", "data/train-0.parquet"])
def test_a_bucket_of_archives_says_that_they_are_read_from_local_folders(bucket, name):
    _put(bucket / name)
    with pytest.raises(MissingArtifact, match="remote storage, which are not read: copy them to a local folder: 1"):
        folder.tracks(bucket)


def test_names_below_a_local_folder(tmp_path):
    assert name_below(tmp_path / "a" / "b", tmp_path) == "a/b"
    for path, root in ((Path("/a/b"), Path("/c")), (RemotePath("s3://b/x"), RemotePath("s3://c"))):
        with pytest.raises(ValueError, match="is not"):
            name_below(path, root)
