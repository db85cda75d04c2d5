"""Mel stores and shards in object storage: read, written, checked, trained on, embedded and probed, by an S3 server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import s3_server
import small_collection
import synthetic_audio
from safetensors.torch import load_file

from model import extract, probe, train
from model.probes.results.scores import Scores
from pipeline import ingest, shard, verify
from stores import locations, remote_link
from stores.features import FeatureStore
from stores.mel_store import MelStore

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


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (ingest, ["folder", "--store", "s3://bucket/x.zarr"], "ingest to --store stores/x.zarr, and then copy it"),
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
    monkeypatch.setattr(remote_link, "_RETRIES", {"max_retries": 0})
    assert shard.main(["s3://bucket/place/made.zarr"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
