"""The option `--layer`: words that mean a block, several blocks or all of them."""

from __future__ import annotations

import pytest

from model.inference.layers import blocks_of, parse_layer, suffix_of
from stores.errors import InvalidInput


@pytest.mark.parametrize(
    ("word", "layer", "blocks", "suffix"),
    [
        ("2", 2, [2], "layer2"),
        ("2-3", "2-3", [2, 3], "layers2-3"),
        ("mean", "mean", [1, 2, 3, 4], "layers-mean"),
        ("all", "all", [1, 2, 3, 4], "layers"),
    ],
)
def test_a_word_means_blocks(word, layer, blocks, suffix):
    assert parse_layer(word) == layer
    assert blocks_of(layer, 4) == blocks
    assert suffix_of(layer) == suffix


@pytest.mark.parametrize("word", ["", "x", "-1", "1-", "1.5", "99999", "3-8-9", "²"])
def test_other_words_are_rejected(word):
    with pytest.raises(InvalidInput, match=r"--layer must be a block such as 6, a range such as 3-8"):
        parse_layer(word)


@pytest.mark.parametrize("layer", [0, 5, "3-5", "3-2", "0-1"])
def test_blocks_that_the_encoder_lacks_are_rejected(layer):
    with pytest.raises(InvalidInput, match=r"--layer must be a block of the encoder, 1 to 4"):
        blocks_of(layer, 4)
