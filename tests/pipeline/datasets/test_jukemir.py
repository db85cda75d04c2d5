"""JukeMIR's split metadata: where the files come from, and what is refused in them."""

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
def test_the_real_files_are_read_and_have_the_published_counts(name):
    splits = Counter(entry.split for entry in jukemir.entries(name, synthetic_splits.published()))
    assert tuple(splits[split] for split in ("train", "valid", "test", "")) == PUBLISHED[name]


def test_entries_come_sorted_by_uid_and_null_is_no_split(monkeypatch, tmp_path):
    entries = jukemir.entries("gtzan_ff", synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", CLIPS))
    assert [(entry.uid, entry.split) for entry in entries] == [("a", "train"), ("b", "")]


def test_fields_are_read_as_what_they_are(entry):
    assert entry.text("extra", "id") == "jazz.00001"
    assert entry.numbers("extra", "n") == (1.0, 2.5)


@pytest.mark.parametrize(
    ("read", "keys", "message"),
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
def test_a_field_that_is_something_else_is_named_with_file_and_clip(entry, read, keys, message):
    with pytest.raises(CorruptArtifact, match=message):
        getattr(entry, read)(*keys)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1" + "0" * 400, "true", '"1"', "null"])
def test_numbers_are_finite(monkeypatch, tmp_path, number):
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
        (b"[]", "holds no object of clips"),
        (b"{}", "holds no object of clips"),
        (b'{"a": 1}', "clip 'a' has split 'absent'"),
        (b'{"a": {}}', "clip 'a' has split 'absent'"),
        (b'{"a": {"split": "val"}}', r"clip 'a' has split 'val'; needed is one of .*'valid'.* or null"),
        (b'{"a": {"split": []}}', r"clip 'a' has split \[\]"),
        (b'{"": {"split": "test"}}', "clip ''"),
    ],
)
def test_content_that_is_something_else_is_refused_with_the_name_of_the_file(monkeypatch, tmp_path, content, message):
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", content)
    with pytest.raises(CorruptArtifact, match=rf"gtzan_ff\.json\.gz.*{message}"):
        jukemir.entries("gtzan_ff", splits)


@pytest.mark.parametrize(
    "packed", [b"", b"plain", gzip.compress(b"{}" * 99)[:-9], gzip.compress(b"{}")[:12] + b"\x00" * 9]
)
def test_a_file_that_is_not_whole_gzip_is_refused(monkeypatch, tmp_path, packed):
    splits = synthetic_splits.write_packed(monkeypatch, tmp_path, "gtzan_ff", packed)
    with pytest.raises(CorruptArtifact, match=r"gtzan_ff\.json\.gz"):
        jukemir.entries("gtzan_ff", splits)


def test_unpacking_stops_at_a_bound(monkeypatch, tmp_path):
    monkeypatch.setattr(jukemir, "LARGEST_BYTES", 1000)
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", b" " * 1001)
    with pytest.raises(CorruptArtifact, match="unpacks to more than 1,000 bytes"):
        jukemir.entries("gtzan_ff", splits)


def test_a_given_file_of_another_digest_is_refused_with_both_digests(monkeypatch, tmp_path):
    splits = synthetic_splits.write(monkeypatch, tmp_path, "gtzan_ff", CLIPS)
    monkeypatch.setitem(jukemir.SHA256, "gtzan_ff", "0" * 64)
    with pytest.raises(InvalidInput, match=r"SHA-256 is [0-9a-f]{64}, needed is 0{64}.*by hand.*--splits"):
        jukemir.entries("gtzan_ff", splits)


@pytest.mark.parametrize("folder", [".", "none"])
def test_a_given_folder_without_the_file_says_how_to_get_it(tmp_path, folder):
    with pytest.raises(
        MissingArtifact, match=r"no emomusic.json.gz in .*Get https://raw.*2415556.*/emomusic.json.gz by hand"
    ):
        jukemir.entries("emomusic", tmp_path / folder)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An HTTP server on this machine in the place of the public repository; the folder that it serves."""
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        asked = 0

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def do_GET(self):
            Quiet.asked += 1
            super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(jukemir, "URL", f"http://127.0.0.1:{running.server_port}/")
        monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served, Quiet
        running.shutdown()
        thread.join()


def test_without_a_folder_the_file_is_fetched_once_and_then_found_in_the_cache(monkeypatch, tmp_path, server):
    served, requests = server
    synthetic_splits.write(monkeypatch, served, "gtzan_ff", CLIPS)
    first, second = jukemir.entries("gtzan_ff"), jukemir.entries("gtzan_ff")
    assert [entry.uid for entry in first] == [entry.uid for entry in second] == ["a", "b"]
    assert requests.asked == 1
    assert (tmp_path / "cache" / "myna" / "jukemir" / "gtzan_ff.json.gz").is_file()


def test_a_cached_file_that_was_changed_is_fetched_again(monkeypatch, tmp_path, server):
    served, requests = server
    synthetic_splits.write(monkeypatch, served, "gtzan_ff", CLIPS)
    jukemir.entries("gtzan_ff")
    (tmp_path / "cache" / "myna" / "jukemir" / "gtzan_ff.json.gz").write_bytes(b"changed")
    assert len(jukemir.entries("gtzan_ff")) == 2
    assert requests.asked == 2


def test_a_fetched_file_of_another_digest_is_refused_and_not_kept(monkeypatch, tmp_path, server):
    synthetic_splits.write(monkeypatch, server[0], "gtzan_ff", CLIPS)
    monkeypatch.setitem(jukemir.SHA256, "gtzan_ff", "0" * 64)
    with pytest.raises(MissingArtifact, match=r"could not be fetched \(ValueError.*by hand.*--splits"):
        jukemir.entries("gtzan_ff")
    assert list((tmp_path / "cache").rglob("*.gz")) == []


def test_without_a_network_the_error_says_how_to_get_the_file_by_hand(server, monkeypatch):
    with pytest.raises(MissingArtifact, match=r"could not be fetched \(HTTPError: 404.*by hand.*--splits"):
        jukemir.entries("gtzan_ff")
    monkeypatch.setattr(jukemir, "URL", "http://127.0.0.1:1/")
    with pytest.raises(MissingArtifact, match=r"could not be fetched \(ConnectionError.*by hand.*--splits"):
        jukemir.entries("gtzan_ff")
