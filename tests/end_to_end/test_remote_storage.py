"""Ingest from object storage: a local S3 server, and a local web server."""

from __future__ import annotations

import functools
import http.server
import os
import threading

import numpy as np
import pytest
import s3_server
import synthetic_audio

from pipeline import ingest as command
from pipeline import verify
from stores.mel_store import MelStore

NAMES = ("a.flac", "deep/er/b c.wav", ".38 Special/c.mp3", "d#1.ogg")


@pytest.fixture
def music(tmp_path):
    """Four good files, a bad one and a text file."""
    for number, name in enumerate(NAMES):
        synthetic_audio.write(tmp_path / "music" / name, synthetic_audio.chords(3.0, seed=number))
    (tmp_path / "music" / "bad.wav").write_bytes(b"no audio")
    (tmp_path / "music" / "notes.txt").write_text("text")
    return tmp_path / "music"


@pytest.fixture
def s3(music, tmp_path, monkeypatch):
    """URL of a bucket with the files of `music`."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed (it is in the extra `remote`)")
    pytest.importorskip("moto.server", reason="moto and flask are not installed, which serve S3 on this machine")
    port = s3_server.free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()  # of a server that has ended
    with s3_server.serve(port, tmp_path):
        files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        files.mkdir("bucket")
        for path in music.rglob("*"):
            if path.is_file():
                files.pipe_file(f"bucket/music/{path.relative_to(music).as_posix()}", path.read_bytes())
        yield "s3://bucket/music"


def _ingest(root, store, *words):
    return command.main(["folder", "--root", str(root), "--store", str(store), "--workers", "2", *words])


def _assert_same_clips(store, local):
    here, there = MelStore.open(local), MelStore.open(store)
    clips = {row.id: row for row in there.rows}
    assert {name: row.state for name, row in clips.items()} == {**dict.fromkeys(NAMES, "written"), "bad.wav": "refused"}
    for row in here.rows:
        if row.state == "written":
            assert clips[row.id].source_digest == row.source_digest
            np.testing.assert_array_equal(there.codes(clips[row.id].index), here.codes(row.index))
    return there


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of botocore and aiohttp
def test_recordings_on_s3_give_the_clips_of_the_local_files(music, s3, tmp_path, capsys):
    assert _ingest(music, tmp_path / "local.zarr") == 0
    assert _ingest(s3, tmp_path / "remote.zarr") == 0
    printed = capsys.readouterr().out
    assert "folder below s3://bucket/music:" in printed
    assert "passed over: 1 .txt" in printed
    store = _assert_same_clips(tmp_path / "remote.zarr", tmp_path / "local.zarr")
    assert store.attributes["root"] == s3
    assert _ingest(s3, tmp_path / "remote.zarr") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert verify.main([str(tmp_path / "remote.zarr"), "--scheduler", "threads"]) == 0
    assert not (tmp_path / "s3:").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_bucket_that_does_not_exist_is_an_error(s3, tmp_path, capsys):
    assert _ingest("s3://nonesuch/music", tmp_path / "remote.zarr", "--scheduler", "threads") == 2
    assert "no audio below s3://nonesuch/music" in capsys.readouterr().err
    assert not (tmp_path / "remote.zarr").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_recordings_on_a_web_server_give_the_clips_of_the_local_files(music, tmp_path, capsys):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (it is in the extra `remote`)")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=os.fspath(music))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        assert _ingest(url, tmp_path / "remote.zarr") == 0
        server.shutdown()
    states = {row.id: row.state for row in MelStore.open(tmp_path / "remote.zarr").rows}
    names = ("a.flac", "deep/er/b c.wav", ".38 Special/c.mp3", "d#1.ogg")
    assert states == {**dict.fromkeys(names, "written"), "bad.wav": "refused"}
