"""Song-level aggregation: four ways to combine the outputs for the clips of a song to one class (as in JukeMIR).

vote   the class that is predicted for most clips. Of equals, the first one in JukeMIR's list of keys
max    the class of the largest output of all clips
gmean  the class with the largest geometric mean of probabilities, which is that of the largest mean output
mean   the class with the largest arithmetic mean of probabilities
"""

from __future__ import annotations

import torch
from torch import Tensor

AGGREGATIONS = ("vote", "max", "gmean", "mean")
"""Names of the aggregations. If several are equally good on validation, the first one is used."""


def song_predictions(outputs: Tensor, songs: Tensor, count: int, ranks: Tensor | None = None) -> dict[str, Tensor]:
    """Return the class of each song, `[P, songs]`, by each of `AGGREGATIONS`.

    Args:
        outputs: outputs before softmax, `[P, clips, C]`.
        songs: song of each clip, `[clips]`. Each number from 0 to `count` - 1 occurs at least once.
        count: number of songs.
        ranks: place of each class, `[C]`. If several classes have equal votes, that with the lowest place wins. None
            means the order of the outputs; keys have `musical_keys.label_ranks`.
    """
    probes, _, classes = outputs.shape
    zeros = outputs.new_zeros(probes, count, classes)
    clip_votes = torch.nn.functional.one_hot(outputs.argmax(-1), classes).to(outputs.dtype)
    # less than one vote, so that it decides only between classes with equal votes
    tie_break = -(torch.arange(classes, device=outputs.device) if ranks is None else ranks) / classes
    targets = songs.view(1, -1, 1).expand_as(outputs)
    song_outputs = {
        "vote": zeros.index_add(1, songs, clip_votes) + tie_break,
        "max": (zeros - torch.inf).scatter_reduce(1, targets, outputs, "amax"),
        "gmean": zeros.index_add(1, songs, outputs),  # the sum over a song has the same largest class as the mean
        "mean": zeros.index_add(1, songs, outputs.softmax(-1)),
    }
    return {name: song_outputs[name].argmax(-1) for name in AGGREGATIONS}
