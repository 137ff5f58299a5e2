"""Lists of words, written as text."""

from __future__ import annotations

__all__ = ["words_in"]


def words_in(text: str) -> tuple[str, ...]:
    """The words of `text`, which white space separates, in their order."""
    return tuple(text.split())
