"""Words that a pattern cannot match without, so that most texts need no look at it.

Understands what the patterns of `_injection_rows.txt` are made of: groups, alternatives, classes,
counts, and looks ahead. What it is unsure of it leaves out, which costs time and changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["BEGUN", "needed", "rarity"]

BEGUN = "^"
"""What stands before a word that is no part of a longer one before it."""


_LEAST = 3
_ATOM = re.compile(
    r"(?P<open>\((?:\?(?::|=|!|<!|<=))?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\]|\\[a-zA-Z]|[.^$])|(?P<one>\\.|.)",
    re.DOTALL,
)
_COUNT = re.compile(r"(?:\{(\d*)(?:,\d*)?\}|[?*+])\??")


def _frequencies() -> dict[str, int]:
    lines = Path(__file__).with_name("_injection_frequent.txt").read_text(encoding="utf-8")
    pairs = (line.rpartition(" ") for line in lines.splitlines() if line[:1] != "#")
    return {word: int(number) for word, _, number in pairs}


_FREQUENT = _frequencies()


class _Needs(NamedTuple):
    sets: list[frozenset[str]]
    end: int


def rarity(words: frozenset[str]) -> float:
    """How seldom one of `words` is expected to stand in a text; more is rarer."""
    return -sum(_FREQUENT.get(one, 0.1 + 8.0 ** (2 - len(one))) for one in words)


def needed(pattern: str) -> list[frozenset[str]]:
    """Sets of words; of each, one has to stand in whatever `pattern` matches. Rarest first."""
    return sorted(
        set(_alternatives(pattern, 0, begun=False).sets),
        key=lambda one: (-rarity(one), sorted(one)),
    )


def _alternatives(pattern: str, at: int, *, begun: bool) -> _Needs:
    """What the alternatives up to the end of the group need in common.

    `begun`: whether what is before the group cannot belong to the same word.
    """
    branches: list[list[frozenset[str]]] = [[]]
    run = ""
    start = apart = begun
    while True:
        found = _ATOM.match(pattern, at)
        kind = None if found is None else found.lastgroup
        if found is None or kind in {"close", "or"}:
            branches[-1] += _word(run, begun=start)
            run = ""
            start = apart = begun
            at = len(pattern) if found is None else found.end()
            if kind == "or":
                branches.append([])
                continue
            return _Needs(_common(branches), at)
        at = found.end()
        inner: list[frozenset[str]] = []
        looks = kind == "open" and found[0] not in {"(", "(?:"}
        if kind == "open":
            inner, at = _alternatives(
                pattern, at, begun=apart if not run else not run[-1].isalnum()
            )
            if "!" in found[0] or "<" in found[0]:
                inner = []
        ended = pattern[at - 2 : at] == " )"
        count = _COUNT.match(pattern, at)
        optional = count is not None and (count[0][0] in "?*" or count[1] in {"0", ""})
        at = at if count is None else count.end()
        if kind == "one" and not optional:
            start = start if run else apart
            run += found[0][-1]
        if kind != "one" or count is not None:
            before = apart if not run else not run[-1].isalnum()
            branches[-1] += _word(run, begun=start)
            branches[-1] += [] if optional else inner
            run = ""
            divides = found[0].startswith((r"[^\w", r"\b", r"\W", r"\s")) or ended or looks
            apart = divides and (before or not (optional or looks))
            start = apart


def _word(run: str, *, begun: bool) -> list[frozenset[str]]:
    if len(run) < _LEAST:
        return []
    return [frozenset([BEGUN + run if begun and run[0].isalnum() else run])]


def _common(branches: list[list[frozenset[str]]]) -> list[frozenset[str]]:
    if len(branches) == 1:
        return branches[0]
    if not all(branches):
        return []
    return [frozenset().union(*(max(sets, key=rarity) for sets in branches))]
