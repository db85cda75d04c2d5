"""How many of what, as people say it."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 clip`, `2 clips`: for nouns that add an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
