"""Regular expressions that Python and PostgreSQL read alike."""

from __future__ import annotations

import re

__all__ = ["PatternError", "portable_pattern"]

_MOST_REPEATS = 255
"""DUPMAX of PostgreSQL's regular expressions."""

_REPEAT = re.compile(r"([*+?])|\{(\d*)(,?)(\d*)\}")
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_SPACE = r"\t-\r\u001c- \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROLS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_PLAIN = {"|": "|", ".": r"[^\n]", "^": r"\A"}
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_CLASS_HINTS = {
    "d": "Write `[0-9]`.",
    "D": "Write `[^0-9]`.",
    "w": "Write `[A-Za-z0-9_]`.",
    "W": "Write `[^A-Za-z0-9_]`.",
}


class PatternError(ValueError):
    """A pattern that PostgreSQL cannot be trusted to read as Python does."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def portable_pattern(pattern: str) -> str:
    r"""A regular expression, anchored at both ends, with one meaning in Python and PostgreSQL.

    Characters outside of ASCII letters and digits become `\uXXXX`, so that the text needs no
    further escapes in SQL but those of quotes. `\s` becomes the white space that Python knows.

    Args:
        pattern: a valid regular expression of Python that matches the whole text.

    Raises:
        PatternError: it uses what the two understand differently.
    """
    return rf"\A(?:{_Translator(pattern).translate()})\Z"


class _Translator:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self._depth = 0

    def translate(self) -> str:
        parts = []
        while self._place < len(self._pattern):
            parts.append(self._next())
        return "".join(parts)

    def _next(self) -> str:
        if repeat := _REPEAT.match(self._pattern, self._place):
            if text := self._repeat(repeat):
                return text
        elif group := _GROUP.match(self._pattern, self._place):
            self._place = group.end()
            self._depth += 1
            return "(?:"
        character = self._pattern[self._place]
        self._place += 1
        if character in _PLAIN:
            return _PLAIN[character]
        match character:
            case "(":
                raise PatternError(
                    "uses look-around, a flag or a condition", "Write it without `(?...)`."
                )
            case ")":
                self._depth -= 1
                return ")"
            case "$":
                return self._end()
            case "[":
                return self._set()
            case "\\":
                return self._escape()
            case _:
                return _character(ord(character))

    def _repeat(self, found: re.Match[str]) -> str:
        sign, low, comma, high = found.groups()
        if sign is None and not (low or high):
            if comma:
                sign = "*"  # `{,}` repeats without limits
            else:
                return ""  # `{}` is two characters
        self._place = found.end()
        following = self._pattern[self._place : self._place + 1]
        if following == "+":
            raise PatternError("uses a possessive repeat", "Write it without the second `+`.")
        if following == "?":
            self._place += 1  # what is matched in whole does not depend on greed
        if sign is not None:
            return sign
        if max(int(low or 0), int(high or 0)) > _MOST_REPEATS:
            raise PatternError(
                f"repeats something more than {_MOST_REPEATS} times",
                "Limit the length with `max_length` instead.",
            )
        return f"{{{low or 0}{comma}{high}}}"

    def _end(self) -> str:
        following = self._pattern[self._place : self._place + 1]
        if self._depth == 0 and following in ("", "|"):
            return r"\Z"
        raise PatternError("has a `$` before its end", "Leave it out: the whole text is matched.")

    def _escape(self) -> str:
        name = self._pattern[self._place]
        if name in "sS":
            self._place += 1
            return f"[{'^' if name == 'S' else ''}{_SPACE}]"
        if name in "AZ":
            self._place += 1
            return f"\\{name}"
        return _character(self._escaped(in_set=False))

    def _escaped(self, *, in_set: bool) -> int:
        """Code point of the escape whose backslash was just read."""
        name = self._pattern[self._place]
        if code := _CODE.match(self._pattern, self._place):
            self._place = code.end()
            return int(next(filter(None, code.groups())), 16)
        self._place += 1
        if name in _CONTROLS and (name != "b" or in_set):
            return _CONTROLS[name]
        if name in _CLASS_HINTS:
            raise PatternError(
                f"uses `\\{name}`, which is not the same characters everywhere", _CLASS_HINTS[name]
            )
        if name.isalnum():
            raise PatternError(f"uses `\\{name}`, which has no equal in SQL")
        return ord(name)

    def _set(self) -> str:
        text = "["
        if self._pattern.startswith("^", self._place):
            self._place += 1
            text = "[^"
        first = True
        while first or self._pattern[self._place] != "]":
            first = False
            low = self._member()
            high = self._range_end()
            if isinstance(low, str):
                text += low
            else:
                text += _character(low) + ("" if high is None else f"-{_character(high)}")
        self._place += 1
        return f"{text}]"

    def _member(self) -> int | str:
        character = self._pattern[self._place]
        self._place += 1
        if character != "\\":
            return ord(character)
        if self._pattern[self._place] == "s":
            self._place += 1
            return _SPACE
        if self._pattern[self._place] == "S":
            raise PatternError("uses `\\S` within a set", "List the characters.")
        return self._escaped(in_set=True)

    def _range_end(self) -> int | None:
        following = self._pattern[self._place : self._place + 2]
        if following[:1] != "-" or following[1:] == "]":
            return None
        self._place += 1
        end = self._member()
        return end if isinstance(end, int) else None


def _character(code: int) -> str:
    if code == 0:
        raise PatternError("holds the character 0, which no text in a database does")
    character = chr(code)
    if character.isascii() and (character.isalnum() or character in " _"):
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- 4 digits
