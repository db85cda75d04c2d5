"""The conversion of a store of the previous version: no decoding, the same digests, and a kill loses nothing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import verify
from stores import commit, manifest, mel_store_upgrade
from stores.digest import digest
from stores.errors import CorruptArtifact, MissingArtifact
from stores.manifest import SCHEMA_3
from stores.mel_store import MelStore

LENGTHS = [40, 0, 64, 7]


def _downgrade(store):
    """Turn a store into one of version 3, as that version wrote it."""
    for file in [store.path / "manifest.parquet", *(store.path / "parts").glob("*.parquet")]:
        table = manifest.read(file).table().select(SCHEMA_3.names).cast(SCHEMA_3)
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    _set_version(store, 3)


def _set_version(store, version):
    path = store.path / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["myna"]["format_version"] = version
    path.write_text(json.dumps(content, indent=2))


def _version(store):
    return json.loads((store.path / "zarr.json").read_text())["attributes"]["myna"]["format_version"]


@pytest.fixture
def old(make_store):
    """A store of version 3, with its rows and codes from before."""
    store = make_store(LENGTHS, splits=["train", "", "test", "train"])
    rows, codes = list(store.rows), store.codes(2)
    _downgrade(store)
    return store, rows, codes


def test_opening_an_old_store_names_the_command_that_converts_it(old):
    store, _, _ = old
    with pytest.raises(CorruptArtifact, match=rf"python -m pipeline\.verify --upgrade {store.path}"):
        MelStore.open(store.path)


def test_a_converted_store_has_the_same_rows_codes_and_digest(old, capsys):
    store, rows, codes = old
    clips = [[row.id, row.frames, row.source_digest] for row in rows]
    attributes = json.loads((store.path / "zarr.json").read_text())["attributes"]["myna"]
    settings = {key: attributes[key] for key in ("format_version", "mel_spec", "quantizer", "preprocessing")}
    as_before = digest({"settings": settings, "clips": clips})
    frames = {path: path.read_bytes() for path in (store.path / "mel").rglob("*") if path.is_file()}
    assert verify.main(["--upgrade", str(store.path)]) == 0
    assert "converted to format version 4" in capsys.readouterr().out
    converted = MelStore.open(store.path)
    assert converted.rows == rows
    assert converted.digest() == as_before
    np.testing.assert_array_equal(converted.codes(2), codes)
    assert {path: path.read_bytes() for path in (store.path / "mel").rglob("*") if path.is_file()} == frames


def test_converting_twice_changes_nothing(old, capsys):
    store, _, _ = old
    assert verify.main(["--upgrade", str(store.path)]) == 0
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    assert verify.main(["--upgrade", str(store.path)]) == 0
    assert "has format version 4" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kill_at", range(4))
def test_a_conversion_that_is_killed_continues(make_store, monkeypatch, kill_at):
    store = make_store(LENGTHS)
    rows = list(store.rows)
    (store.path / "parts").mkdir()
    for number in range(2):
        manifest.write(store.path / "parts" / f"region-{number:012}.parquet", rows[:1])
    _downgrade(store)
    writes, atomic_write = [], commit.atomic_write

    def killed(path):
        writes.append(path)
        if len(writes) > kill_at:
            raise KeyboardInterrupt
        return atomic_write(path)

    with monkeypatch.context() as patched:
        patched.setattr(manifest, "atomic_write", killed)
        patched.setattr(commit, "atomic_write", killed)
        with pytest.raises(KeyboardInterrupt):
            mel_store_upgrade.upgrade(store.path)
    assert _version(store) == 3
    assert mel_store_upgrade.upgrade(store.path)
    assert MelStore.open(store.path).rows == rows
    assert manifest.read(store.path / "parts" / "region-000000000001.parquet") == rows[:1]


def test_verify_of_an_old_store_says_to_convert_it_and_not_to_remove_it(old, capsys):
    store, _, _ = old
    assert verify.main([str(store.path)]) == 2
    printed = capsys.readouterr()
    assert f"pipeline.verify --upgrade {store.path}" in printed.err
    assert "remove" not in printed.out + printed.err


def test_a_store_of_any_other_version_is_not_converted(make_store, tmp_path):
    store = make_store(LENGTHS)
    _set_version(store, 2)
    with pytest.raises(CorruptArtifact, match="only 3 can be converted"):
        mel_store_upgrade.upgrade(store.path)
    with pytest.raises(MissingArtifact):
        mel_store_upgrade.upgrade(tmp_path / "none.zarr")


def test_a_shard_set_is_not_converted(tmp_path, capsys):
    (tmp_path / "m.shards").mkdir()
    assert verify.main(["--upgrade", str(tmp_path / "m.shards")]) == 2
    assert "--upgrade converts mel stores" in capsys.readouterr().err


def test_a_first_store_of_this_version_gets_its_missing_column_and_loses_nothing(make_store, capsys):
    store = make_store(LENGTHS, splits=["train", "", "test", "train"])
    rows, before = list(store.rows), store.digest()
    table = pq.read_table(store.path / "manifest.parquet").drop_columns(["semitones"])
    pq.write_table(table, store.path / "manifest.parquet", write_page_checksum=True)
    with pytest.raises(CorruptArtifact, match=r"\(semitones missing\); .*pipeline\.verify --upgrade"):
        MelStore.open(store.path)
    assert verify.main([str(store.path)]) == 2
    printed = capsys.readouterr()
    assert f"pipeline.verify --upgrade {store.path}" in printed.err
    assert "remove" not in printed.out + printed.err
    assert verify.main(["--upgrade", str(store.path)]) == 0
    assert "converted to format version 4" in capsys.readouterr().out
    assert MelStore.open(store.path).rows == rows
    assert MelStore.open(store.path).digest() == before
    assert not mel_store_upgrade.upgrade(store.path)


@pytest.mark.parametrize("damage", ["rows", "part", "settings"])
def test_a_damaged_store_is_not_changed_and_every_attempt_says_so(old, damage):
    store, _, _ = old
    if damage == "rows":
        table = pq.read_table(store.path / "manifest.parquet")
        pq.write_table(table.slice(1), store.path / "manifest.parquet", write_page_checksum=True)
    elif damage == "part":
        (store.path / "parts").mkdir()
        (store.path / "parts" / "region-000000000000.parquet").write_bytes(b"PAR1")
    else:
        content = json.loads((store.path / "zarr.json").read_text())
        del content["attributes"]["myna"]["grid"]
        (store.path / "zarr.json").write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.raises(
            CorruptArtifact, match=r"indices of its rows|next ingest decodes its clips|lacks the settings"
        ):
            mel_store_upgrade.upgrade(store.path)
    assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == before
