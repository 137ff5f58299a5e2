"""Lists of words by name, kept as text beside the policies that use them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["word_lists"]


@cache
def word_lists(file: str) -> dict[str, frozenset[str]]:
    """The lists of a file of this folder, each a line `name: word word ...`."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: frozenset(words.split()) for name, _, words in lines}
