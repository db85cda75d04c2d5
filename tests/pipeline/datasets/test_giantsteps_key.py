"""GiantSteps as a test set of whole previews, in a miniature of its published repository."""

from __future__ import annotations

import pytest
import synthetic_splits
from synthetic_audio import write_text

from pipeline.datasets import giantsteps_key
from stores.errors import CorruptArtifact, MissingArtifact

KEYS = {"10089": "D major", "5061": "Eb minor", "1004923": "C minor"}


@pytest.fixture
def root(tmp_path):
    synthetic_splits.touch(tmp_path, "audio/10089.LOFI.mp3", "audio/0005061.mp3", "audio/77.LOFI.mp3")
    for number, key in KEYS.items():
        write_text(tmp_path / giantsteps_key.ANNOTATIONS / f"{number}.LOFI.key", f"{key}\n")
    return tmp_path


def test_previews_are_listed_whole_as_a_test_set(root):
    listing = giantsteps_key.tracks(root)
    assert {track.id: (track.labels["key"], track.split, track.group) for track in listing.tracks} == {
        "10089": ("D major", "test", "10089"),
        "5061": ("Eb minor", "test", "5061"),
    }
    assert not any(track.cut_seconds for track in listing.tracks)
    assert listing.published == {"test": 3}
    assert listing.counts["clips missing"] == 1


def test_the_clone_can_be_in_another_folder(root, tmp_path_factory):
    clone = tmp_path_factory.mktemp("clone")
    (root / "annotations").rename(clone / "annotations")
    assert len(giantsteps_key.tracks(root, clone).tracks) == 2
    with pytest.raises(MissingArtifact, match=r"no annotations/key below .*use --metadata with its folder"):
        giantsteps_key.tracks(root)


def test_an_annotation_that_is_no_key_is_an_error(root):
    write_text(root / giantsteps_key.ANNOTATIONS / "10089.LOFI.key", "H dur\n")
    with pytest.raises(CorruptArtifact, match="holds 'H dur', and a key such as 'Eb minor' is needed"):
        giantsteps_key.tracks(root)
    (root / giantsteps_key.ANNOTATIONS / "10089.LOFI.key").write_bytes(b"\xff")
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        giantsteps_key.tracks(root)
