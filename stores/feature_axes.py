"""The middle axis of feature stores that have several embeddings in each row: the layers or the tokens of an encoder.

The provenance describes the axis: `layers` is a list of block numbers, and `tokens` is a table with one list for each
of `TOKEN_COLUMNS`. It is not trusted, because it may come from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from stores.errors import InvalidInput

Axis = Literal["layers", "tokens"]
TOKEN_COLUMNS = ("patches", "start_seconds", "end_seconds", "low_mel", "high_mel", "low_hz", "high_hz")
"""Kind of patch of a token; its span in its window, in seconds; its mel bins from `low_mel` to before `high_mel`; and
the lower edge of the first and the upper edge of the last of their filters, in Hz."""


def axis_of(provenance: Mapping[str, Any], shape: Sequence[int]) -> Axis | None:
    """Return what the middle axis of embeddings of `shape` stands for, or None if there is none.

    Args:
        provenance: provenance of the embeddings.
        shape: `[rows, width]`, `[rows, layers, width]` or `[rows, tokens, width]`.

    Raises:
        InvalidInput: the provenance does not describe the axis.
    """
    if len(shape) == 2:
        return None
    described = [name for name in ("layers", "tokens") if name in provenance]
    if len(shape) != 3 or len(described) != 1:
        raise InvalidInput(f"embeddings of shape {list(shape)} have an axis that is not described as layers or tokens")
    if described == ["layers"]:
        _require_layers(provenance["layers"], shape[1])
        return "layers"
    _require_tokens(provenance["tokens"], shape[1])
    return "tokens"


def _require_layers(layers: object, count: int) -> None:
    is_list = isinstance(layers, list) and all(type(layer) is int and layer > 0 for layer in layers)
    if not is_list or len(set(layers)) != count or len(layers) != count:  # type: ignore[call-overload, arg-type]
        raise InvalidInput(f"the embeddings have {count} layers, and their numbers are {str(layers)[:80]}")


def _require_tokens(tokens: object, count: int) -> None:
    columns = tokens if isinstance(tokens, dict) else {}
    if set(columns) != set(TOKEN_COLUMNS) or any(not isinstance(columns[name], list) for name in TOKEN_COLUMNS):
        raise InvalidInput(f"the table of tokens must have the columns {', '.join(TOKEN_COLUMNS)}")
    for name in TOKEN_COLUMNS:
        is_valid = _is_text if name == "patches" else _is_number
        if len(columns[name]) != count or not all(is_valid(value) for value in columns[name]):
            raise InvalidInput(f"the embeddings have {count} tokens, and their column {name} does not describe them")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def reject_axis(path: Path, attributes: Mapping[str, Any]) -> NoReturn:
    """Reject the feature store at `path`, whose attributes describe layers or tokens.

    Raises:
        InvalidInput: always.
    """
    if "layers" in attributes:
        raise InvalidInput(
            f"{path} holds an embedding of every layer, and one for each clip is needed here; extract with --layer N, "
            "--layer 3-8 or --layer mean, or score all layers with `python -m model.probe DATASET --layer all`"
        )
    raise InvalidInput(
        f"{path} holds an embedding of every token, and one for each clip is needed here; extract with --pool mean"
    )
