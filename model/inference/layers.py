"""The option `--layer`: a block, the mean over several blocks, or every block. Nothing here imports torch."""

from __future__ import annotations

import re

from stores.errors import InvalidInput

Layer = int | str | None
"""A block from 1; `all`; `mean` over all blocks; `mix` for a mixture of all blocks that a probe learns; a range such as
`3-8` for the mean over it; None for the embedding after the last block and the last LayerNorm."""
ALL, MEAN, MIX = "all", "mean", "mix"
_WORD = re.compile(r"all|mean|mix|[0-9]{1,4}|[0-9]{1,4}-[0-9]{1,4}")


def parse_layer(word: str | None, *, accepts_mix: bool = False) -> Layer:
    """Return the layer that the word of a command line means.

    Args:
        word: word of the command line.
        accepts_mix: accept `mix`, which only a probe can learn.

    Raises:
        InvalidInput: the word means none.
    """
    if word is None:
        return None
    if not _WORD.fullmatch(word):
        raise InvalidInput(
            f"--layer must be a block such as 6, a range such as 3-8 or mean for the mean over blocks, or all "
            f"(got {word[:40]!r})"
        )
    if word == MIX and not accepts_mix:
        raise InvalidInput(f"--layer {MIX} is learned by model.probe; extract all layers with --layer {ALL}")
    return int(word) if word.isdigit() else word


def blocks_of(layer: int | str, depth: int) -> list[int]:
    """Return the numbers of the blocks that a layer consists of.

    Args:
        layer: a layer that is not None.
        depth: number of blocks of the encoder.

    Raises:
        InvalidInput: the encoder has no such block, or the range is empty.
    """
    if layer in (ALL, MEAN, MIX):
        return list(range(1, depth + 1))
    first, _, last = str(layer).partition("-") if isinstance(layer, str) else (layer, "", layer)
    blocks = list(range(int(first), int(last or first) + 1))
    if not blocks or blocks[0] < 1 or blocks[-1] > depth:
        raise InvalidInput(f"--layer must be a block of the encoder, 1 to {depth} (got {layer})")
    return blocks


def suffix_of(layer: Layer) -> str:
    """Return the part of the name of features that states the layer, empty for None."""
    if layer is None:
        return ""
    named = {ALL: "layers", MEAN: "layers-mean", MIX: "layers-mix"}
    return named.get(str(layer)) or f"{'layers' if '-' in str(layer) else 'layer'}{layer}"
