"""Shards for other readers: stock webdataset yields every clip with its id, also from the shards of our own."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset
from doc_examples import python_blocks

from pipeline import shard
from pipeline.sharding import stock_writer
from pipeline.sharding.stock_writer import StockPlan, write_stock
from stores.errors import InvalidInput
from stores.mel_store import MelStore

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def store(make_store):
    made = make_store([200, 150, 300, 120, 96], "stores/demo.zarr", splits=["train", "train", "", "test", "valid"])
    labels = [{"genre": name} for name in ("ä", "b", "c", "d", "e")]
    made.update([replace(row, labels=label) for row, label in zip(made.rows, labels, strict=True)])
    return MelStore.open(made.path)


def _samples(folder):
    paths = sorted(str(path) for path in folder.glob("*.tar"))
    return list(webdataset.WebDataset(paths, shardshuffle=False).decode())


def test_every_clip_is_a_sample_with_its_labels_and_split(store):
    folder = store.path.with_name("demo.stock")
    stock = write_stock(store, folder, StockPlan(clips_per_tar=2))
    assert (stock.clips, stock.tars) == (5, 3)
    samples = {sample["json"]["id"]: sample for sample in _samples(folder)}
    assert set(samples) == {row.id for row in store.rows}
    for row in store.rows:
        about = samples[row.id]["json"]
        assert (about["frames"], about["split"], about["labels"]) == (row.frames, row.split, dict(row.labels))
        np.testing.assert_array_equal(samples[row.id]["codes.npy"], store.codes(row.index))


def test_the_formula_of_the_index_gives_the_power(store):
    folder = store.path.with_name("demo.stock")
    write_stock(store, folder, StockPlan())
    index = json.loads((folder / "index.json").read_text())
    code = _samples(folder)[0]["codes.npy"].astype(np.float64)
    formula = index["codes"].split("else ")[1]
    power = eval(formula, {"code": code, "max_code": index["max_code"], **index["quantizer"]})
    clip = next(row for row in store.rows if row.id == _samples(folder)[0]["json"]["id"])
    np.testing.assert_allclose(np.where(code > 0, power, 0), store.clip(clip.index), rtol=1e-5)


def test_a_current_set_is_kept_and_changed_labels_write_it_again(store):
    folder = store.path.with_name("demo.stock")
    write_stock(store, folder, StockPlan())
    [tar] = folder.glob("*.tar")
    before = tar.stat().st_mtime_ns
    write_stock(store, folder, StockPlan())
    assert tar.stat().st_mtime_ns == before
    store.update([replace(row, labels={"genre": "new"}) for row in store.rows])
    write_stock(MelStore.open(store.path), folder, StockPlan())
    assert {sample["json"]["labels"]["genre"] for sample in _samples(folder)} == {"new"}


def test_an_interrupted_set_is_completed_with_the_same_bytes(store, monkeypatch):
    folder, whole = store.path.with_name("demo.stock"), store.path.with_name("other")
    write_stock(store, whole / "demo.stock", StockPlan(clips_per_tar=1))
    original = stock_writer._write_tar

    def fail_late(path, *arguments):
        if path.stem.endswith("3"):
            raise KeyboardInterrupt
        original(path, *arguments)

    monkeypatch.setattr(stock_writer, "_write_tar", fail_late)
    with contextlib.suppress(KeyboardInterrupt):
        write_stock(store, folder, StockPlan(clips_per_tar=1))
    assert len(list(folder.glob("*.tar"))) == 3
    assert not (folder / "index.json").exists()
    monkeypatch.undo()
    write_stock(store, folder, StockPlan(clips_per_tar=1))
    for path in folder.iterdir():
        assert path.read_bytes() == (whole / "demo.stock" / path.name).read_bytes()


def test_a_store_without_mels_is_an_error(make_store):
    store = make_store([100], "empty.zarr")
    store.update([replace(row, state="refused", reason="silent", frames=0) for row in store.rows])
    with pytest.raises(InvalidInput, match=r"no clip of .* has a mel"):
        write_stock(MelStore.open(store.path), store.path.with_name("empty.stock"), StockPlan())


def test_the_command_writes_both_formats_and_the_documented_lines_read_ours(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert shard.main(["demo", "--format", "stock"]) == 0
    assert "stores/demo.stock: 5 clips in 1 tar" in capsys.readouterr().out
    assert shard.main(["demo"]) == 0
    [example] = [block for block in python_blocks((DOCS / "training.md").read_text()) if "about.json" in block]
    output = io.StringIO()
    found = {}
    with contextlib.redirect_stdout(output):
        exec(example.replace("print(name, mel.shape)", "found[name] = mel"), {"found": found})
    trained = [row for row in store.rows if row.split in ("", "train")]
    assert set(found) == {row.id for row in trained}
    for row in trained:
        np.testing.assert_allclose(found[row.id], store.clip(row.index), rtol=1e-5)


def test_webdataset_shuffles_and_splits_our_shards_by_worker(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shard.main(["demo", "--format", "stock"]) == 0
    paths = [str(path) for path in (tmp_path / "stores" / "demo.stock").glob("*.tar")]
    dataset = webdataset.WebDataset(paths, shardshuffle=False, workersplitter=webdataset.split_by_worker).shuffle(4)
    assert len({sample["__key__"] for sample in dataset}) == 5


def test_members_have_no_time_and_no_owner(store):
    folder = store.path.with_name("demo.stock")
    write_stock(store, folder, StockPlan())
    with tarfile.open(next(folder.glob("*.tar"))) as tar:
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
