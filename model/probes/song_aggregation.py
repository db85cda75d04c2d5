"""From clips to songs: four ways to make one prediction of those of a recording's clips (JukeMIR's).

vote   the class that most clips are said to be; of several, the first
max    the class of the largest output of all clips
gmean  the class with the largest geometric mean of probabilities, which is that of the largest mean output
mean   the class with the largest arithmetic mean of probabilities
"""

from __future__ import annotations

import torch
from torch import Tensor

VOTES = ("vote", "max", "gmean", "mean")
"""In the order in which the first of several that are best on validation is taken."""


def song_predictions(outputs: Tensor, songs: Tensor, count: int) -> dict[str, Tensor]:
    """Class of each song, `[P, songs]`, by each of `VOTES`.

    Args:
        outputs: `[P, clips, C]`, before softmax.
        songs: song of each clip, `[clips]`, each of 0 to `count` - 1 at least once.
        count: songs.
    """
    probes, _, classes = outputs.shape
    nothing = outputs.new_zeros(probes, count, classes)
    said = torch.nn.functional.one_hot(outputs.argmax(-1), classes).to(outputs.dtype)
    counts = nothing.index_add(1, songs, said)
    first = -torch.arange(classes, device=outputs.device) / classes  # less than one vote: the first of several leads
    places = songs.view(1, -1, 1).expand_as(outputs)
    largest = (nothing - torch.inf).scatter_reduce(1, places, outputs, "amax")
    found = {
        "vote": counts + first,
        "max": largest,
        "gmean": nothing.index_add(1, songs, outputs),  # a song's sum and mean have their largest class in common
        "mean": nothing.index_add(1, songs, outputs.softmax(-1)),
    }
    return {name: found[name].argmax(-1) for name in VOTES}
