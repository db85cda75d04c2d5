"""Tests of JukeMIR's split metadata: the source of the files, and the errors for invalid content."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections import Counter

import pooch
import pytest
import synthetic_splits

from pipeline.datasets import jukemir
from stores.errors import CorruptArtifact, InvalidInput, MissingArtifact

CLIPS = {
    "b": {"split": None, "y": None},
    "a": {"split": "train", "y": "jazz", "extra": {"id": "jazz.00001", "n": [1, 2.5]}},
}
PUBLISHED = {
    "gtzan_ff": (443, 197, 290, 0),
    "giantsteps_clips": (3_687, 942, 2_406, 0),
    "magnatagatune": (18_706, 1_825, 5_329, 5_522),
    "emomusic": (504, 115, 125, 0),
}


@pytest.fixture
def entry(monkeypatch, tmp_path):
    return jukemir.entries("gtzan_ff", synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", CLIPS))[0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_real_files_have_the_published_counts(name):
    splits = Counter(entry.split for entry in jukemir.entries(name, synthetic_splits.published()))
    assert tuple(splits[split] for split in ("train", "valid", "test", "")) == PUBLISHED[name]


def test_entries_are_sorted_by_uid_and_null_is_no_split(monkeypatch, tmp_path):
    entries = jukemir.entries("gtzan_ff", synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", CLIPS))
    assert [(entry.uid, entry.split) for entry in entries] == [("a", "train"), ("b", "")]


def test_fields_are_returned_with_their_types(entry):
    assert entry.text("extra", "id") == "jazz.00001"
    assert entry.numbers("extra", "n") == (1.0, 2.5)


@pytest.mark.parametrize(
    ("method", "keys", "message"),
    [
        ("text", ("extra", "n"), r"gtzan_ff.json.gz: clip 'a': extra.n is '\[1, 2.5\]', not a string"),
        ("text", ("clip", "audio_uid"), r"clip.audio_uid is 'None', not a string"),
        ("text", ("y", "deeper"), r"y.deeper is 'None', not a string"),
        ("texts", ("extra", "n"), "not a list of strings"),
        ("texts", ("y",), "y is 'jazz', not a list of strings"),
        ("number", ("y",), "not a finite number"),
        ("numbers", ("y",), "not a list of finite numbers"),
    ],
)
def test_the_error_for_a_field_of_another_type_names_file_and_clip(entry, method, keys, message):
    with pytest.raises(CorruptArtifact, match=message):
        getattr(entry, method)(*keys)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "true", '"1"', "null"])
def test_numbers_must_be_finite(monkeypatch, tmp_path, number):
    splits = synthetic_splits.write(
        monkeypatch, tmp_path, "emomusic", b'{"1": {"split": "test", "y": [%s, 1]}}' % number.encode()
    )
    (entry,) = jukemir.entries("emomusic", splits)
    with pytest.raises(CorruptArtifact, match="not a list of finite numbers"):
        entry.numbers("y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a JSON object of clips"),
        (b"{}", "is not a JSON object of clips"),
        (b'{"a": 1}', "clip 'a' has split 'absent'"),
        (b'{"a": {}}', "clip 'a' has split 'absent'"),
        (b'{"a": {"split": "val"}}', r"clip 'a' has split 'val'; .* must be one of .*'valid'.* or null"),
        (b'{"a": {"split": []}}', r"clip 'a' has split \[\]"),
        (b'{"": {"split": "test"}}', "clip ''"),
    ],
)
def test_the_error_for_invalid_content_names_the_file(monkeypatch, tmp_path, content, message):
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", content)
    with pytest.raises(CorruptArtifact, match=rf"gtzan_ff\.json\.gz.*{message}"):
        jukemir.entries("gtzan_ff", splits)


@pytest.mark.parametrize(
    "packed", [b"", b"plain", gzip.compress(b"{}" * 99, mtime=0)[:-9], gzip.compress(b"{}", mtime=0)[:12] + b"\x00" * 9]
)
def test_an_incomplete_gzip_file_is_an_error(monkeypatch, tmp_path, packed):
    splits = synthetic_splits.write_packed(monkeypatch, tmp_path, "gtzan_ff", packed)
    with pytest.raises(CorruptArtifact, match=r"gtzan_ff\.json\.gz"):
        jukemir.entries("gtzan_ff", splits)


def test_decompression_stops_at_the_maximum_size(monkeypatch, tmp_path):
    monkeypatch.setattr(jukemir, "MAX_BYTES", 1000)
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", b" " * 1001)
    with pytest.raises(CorruptArtifact, match="decompresses to more than 1,000 bytes"):
        jukemir.entries("gtzan_ff", splits)


def test_the_error_for_a_local_file_with_another_digest_names_both_digests(monkeypatch, tmp_path):
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", CLIPS)
    monkeypatch.setitem(jukemir.SHA256, "gtzan_ff", "0" * 64)
    with pytest.raises(InvalidInput, match=r"SHA-256 is [0-9a-f]{64}, expected 0{64}.*Download http.*--splits"):
        jukemir.entries("gtzan_ff", splits)


@pytest.mark.parametrize("folder", [".", "none"])
def test_the_error_for_a_folder_without_the_file_says_how_to_get_it(tmp_path, folder):
    with pytest.raises(
        MissingArtifact,
        match=r"no emomusic.json.gz in .*Download https://raw.*2415556.*/emomusic.json.gz, put it into a folder",
    ):
        jukemir.entries("emomusic", tmp_path / folder)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The folder and the request handler of a local HTTP server that replaces the public repository."""
    served = tmp_path / "served"
    served.mkdir()

    class CountingHandler(http.server.SimpleHTTPRequestHandler):
        requests = 0

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def do_GET(self):
            CountingHandler.requests += 1
            super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), CountingHandler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(jukemir, "URL", f"http://127.0.0.1:{running.server_port}/")
        monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served, CountingHandler
        running.shutdown()
        thread.join()


