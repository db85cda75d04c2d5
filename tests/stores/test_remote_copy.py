"""Copies of mel stores in object storage, without a server; those with one are in `tests/end_to_end`."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time

import pytest

from stores import object_storage
from stores.errors import InvalidInput, MissingArtifact
from stores.object_storage import StoredObject
from stores.progress import Progress
from stores.remote_copy import MAX_CONNECTIONS, RECORD, RemoteCopy

URL, FRAMES, METADATA = "s3://bucket/a.zarr", 200, 3


class Storage:
    """Objects in memory, which stand for those of an object storage."""

    def __init__(self):
        self.contents, self.order = {}, []

    def write(self, url, name, file):
        self.order.append(name)
        self.contents[name] = file.read_bytes()
        return hashlib.md5(self.contents[name]).hexdigest()

    def replace(self, url, name, file, expected):
        present = self.describe(url, name)
        if (present and present.tag) != (expected and expected.tag):
            raise object_storage.changed_error(url, name)
        return self.write(url, name, file)

    def list_objects(self, url):
        """Return all objects, with tags in quotes, as Azure's listing does not."""
        tags = {name: hashlib.md5(content).hexdigest() for name, content in self.contents.items()}
        return {name: StoredObject(len(self.contents[name]), f'"{tag}"') for name, tag in tags.items()}

    def describe(self, url, name):
        return self.list_objects(url).get(name)

    def open_object(self, url, name):
        return io.BytesIO(self.contents[name])

    def delete(self, url, names):
        for name in names:
            del self.contents[name]


@pytest.fixture
def storage(monkeypatch):
    objects = Storage()
    for name in ("write", "replace", "list_objects", "describe", "open_object", "delete"):
        monkeypatch.setattr(object_storage, name, getattr(objects, name))
    return objects


@pytest.fixture
def make(tmp_path):
    """Return a function that writes files like those of a store, whose frames are at some places."""

    def write(places=range(FRAMES), manifest="manifest", folder="a.zarr"):
        store = tmp_path / folder
        (store / "mel" / "c" / "0").mkdir(parents=True, exist_ok=True)
        (store / "zarr.json").write_text("group")
        (store / "mel" / "zarr.json").write_text(json.dumps({"shape": [128, max(places, default=0) + 1]}))
        (store / "manifest.parquet").write_text(manifest)
        for place in places:
            (store / "mel" / "c" / "0" / str(place)).write_text(f"frames {place}")
        return store

    return write


def update(store):
    copy = RemoteCopy(store, URL)
    copy.require_replaceable()
    return copy.update()


def test_the_copy_is_claimed_first_and_its_manifest_is_written_last_and_nothing_twice(storage, make):
    store = make()
    work = update(store)
    assert (work.written, work.unchanged, work.removed) == (FRAMES + METADATA, 0, 0)
    assert storage.order[0] == "zarr.json"
    assert storage.order[-2:] == ["mel/zarr.json", "manifest.parquet"]
    work = update(store)
    assert (work.written, work.unchanged, work.written_bytes) == (0, FRAMES + METADATA, 0)
    storage.contents["mel/c/0/7"] = b"of another program"
    (store / "mel/c/0/8").unlink()
    work = update(store)
    assert (work.written, work.removed) == (1, 1)
    expected = {"zarr.json", "mel/zarr.json", "manifest.parquet", *(f"mel/c/0/{n}" for n in range(FRAMES) if n != 8)}
    assert storage.contents.keys() == expected
    assert storage.contents["mel/c/0/7"] == b"frames 7"


def test_an_array_that_is_shorter_now_is_written_after_the_manifest(storage, make):
    store = make(range(9), "long")
    update(store)
    (store / "mel/c/0/8").unlink()
    make(range(8), "short")
    update(store)
    assert storage.order[-2:] == ["manifest.parquet", "mel/zarr.json"]
    make(range(12), "longer")
    update(store)
    assert storage.order[-2:] == ["mel/zarr.json", "manifest.parquet"]


