"""Where a character set of a regular expression ends."""

from __future__ import annotations

__all__ = ["after_set"]


def after_set(pattern: str, place: int) -> int:
    """Index after the `]` that ends the character set which begins at `place`."""
    place += 2 if pattern.startswith("[^", place) else 1
    if pattern.startswith("]", place):
        place += 1  # in first place it is a member
    while place < len(pattern) and pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place + 1
