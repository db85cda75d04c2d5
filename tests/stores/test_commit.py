"""Atomic writes: a file becomes visible as a whole or not at all."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
from safetensors.numpy import save_file

from stores.commit import atomic_write, remove_leftovers, remove_temporary_files, write_bytes, write_json


def test_a_written_file_has_its_bytes_and_no_file_remains_beside_it(tmp_path):
    write_bytes(tmp_path / "a" / "b.bin", b"content")
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.bin"]


def test_the_name_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "late"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # the same file system, so that renaming does not copy
    assert path.read_text() == "half"


def test_an_error_leaves_the_old_file_and_no_temporary_file(tmp_path):
    path = tmp_path / "kept"
    path.write_text("old")
    with pytest.raises(TypeError, match="data must be str"), atomic_write(path) as temporary:
        temporary.write_text("new") and temporary.write_text(None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced(tmp_path):
    for content in (b"first", b"second"):
        write_bytes(tmp_path / "x", content)
    assert (tmp_path / "x").read_bytes() == b"second"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "never"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_json_is_utf8_indented_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "x.json", {"größe": 1, "list": [1, 2]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": 1, "list": [1, 2]}
    assert "größe" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_gets_the_default_permissions_whichever_library_writes_it(tmp_path, umask, mode):
    previous = os.umask(umask)
    try:
        with atomic_write(tmp_path / "x.safetensors") as temporary:
            save_file({"a": np.zeros(1)}, temporary)
        write_bytes(tmp_path / "y", b"")
    finally:
        os.umask(previous)
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())] == [mode, mode]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object()])
def test_values_that_are_not_json_are_not_written(tmp_path, bad):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x.json", {"bad": bad})
    assert list(tmp_path.iterdir()) == []


def test_the_leftovers_of_a_file_are_removed_but_not_those_of_others_or_of_running_processes(tmp_path):
    gone, running = 4_194_304, os.getppid()  # process ids end below the first
    left = tmp_path / f".a[1].csv.tmp-{gone}"
    kept = [tmp_path / f".a[1].csv.tmp-{running}", tmp_path / f".b.csv.tmp-{gone}", tmp_path / ".a[1].csv.tmp-notes"]
    for path in (left, *kept):
        path.write_bytes(b"")
    remove_leftovers(tmp_path / "a[1].csv")
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    remove_temporary_files(tmp_path, spares_running=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept[0].name, kept[2].name])
