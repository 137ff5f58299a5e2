"""A few strings that match a regular expression of the everyday kind.

Understands literals, character sets, groups, alternatives and repeats. For whatever lies beyond
(look-around, back-references) there is no sample; every sample is checked against the pattern.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache

from lattice_lock.core._character_sets import after_set

__all__ = ["matching_texts"]

_CANDIDATES = f"aA0bB1zZ9_- .,:;/@#+{string.ascii_letters}{string.digits}{string.punctuation}\té"
_MORE_REPEATS = 2
_DEEPEST = 20
_LONGEST = 1_000
_REPEAT = re.compile(r"([*+?])|\{(\d*)(,?)(\d*)\}")
_GROUP = re.compile(r"\((\?:|\?P<\w+>|(?!\?))")


class _UnknownSyntaxError(Exception):
    """The pattern uses something that is not understood here."""


@lru_cache(maxsize=256)
def matching_texts(pattern: str) -> tuple[str, ...]:
    """Strings that match the whole `pattern`: shortest first, empty when none was found."""
    found: dict[str, None] = {}
    for longer in (False, True):
        for choice in range(3):
            try:
                text = _Sampler(pattern, choice, longer=longer).sample()
            except _UnknownSyntaxError:
                return ()
            if len(text) <= _LONGEST and re.fullmatch(pattern, text):
                found[text] = None
    return tuple(found)


class _Sampler:
    """Walks a pattern once and writes one string.

    Args:
        pattern: a valid regular expression.
        choice: which of the characters of a set, and which alternative, to take.
        longer: whether a repeat is used more often than it must be.
    """

    def __init__(self, pattern: str, choice: int, *, longer: bool) -> None:
        self._pattern = pattern
        self._choice = choice
        self._longer = longer
        self._place = 0

    def sample(self) -> str:
        text = self._alternatives(0)
        if self._place < len(self._pattern):
            raise _UnknownSyntaxError
        return text

    def _next(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _alternatives(self, depth: int) -> str:
        if depth > _DEEPEST:
            raise _UnknownSyntaxError
        found = [self._sequence(depth)]
        while self._next() == "|":
            self._place += 1
            found.append(self._sequence(depth))
        return found[self._choice % len(found)]

    def _sequence(self, depth: int) -> str:
        parts = []
        length = 0
        while self._next() not in ("", "|", ")"):
            part = self._repeated(self._one(depth))
            length += len(part)
            if length > _LONGEST:
                raise _UnknownSyntaxError
            parts.append(part)
        return "".join(parts)

    def _repeated(self, part: str) -> str:
        found = _REPEAT.match(self._pattern, self._place)
        if found is None:
            return part
        self._place = found.end()
        if self._next() in ("?", "+"):
            self._place += 1
        if found[1]:
            low, high = (1 if found[1] == "+" else 0), (1 if found[1] == "?" else None)
        else:
            low = int(found[2] or 0)
            high = (int(found[4]) if found[4] else None) if found[3] else low
        most = low + _MORE_REPEATS if high is None else min(high, low + _MORE_REPEATS)
        count = most if self._longer else low
        if count * len(part) > _LONGEST:
            raise _UnknownSyntaxError
        return part * count

    def _one(self, depth: int) -> str:
        character = self._next()
        if character == "(":
            return self._group(depth)
        if character == "[":
            end = after_set(self._pattern, self._place)
            piece = self._pattern[self._place : end]
            self._place = end
            return self._pick(piece)
        if character in ("^", "$"):
            self._place += 1
            return ""
        length = 2 if character == "\\" else 1
        piece = self._pattern[self._place : self._place + length]
        self._place += length
        if piece in ("\\b", "\\B", "\\A", "\\Z"):
            return ""
        if length == 1 and character != ".":
            return character
        return self._pick(piece)

    def _group(self, depth: int) -> str:
        opening = _GROUP.match(self._pattern, self._place)
        if opening is None:
            raise _UnknownSyntaxError
        self._place = opening.end()
        inner = self._alternatives(depth + 1)
        if self._next() != ")":
            raise _UnknownSyntaxError
        self._place += 1
        return inner

    def _pick(self, piece: str) -> str:
        """A character that matches a set such as `[A-Z]`."""
        try:
            one = re.compile(piece)
        except re.error as error:
            raise _UnknownSyntaxError from error
        fitting = list(dict.fromkeys(filter(one.fullmatch, _CANDIDATES)))
        if not fitting:
            # A set may hold nothing of the usual; its own characters are the next guess.
            fitting = list(filter(one.fullmatch, piece))
        if not fitting:
            raise _UnknownSyntaxError
        return fitting[self._choice % len(fitting)]
