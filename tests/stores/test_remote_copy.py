"""Copies of mel stores in object storage, without a server; those with one are in `tests/end_to_end`."""

from __future__ import annotations

import threading
import time

import pytest

from stores import object_storage
from stores.errors import MissingArtifact
from stores.object_storage import StoredObject
from stores.remote_copy import CONNECTIONS, METADATA, RemoteCopy

URL, FRAMES = "s3://bucket/a.zarr", 200


class Storage:
    """Objects in memory, which stand for those of an object storage."""

    def __init__(self):
        self.contents, self.order = {}, []

    def write(self, url, name, file):
        self.order.append(name)
        self.contents[name] = file.read_bytes()
        return str(hash(self.contents[name]))

    def replace(self, url, name, file, expected):
        return self.write(url, name, file)

    def list_objects(self, url):
        return {name: StoredObject(len(content), str(hash(content))) for name, content in self.contents.items()}

    def describe(self, url, name):
        return self.list_objects(url).get(name)

    def delete(self, url, names):
        for name in names:
            del self.contents[name]


@pytest.fixture
def storage(monkeypatch):
    objects = Storage()
    for name in ("write", "replace", "list_objects", "describe", "delete"):
        monkeypatch.setattr(object_storage, name, getattr(objects, name))
    return objects


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a.zarr"
    for name in (*METADATA, *(f"mel/c/0/{n}" for n in range(FRAMES))):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


def test_the_manifest_is_written_last_and_nothing_twice(storage, store):
    copied = RemoteCopy(store, URL).update()
    assert (copied.written, copied.unchanged, copied.removed) == (FRAMES + 3, 0, 0)
    assert tuple(storage.order[-3:]) == METADATA
    copied = RemoteCopy(store, URL).update()
    assert (copied.written, copied.unchanged) == (0, FRAMES + 3)
    storage.contents["mel/c/0/7"] = b"of another program"
    (store / "mel/c/0/8").unlink()
    copied = RemoteCopy(store, URL).update()
    assert (copied.written, copied.removed) == (1, 1)
    assert storage.contents.keys() == {*METADATA, *(f"mel/c/0/{n}" for n in range(FRAMES) if n != 8)}
    assert storage.contents["mel/c/0/7"] == b"mel/c/0/7"


@pytest.mark.parametrize("error", [MissingArtifact("the storage cannot be reached"), KeyboardInterrupt()])
def test_after_an_error_no_other_file_is_begun_and_what_was_written_is_not_written_again(
    storage, store, monkeypatch, error
):
    write = storage.write

    def fail_once(url, name, file):
        if name == "mel/c/0/20" and storage.order.count("failed") == 0:
            storage.order.append("failed")
            raise error
        time.sleep(0.005)
        return write(url, name, file)

    monkeypatch.setattr(object_storage, "write", fail_once)
    with pytest.raises(type(error)):
        RemoteCopy(store, URL).update()
    before = len(storage.contents)
    assert "manifest.parquet" not in storage.contents
    assert before < FRAMES
    assert RemoteCopy(store, URL).update().written == FRAMES + 3 - before


@pytest.mark.parametrize("content", ["", "[]", '{"url": 1}', '{"url": "s3://bucket/a.zarr", "files": {"a": [1]}}'])
def test_a_damaged_record_means_that_everything_is_written_again(storage, store, content):
    RemoteCopy(store, URL).update()
    storage.contents.clear()
    store.with_name("a.copied.json").write_text(content)
    assert RemoteCopy(store, URL).update().written == FRAMES + 3


def test_as_many_files_are_written_at_a_time_as_there_are_connections(storage, store, monkeypatch):
    barrier = threading.Barrier(CONNECTIONS, timeout=20)
    write = storage.write

    def together(url, name, file):
        if name.startswith("mel/c"):
            barrier.wait()
        return write(url, name, file)

    monkeypatch.setattr(object_storage, "write", together)
    assert RemoteCopy(store, URL).update().written == FRAMES + 3
