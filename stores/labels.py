"""Labels as text, because a manifest stores every label (a class, a number or several tags) as text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from stores.errors import InvalidInput

SEPARATOR = "|"
EMPTY_WORDS = frozenset({"", "-", "nan", "none", "null", "n/a", "na", "<na>", "#n/a"})
"""Words, in lower case, that programs write into a cell without a value. They are never a label, a split or a group."""


def is_empty_word(text: str) -> bool:
    """Return whether `text` stands for no value, such as `nan`, in any case and with spaces around it."""
    return text.strip().casefold() in EMPTY_WORDS


def join_tags(tags: Iterable[str]) -> str:
    """Return tags as one label in the same order, each once, such as `guitar|slow`. Without tags the label is empty.

    Raises:
        InvalidInput: a tag is empty or contains the separator.
    """
    tags = list(dict.fromkeys(tags))
    if wrong := [tag for tag in tags if not tag or SEPARATOR in tag]:
        raise InvalidInput(f"tags {wrong} cannot be stored; a tag must not be empty or contain {SEPARATOR!r}")
    return SEPARATOR.join(tags)


def tidy_tags(text: str) -> str:
    """Return a label or tags as written by hand, with no spaces around them, no repeated tag and no empty word.

    Accented letters become one character each (NFC), so that one word is not two classes.
    """
    tags = (tag.strip() for tag in unicodedata.normalize("NFC", text).split(SEPARATOR))
    return SEPARATOR.join(dict.fromkeys(tag for tag in tags if not is_empty_word(tag)))


def split_tags(label: str) -> list[str]:
    """Return the tags of a label that `join_tags` returned."""
    return label.split(SEPARATOR) if label else []


def count_noun(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 clip` or `2 clips`. The plural of the noun must end in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
