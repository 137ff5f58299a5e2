"""Random texts that match a regular expression, made from its parsed form."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from random import Random

    from lattice_lock.gauntlet._attached_inputs import Value

__all__ = ["sample_pattern"]

_ANY: Final = string.ascii_letters + string.digits + " _-.,:;/@#+!?()[]{}='\"%&*<>|~^$\\`\t"
_MORE: Final = 4
_FEW: Final = 256
_PARSER: Final[Any] = import_module("re._parser")  # the only parser
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": "aZ -_.",
    "CATEGORY_SPACE": " \t",
    "CATEGORY_NOT_SPACE": "aZ0-_.",
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_NOT_WORD": " -.:/",
}


def sample_pattern(pattern: str, random: Random, *, flags: int = 0) -> str | None:
    """A text that matches all of `pattern`; None where it asks for what is not understood."""
    parsed = _parsed(pattern, flags)
    if parsed is None:
        return None
    return _Sampler(random).sequence(parsed)


@lru_cache(maxsize=256)
def _parsed(pattern: str, flags: int) -> Value:
    try:
        return _PARSER.parse(pattern, flags)
    except (re.error, RecursionError, OverflowError):
        return None


class _Sampler:
    """Walks a parsed pattern once."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._groups: dict[int, str] = {}

    def sequence(self, parsed: Value) -> str:
        return "".join(self._one(str(code), argument) for code, argument in parsed)

    def _one(self, code: str, argument: Value) -> str:  # noqa: C901  # a table of syntax
        match code:
            case "LITERAL":
                return chr(argument)
            case "NOT_LITERAL":
                return self._random.choice([c for c in _ANY if ord(c) != argument])
            case "ANY":
                return self._random.choice(_ANY)
            case "IN":
                return self._from_set(argument)
            case "BRANCH":
                return self.sequence(self._random.choice(argument[1]))
            case "SUBPATTERN":
                number, _, _, inner = argument
                text = self.sequence(inner)
                if number is not None:
                    self._groups[number] = text
                return text
            case "ATOMIC_GROUP":
                return self.sequence(argument)
            case "GROUPREF":
                return self._groups.get(argument, "")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = argument
                most = min(int(high), int(low) + _MORE)
                count = self._random.randint(int(low), most)
                return "".join(self.sequence(inner) for _ in range(count))
            case _:  # anchors, boundaries and looking around take up no text
                return ""

    def _from_set(self, members: Value) -> str:
        allowed, negated = [], False
        for code, argument in members:
            match str(code):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    allowed.append(chr(argument))
                case "RANGE":
                    low, high = argument
                    picked = {low, high, self._random.randint(low, high)}
                    every = range(low, high + 1) if negated and high - low <= _FEW else picked
                    allowed += map(chr, every)
                case "CATEGORY":
                    allowed += _CATEGORIES.get(str(argument), "")
                case _:
                    continue
        if negated:
            allowed = [character for character in _ANY if character not in set(allowed)]
        return self._random.choice(allowed) if allowed else ""
