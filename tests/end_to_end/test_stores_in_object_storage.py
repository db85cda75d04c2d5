"""Mel stores and shards in object storage: read, written, checked, trained on, embedded and probed, by an S3 server."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import s3_server
import small_collection
import synthetic_audio
from safetensors.torch import load_file

from model import extract, probe, train
from model.probes.results.scores import Scores
from pipeline import ingest, shard, verify
from stores import locations, object_storage, remote_link
from stores.errors import MissingArtifact
from stores.features import FeatureStore
from stores.mel_store import MelStore
from stores.remote_copy import RemoteCopy

LENGTHS = [96, 120, 150, 200, 96, 300, 110, 101, 99, 130, 97, 180]
FLAGS = ["--preset", "tiny", "--batch", "4", "--steps", "3", "--projection-width", "8", "--precision", "fp32"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An S3 server for all tests, with its address in the environment."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed (it is in the extra `remote`)")
    pytest.importorskip("obstore", reason="obstore is not installed (it is in the extra `remote`)")
    pytest.importorskip("moto.server", reason="moto and flask are not installed, which serve S3 on this machine")
    port = s3_server.free_port()
    with pytest.MonkeyPatch.context() as patch, s3_server.serve(port, tmp_path_factory.mktemp("s3")):
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
        files.mkdir("bucket")
        yield files


@pytest.fixture
def remote(server, tmp_path, make_store, monkeypatch):
    """URL of a store in the bucket, and the same store on this machine."""
    monkeypatch.chdir(tmp_path)
    store = make_store(LENGTHS, "local/made.zarr")
    if server.exists("bucket/place"):
        server.rm("bucket/place", recursive=True)
    server.put(str(store.path), "bucket/place/made.zarr", recursive=True)
    return "s3://bucket/place/made.zarr", store


def test_a_store_is_read_as_the_same_store_on_disk_is(remote):
    url, local = remote
    store = MelStore.open(remote_link.store_path(url))
    assert store.digest() == local.digest()
    for clip in range(len(LENGTHS)):
        np.testing.assert_array_equal(store.codes(clip), local.codes(clip))
    assert not (store.path / "mel" / "c").exists()


@pytest.mark.slow
def test_shards_are_written_there_and_trained_on_with_the_bits_of_local_ones(remote, server, capsys):
    url, local = remote
    assert train.main(["--store", url, *FLAGS, "--name", "there"]) == 0
    assert f"{url.replace('.zarr', '.shards')}: 12 clips" in capsys.readouterr().out
    names = {name.rpartition("/")[2] for name in server.find("bucket/place/made.shards")}
    assert names == {"index.json", "made-000000.tar"}
    assert shard.main([str(local.path)]) == 0
    tar = local.path.with_name("made.shards") / "made-000000.tar"
    assert server.cat_file("bucket/place/made.shards/made-000000.tar") == tar.read_bytes()
    link = remote_link.store_path(url).with_name("made.shards")
    assert sorted(path.name for path in link.iterdir()) == ["index.json", remote_link.LINK]
    assert train.main(["--store", str(local.path), *FLAGS, "--name", "here"]) == 0
    there, here = (load_file(locations.run(name) / locations.ENCODER_FILE) for name in ("there", "here"))
    assert all(there[name].equal(here[name]) for name in here)
    capsys.readouterr()
    assert verify.main(["s3://bucket/place/made.shards"]) == 0
    assert "made.shards: sound" in capsys.readouterr().out


def test_damage_and_loss_there_are_found_and_repaired(remote, server, capsys):
    url, _ = remote
    assert shard.main([url]) == 0
    whole = server.cat_file("bucket/place/made.shards/made-000000.tar")
    server.pipe_file("bucket/place/made.shards/made-000000.tar", whole[:-1] + b"x")
    assert verify.main(["s3://bucket/place/made.shards"]) == 1
    assert "its SHA-256 is not the one in its index" in capsys.readouterr().out
    server.rm_file("bucket/place/made.shards/made-000000.tar")
    assert verify.main(["s3://bucket/place/made.shards"]) == 1
    assert verify.main(["s3://bucket/place/made.shards", "--repair"]) == 0
    assert server.cat_file("bucket/place/made.shards/made-000000.tar") == whole
    server.rm_file("bucket/place/made.zarr/mel/c/0/0")
    assert verify.main([url, "--scheduler", "threads"]) == 1
    assert "mel/c/0/0 is missing" in capsys.readouterr().out


@pytest.mark.slow
def test_a_store_there_is_embedded_as_the_same_store_on_disk_is(remote):
    url, local = remote
    encoder = str(locations.run("a") / locations.ENCODER_FILE)
    assert train.main(["--store", url, *FLAGS, "--name", "a"]) == 0
    assert extract.main([url, "--checkpoint", encoder]) == 0
    assert extract.main([str(local.path), "--checkpoint", encoder, "--out", "here.features.zarr"]) == 0
    there, here = (FeatureStore.read(path) for path in ("stores/made.a.features.zarr", "here.features.zarr"))
    np.testing.assert_array_equal(there.embeddings, here.embeddings)
    assert there.mel_store == remote_link.store_path(url)


@pytest.mark.slow
def test_a_store_there_is_probed_with_its_labels(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        synthetic_audio.write(tmp_path / "music" / f"{number:02d}.wav", synthetic_audio.chords(4, seed=number))
    small_collection.ingest_music(tmp_path / "music", tmp_path / "local" / "sung.zarr")
    local = MelStore.open(tmp_path / "local" / "sung.zarr")
    splits = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
    local.update(
        [replace(r, labels={"genre": "ab"[r.index % 2]}, split=splits[r.index], group=r.id) for r in local.rows]
    )
    server.put(str(local.path), "bucket/labels/sung.zarr", recursive=True)
    url = "s3://bucket/labels/sung.zarr"
    assert train.main(["--store", url, *FLAGS, "--name", "b"]) == 0
    encoder = str(locations.run("b") / locations.ENCODER_FILE)
    assert extract.main([url, "--checkpoint", encoder]) == 0
    assert probe.main(["sung", "--store", url, "--checkpoint", encoder, "--grid", "quick"]) == 0
    scores = Scores.read(locations.run("b") / "scores" / "sung.genre.json")
    assert {"trained", "mean-log-mel", "mean-chroma"} <= {row.representation for row in scores.rows}
    assert scores.clips == {"train": 6, "valid": 3, "test": 3}


@pytest.fixture
def sing(server, tmp_path, monkeypatch, capsys):
    """Return a function that ingests some pieces of music to the bucket, and returns the output."""
    monkeypatch.chdir(tmp_path)
    if server.exists("bucket/music"):
        server.rm("bucket/music", recursive=True)

    def run(*seeds, status=0, words=()):
        shutil.rmtree("music", ignore_errors=True)
        for seed in seeds:
            audio = tmp_path / "cache" / f"{seed:02d}.wav"
            if not audio.exists():
                synthetic_audio.write(audio, synthetic_audio.chords(4, seed=seed))
            (tmp_path / "music").mkdir(exist_ok=True)
            shutil.copy2(audio, tmp_path / "music")
        capsys.readouterr()
        flags = ["--store", "s3://bucket/music/sung.zarr", "--scheduler", "threads", *words]
        assert ingest.main(["folder", "--root", "music", *flags]) == status
        return "".join(capsys.readouterr())

    return run


def test_an_ingest_writes_a_copy_there_of_which_only_changes_are_written_again(sing, server):
    assert "sung.zarr: 4 files written" in sing(1, 2)
    local = MelStore.open(Path("stores/sung.zarr"))
    remote_store = MelStore.open(remote_link.store_path("s3://bucket/music/sung.zarr"))
    assert remote_store.digest() == local.digest()
    np.testing.assert_array_equal(remote_store.codes(1), local.codes(1))
    assert "sung.zarr: 0 files written (0.0 MB), 4 already there" in sing(1, 2)
    assert "3 files written (0.0 MB), 2 already there" in sing(1, 2, 3)  # a region, the array's length, the manifest
    remote_store = MelStore.open(remote_link.store_path("s3://bucket/music/sung.zarr"))
    assert remote_store.digest() == MelStore.open(Path("stores/sung.zarr")).digest() != local.digest()
    assert verify.main(["s3://bucket/music/sung.zarr", "--scheduler", "threads"]) == 0


def test_frames_that_are_gone_are_removed_there(sing, server):
    sing(1)
    sing(1, 2)
    before = server.find("bucket/music/sung.zarr/mel/c")
    assert "1 file removed" in sing(1, words=["--prune"])
    assert len(server.find("bucket/music/sung.zarr/mel/c")) == len(before) - 1
    assert verify.main(["s3://bucket/music/sung.zarr", "--scheduler", "threads"]) == 0


def test_a_copy_that_was_interrupted_goes_on(sing, server, monkeypatch):
    write, names = object_storage.write, list[str]()

    def fail_at_metadata(url, name, file):
        names.append(name)
        if name == "mel/zarr.json" and names.count(name) == 1:
            raise MissingArtifact(f"{url} cannot be reached; start the same command again")
        return write(url, name, file)

    monkeypatch.setattr(object_storage, "write", fail_at_metadata)
    assert "cannot be reached" in sing(1, 2, status=2)
    assert not server.exists("bucket/music/sung.zarr/manifest.parquet")
    assert "2 files written" in sing(1, 2)
    assert Counter(names) == {"mel/zarr.json": 2, "mel/c/0/0": 1}


def test_a_copy_does_not_replace_what_another_command_has_written(sing, server, monkeypatch):
    sing(1)
    manifest = server.cat_file("bucket/music/sung.zarr/manifest.parquet")
    update = RemoteCopy._write_frames

    def while_another_command_writes(self, names):
        server.pipe_file("bucket/music/sung.zarr/manifest.parquet", manifest + b"other")
        update(self, names)

    monkeypatch.setattr(RemoteCopy, "_write_frames", while_another_command_writes)
    assert "another command has written s3://bucket/music/sung.zarr/manifest.parquet" in sing(1, 2, status=2)
    assert server.cat_file("bucket/music/sung.zarr/manifest.parquet") == manifest + b"other"
    monkeypatch.undo()


def test_a_store_that_came_here_by_another_program_is_continued(sing, server, tmp_path):
    sing(1)
    shutil.rmtree("stores")
    assert "does not hold a copy of stores/sung.zarr" in sing(1, status=2)
    server.get("bucket/music/sung.zarr", "stores/sung.zarr", recursive=True)
    assert "5 files written" in sing(1, 2)  # all, because the tags of the other program are not known
    assert "0 files written" in sing(1, 2)


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (ingest, ["folder", "--root", ".", "--store", "s3://bucket/x.shards"], "an ingest writes a mel store"),
        (
            ingest,
            ["folder", "--root", ".", "--store", "s3://bucket/place/made.zarr"],
            "does not hold a copy of stores/made.zarr",
        ),
        (
            ingest,
            ["folder", "--root", ".", "--store", "s3://nobucket/x.zarr", "--dry-run"],
            "there is no bucket for s3://nobucket",
        ),
        (ingest, ["folder", "--root", ".", "--store", "s3:/bucket/x.zarr"], "URLs have two slashes after the colon"),
        (ingest, ["folder", "--root", ".", "--store", "s3://bucket/p#q/x.zarr"], "contains #"),
        (train, ["--store", "s3://bucket/place/made.zarr", *FLAGS, "--resident", "none"], "aws s3 cp --recursive"),
        (shard, ["s3://bucket/place/made.zarr", "--format", "stock"], "--format stock needs local files"),
        (verify, ["s3://bucket/place/made.zarr", "--repair"], "--repair of a mel store needs local files"),
        (shard, ["s3://bucket/place/other.zarr"], "nothing is at s3://bucket/place/other.zarr"),
        (shard, ["https://example.org/made.zarr"], "https://example.org/made.zarr is not a store"),
        (extract, ["s3://bucket/place/made.features.zarr"], "nothing is at"),
    ],
)
def test_what_a_command_cannot_do_there_is_one_line_with_advice(remote, command, words, message, capsys):
    assert command.main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("error: ") == 1


def test_a_server_that_is_gone_is_one_line(remote, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(object_storage, "_RETRIES", {"max_retries": 0})
    assert shard.main(["s3://bucket/place/made.zarr"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