@pytest.mark.parametrize("stops", [MissingArtifact("the storage cannot be reached"), KeyboardInterrupt()])
def test_after_an_error_no_other_file_is_begun_and_what_was_written_is_not_written_again(
    storage, make, monkeypatch, stops
):
    store, write, bar_update = make(), storage.write, Progress.update

    def write_slowly(url, name, file):
        if name == "mel/c/0/20" and isinstance(stops, MissingArtifact):
            raise stops
        time.sleep(0.005)
        return write(url, name, file)

    def interrupt(self, steps=1):
        if self.n == 20 and isinstance(stops, KeyboardInterrupt):
            raise stops
        return bar_update(self, steps)

    with monkeypatch.context() as patched:
        patched.setattr(object_storage, "write", write_slowly)
        patched.setattr(Progress, "update", interrupt)
        with pytest.raises(type(stops)):
            update(store)
    before = len(storage.contents)
    assert "manifest.parquet" not in storage.contents
    assert 20 <= before < FRAMES
    assert update(store).written == FRAMES + METADATA - before


def test_another_store_in_the_place_of_a_former_one_replaces_nothing(storage, make, tmp_path):
    store = make()
    update(store)
    before = dict(storage.contents)
    store.rename(tmp_path / "kept")
    with pytest.raises(InvalidInput, match="is not empty, and does not hold a copy of"):
        update(store)
    make(range(3), "other")
    with pytest.raises(InvalidInput, match="is not empty, and does not hold a copy of"):
        update(store)
    assert storage.contents == before


def test_what_is_no_store_is_not_replaced(storage, make):
    storage.contents |= {"zarr.json": b"of somebody else", "mel/c/9/9": b"frames"}
    with pytest.raises(InvalidInput, match="is not empty"):
        update(make())
    assert len(storage.contents) == 2
    storage.contents = {"notes.txt": b""}
    with pytest.raises(InvalidInput, match="is not empty"):
        update(make())


def test_a_copy_by_another_program_is_continued_also_after_the_store_has_changed(storage, make):
    store = make(range(5))
    for name in ("zarr.json", "mel/zarr.json", "manifest.parquet", *(f"mel/c/0/{n}" for n in range(5))):
        storage.write(URL, name, store / name)
    copy = RemoteCopy(store, URL)
    copy.require_replaceable()
    make(range(6), "with one more")
    assert copy.update().written >= 3
    assert storage.contents["manifest.parquet"] == b"with one more"
    assert update(store).written == 0


def test_of_two_commands_the_later_one_ends_before_it_changes_the_store_of_the_other(storage, make):
    first, second = make(range(4), "first"), make(range(2), "second", "b.zarr")
    copies = [RemoteCopy(store, URL) for store in (first, second)]
    for copy in copies:
        copy.require_replaceable()
    copies[0].update()
    before = dict(storage.contents)
    with pytest.raises(InvalidInput, match="another command has written"):
        copies[1].update()
    del storage.contents["manifest.parquet"]  # as if the first command were still writing frames
    with pytest.raises(InvalidInput, match="another command has written"):
        copies[1].update()
    assert storage.contents | {"manifest.parquet": before["manifest.parquet"]} == before


@pytest.mark.parametrize("content", ["", "[]", '{"url": 1}', '{"url": "s3://bucket/a.zarr", "files": {"a": [1]}}'])
def test_without_a_record_that_can_be_read_frames_are_written_again(storage, make, content):
    store = make()
    update(store)
    (store / RECORD).write_text(content)
    assert update(store).written == FRAMES + METADATA - 1  # the manifest was compared
    assert update(store).written == 0


def test_the_record_does_not_keep_removed_files_nor_depend_on_the_spelling_of_the_scheme(storage, make):
    store = make(range(9))
    update(store)
    (store / "mel/c/0/8").unlink()
    copy = RemoteCopy(store, URL.replace("s3:", "s3a:"))
    copy.require_replaceable()
    assert copy.update().unchanged == 8 + METADATA
    assert "mel/c/0/8" not in json.loads((store / RECORD).read_text())["files"]


def test_as_many_files_are_written_at_a_time_as_is_allowed(storage, make, monkeypatch):
    barrier = threading.Barrier(MAX_CONNECTIONS, timeout=20)
    write = storage.write

    def together(url, name, file):
        if name.startswith("mel/c"):
            barrier.wait()
        return write(url, name, file)

    monkeypatch.setattr(object_storage, "write", together)
    assert update(make()).written == FRAMES + METADATA
