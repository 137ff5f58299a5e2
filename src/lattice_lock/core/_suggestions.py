"""What to propose when a name is unknown."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]

_MOST_LISTED = 12
_MOST_COMPARED = 500
_LONGEST_COMPARED = 80  # difflib is quadratic in the length of a word


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` is most likely a slip of, None when nothing is near."""
    if len(word) > _LONGEST_COMPARED:
        return None
    names = list(itertools.islice(known, _MOST_COMPARED))
    by_lower = {name.lower(): name for name in reversed(names)}
    if exact := by_lower.get(word.lower()):
        return exact
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the closest known name, or lists what is known.

    Returns:
        A sentence, or None when nothing is known at all.
    """
    names = list(dict.fromkeys(known))
    if not names:
        return None
    if near := closest(word, names):
        return f"Did you mean `{near}`?"
    listed = ", ".join(f"`{name}`" for name in names[:_MOST_LISTED])
    more = len(names) - _MOST_LISTED
    return f"Known here: {listed} and {more} more." if more > 0 else f"Known here: {listed}."
