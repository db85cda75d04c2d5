"""Models are downloaded from a server that answers as the hub does, by id, revision and known name."""

from __future__ import annotations

import hub_server
import huggingface_hub
import numpy as np
import published_models
import pytest
import synthetic_audio
import tiny
from huggingface_hub import constants

import model
from model.encoder import hub, hub_models
from model.encoder.hub import PretrainedFolder
from model.inference.model_list import cached_folder
from stores.errors import MissingArtifact


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """The folder of the models of a hub that runs, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "remote"
    for name in published_models.KINDS:
        published_models.write(folder / "oriyonay" / name, name, config_changes={"patch_size": None})
    with hub_server.serve(folder, gated=["someone/gated"], cut=["someone/cut"]) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.file_download._DEFAULT_RETRY_ON_STATUS_CODES", (), raising=False)
        yield folder


@pytest.mark.parametrize("word", ["oriyonay/myna-vertical", "myna-vertical", "oriyonay/myna-vertical@v1"])
def test_a_word_means_a_model_of_the_hub(hub_folder, word):
    found = hub_models.find_checkpoint(word)
    assert "oriyonay/myna-vertical on the Hugging Face hub" in str(found)
    encoder = model.load_encoder(found.path)
    assert (encoder.config.patches, encoder.config.window_frames) == ("vertical", 98)


def test_paths_and_runs_come_before_models_of_the_hub(hub_folder, tmp_path):
    tiny.write_run(tmp_path / "runs" / "myna-base")
    assert str(hub_models.find_checkpoint("myna-base")) == "runs/myna-base/encoder.safetensors (run myna-base)"
    published_models.write(tmp_path / "oriyonay" / "myna-base", "myna-base")
    assert str(hub_models.find_checkpoint("oriyonay/myna-base")) == "oriyonay/myna-base (path)"


def test_a_second_use_needs_no_network_and_the_list_knows_it(hub_folder, monkeypatch):
    first = hub_models.download("oriyonay/myna-base")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_models.download("oriyonay/myna-base") == first
    assert cached_folder("oriyonay/myna-base") is not None
    with pytest.raises(MissingArtifact, match=r"not complete in the cache.*hf download oriyonay/myna-hybrid"):
        hub_models.download("oriyonay/myna-hybrid")


def test_only_the_configuration_and_the_weights_are_downloaded(hub_folder):
    folder = hub_models.download("oriyonay/myna-base")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_weights_can_be_a_state_dict_of_pytorch(hub_folder):
    expected = published_models.write(hub_folder / "someone" / "vertical", "myna-vertical", "pytorch_model.bin")
    assert model.load_encoder(hub_models.download("someone/vertical")).config.width == expected.config.width


def test_a_saved_model_is_loaded_from_the_hub_in_python(hub_folder, tmp_path):
    own = model.Myna(published_models.encoder("myna-hybrid"), precision="fp32")
    hub.write(hub_folder / "someone" / "mine", PretrainedFolder(own.encoder))
    song = synthetic_audio.write(tmp_path / "song.wav", synthetic_audio.chords(5.0))
    loaded = model.Myna.from_pretrained("someone/mine", revision="v1", precision="fp32")
    np.testing.assert_array_equal(loaded.embed(song), own.embed(song))
    assert model.Myna.from_pretrained("myna-85m").width == 128


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("someone/none", "the hub has no model someone/none, or it is private"),
        ("someone/gated", "someone/gated is gated: ask for access"),
        ("oriyonay/myna-base@v9", "oriyonay/myna-base has no revision v9"),
        ("someone/code", "someone/code has no weights that can be read"),
        ("someone/nothing", "someone/nothing has no config.json"),
        (
            "no such/model/at all",
            "neither an existing path nor the name of a finished run.*models are myna-base",
        ),
    ],
)
def test_what_cannot_be_downloaded_is_an_error_that_says_why(hub_folder, word, message):
    (hub_folder / "someone" / "gated").mkdir(parents=True)
    (hub_folder / "someone" / "nothing").mkdir()
    published_models.write(hub_folder / "someone" / "code", "myna-base")
    (hub_folder / "someone" / "code" / "model.safetensors").unlink()
    with pytest.raises(MissingArtifact, match=message):
        hub_models.find_checkpoint(word)


def test_a_download_that_breaks_off_leaves_no_model_that_looks_complete(hub_folder, monkeypatch):
    published_models.write(hub_folder / "someone" / "cut", "myna-base")
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None, raising=False)
    with pytest.raises(MissingArtifact, match="someone/cut"):
        hub_models.download("someone/cut")
    assert cached_folder("someone/cut") is None
    assert huggingface_hub.try_to_load_from_cache("someone/cut", "model.safetensors") is None
