"""The folder of the encoder that ships: what the card says is what the comparison says."""

from __future__ import annotations

import pytest
import tiny
import torch
from safetensors.torch import load_file

from model.encoder import hub, weights
from model.evidence import shipping
from model.evidence.shipping import TrainingPackage
from model.inference import checkpoints
from stores.errors import DigestMismatch

COMPARISON = {
    "subject": "ours",
    "passages": 40,
    "recordings": {"a": 6, "b": 4},
    "rendered_clips": 1_200,
    "scores": {
        "ours": {"track-map": [0.6, 0.5, 0.7], "album-map": [0.5, 0.4, 0.6], "albums-5-labels": [0.5, 0.4, 0.6]},
        "mean": {"track-map": [0.4, 0.3, 0.5], "album-map": [0.5, 0.4, 0.6], "albums-5-labels": [0.7, 0.6, 0.8]},
    },
    "differences": {
        "mean": {"track-map": [0.2, 0.1, 0.3], "album-map": [0.0, -0.1, 0.1], "albums-5-labels": [-0.2, -0.3, -0.1]}
    },
}


def test_the_verdict_names_where_the_encoder_is_ahead_even_and_behind():
    assert shipping.verdict(COMPARISON).splitlines() == [
        "- same track, mAP: significantly ahead of all others.",
        "- same album, mAP: behind none, and no significant difference to mean.",
        "- album, 5 labels each: significantly behind mean.",
    ]


def test_the_folder_is_read_back_with_weights_in_bfloat16(tmp_path):
    loaded = checkpoints.load(tiny.write_run(tmp_path / "run"))
    folder = tmp_path / "shipped"
    comparison = {**COMPARISON, "weights": {"ours": weights.digest(loaded.encoder)}}
    shipping.write(folder, loaded, [TrainingPackage("x-music", "1-2", "MIT")], comparison, 12.0)
    assert {weight.dtype for weight in load_file(folder / hub.WEIGHTS).values()} == {torch.bfloat16}
    rounded = checkpoints.load(folder).encoder.state_dict()
    for name, weight in loaded.encoder.state_dict().items():
        torch.testing.assert_close(rounded[name], weight, rtol=4e-3, atol=1e-6)
    card = (folder / hub.CARD).read_text()
    assert "| x-music | 1-2 | MIT |" in card
    assert "40 passages of 30 s of 10 recordings" in card
    assert "linear probes on 1,200 clips" in card
    assert f"3.07 s of music into {loaded.encoder.config.embedding_width} numbers" in card
    assert "| ours | 0.600 (0.500 to 0.700) | 0.500 (0.400 to 0.600) | 0.500 (0.400 to 0.600) |" in card
    assert "| mean | 0.400 (0.300 to 0.500) * |" in card
    assert "0.700 (0.600 to 0.800) ! |" in card


@pytest.mark.parametrize("other", [{}, {"weights": {"ours": "0123"}}])
def test_scores_of_other_weights_are_an_error_and_write_nothing(tmp_path, other):
    loaded = checkpoints.load(tiny.write_run(tmp_path / "run"))
    with pytest.raises(DigestMismatch, match="the scores are those of ours"):
        shipping.write(tmp_path / "shipped", loaded, [], {**COMPARISON, **other}, 12.0)
    assert not (tmp_path / "shipped").exists()