def test_without_a_folder_the_file_is_downloaded_once_and_cached(monkeypatch, tmp_path, server):
    served, handler = server
    synthetic_splits.write(monkeypatch, served, "gtzan_ff", CLIPS)
    first, second = jukemir.entries("gtzan_ff"), jukemir.entries("gtzan_ff")
    assert [entry.uid for entry in first] == [entry.uid for entry in second] == ["a", "b"]
    assert handler.requests == 1
    assert (tmp_path / "cache" / "myna" / "jukemir" / "gtzan_ff.json.gz").is_file()


def test_a_changed_file_in_the_cache_is_downloaded_again(monkeypatch, tmp_path, server):
    served, handler = server
    synthetic_splits.write(monkeypatch, served, "gtzan_ff", CLIPS)
    jukemir.entries("gtzan_ff")
    (tmp_path / "cache" / "myna" / "jukemir" / "gtzan_ff.json.gz").write_bytes(b"changed")
    assert len(jukemir.entries("gtzan_ff")) == 2
    assert handler.requests == 2


def test_a_downloaded_file_with_another_digest_is_an_error_and_not_kept(monkeypatch, tmp_path, server):
    synthetic_splits.write(monkeypatch, server[0], "gtzan_ff", CLIPS)
    monkeypatch.setitem(jukemir.SHA256, "gtzan_ff", "0" * 64)
    with pytest.raises(MissingArtifact, match=r"could not be downloaded \(ValueError.*Download http.*--splits"):
        jukemir.entries("gtzan_ff")
    assert list((tmp_path / "cache").rglob("*.gz")) == []


def test_without_a_network_the_error_says_how_to_get_the_file(server, monkeypatch):
    with pytest.raises(MissingArtifact, match=r"could not be downloaded \(HTTPError: 404.*Download http.*--splits"):
        jukemir.entries("gtzan_ff")
    monkeypatch.setattr(jukemir, "URL", "http://127.0.0.1:1/")
    with pytest.raises(MissingArtifact, match=r"could not be downloaded \(ConnectionError.*Download http.*--splits"):
        jukemir.entries("gtzan_ff")
