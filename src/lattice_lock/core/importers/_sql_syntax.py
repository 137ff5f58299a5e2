"""Reads conditions of SQL, as databases write them, into small trees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Call",
    "Column",
    "Constant",
    "Nested",
    "Operation",
    "SqlSyntaxError",
    "parse_condition",
]

_LONGEST = 20_000
_DEEPEST = 60
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>[EeNn]?'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`|\[[A-Za-z_]\w*\](?!\s*\[))
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<word>[A-Za-z_][\w$]*)
      | (?P<sign>::|<=|>=|<>|!=|==|\|\||!~~\*?|~~\*?|!~\*?|~\*?|[-=<>()\[\],+*/%.])
    )""",
    re.VERBOSE,
)
_COMPARISONS: Final[Mapping[str, str]] = {
    "=": "==",
    "==": "==",
    "<>": "!=",
    "!=": "!=",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
    "~": "~",
    "~~": "like",
}
_LEVELS = (("+", "-", "||"), ("*", "/", "%"))
# Types of more than one word; those of one need no list.
_LONG_TYPES = (
    "double precision",
    "character varying",
    "timestamp with time zone",
    "timestamp without time zone",
    "time with time zone",
    "time without time zone",
)


class SqlSyntaxError(ValueError):
    """A condition outside of what is read here."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, a number, true, false or null."""

    value: str | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Call:
    """A function of arguments; its name in lower case."""

    name: str
    arguments: tuple[Nested, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands: `and`, `not`, `in`, `is null`, comparisons, arithmetic."""

    sign: str
    operands: tuple[Nested, ...]


Nested: TypeAlias = Column | Constant | Call | Operation


def parse_condition(text: str) -> Nested:
    """The tree of a condition; casts are left out, `BETWEEN` becomes two comparisons.

    Raises:
        SqlSyntaxError: it uses more of SQL than this reads.
    """
    parser = _Parser(text)
    found = parser.either(0)
    parser.expect_end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise SqlSyntaxError("it is too long")
        self._tokens: list[tuple[str, str]] = []
        place, text = 0, text.strip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise SqlSyntaxError(f"`{text[place : place + 20]}` is not read")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()
        self._next = 0

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self._next + ahead
        return self._tokens[place] if place < len(self._tokens) else ("end", "")

    def _takes(self, *words: str) -> bool:
        """Whether the next tokens are these words or signs; they are taken then."""
        for ahead, word in enumerate(words):
            group, text = self._peek(ahead)
            if group not in ("word", "sign") or text.lower() != word:
                return False
        self._next += len(words)
        return True

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise SqlSyntaxError(f"`{self._peek()[1] or 'the end'}` is not read")

    def expect_end(self) -> None:
        """Refuse anything that follows."""
        if self._next < len(self._tokens):
            raise SqlSyntaxError(f"`{self._peek()[1]}` is not read")

    def either(self, depth: int) -> Nested:
        """Conditions with `OR` between them."""
        if depth > _DEEPEST:
            raise SqlSyntaxError("it is nested too deeply")
        found = [self._both(depth)]
        while self._takes("or"):
            found.append(self._both(depth))
        return found[0] if len(found) == 1 else Operation("or", tuple(found))

    def _both(self, depth: int) -> Nested:
        found = [self._negated(depth)]
        while self._takes("and"):
            found.append(self._negated(depth))
        return found[0] if len(found) == 1 else Operation("and", tuple(found))

    def _negated(self, depth: int) -> Nested:
        if depth > _DEEPEST:
            raise SqlSyntaxError("it is nested too deeply")
        if self._takes("not"):
            return Operation("not", (self._negated(depth + 1),))
        return self._compared(depth)

    def _compared(self, depth: int) -> Nested:
        left = self._sum(0, depth)
        while True:
            if self._takes("is", "not", "null") or self._takes("notnull"):
                left = Operation("is not null", (left,))
            elif self._takes("is", "null") or self._takes("isnull"):
                left = Operation("is null", (left,))
            elif self._takes("is"):
                left = Operation("is", (left, self._sum(0, depth)))
            else:
                break
        negated = self._peek()[1].lower() == "not" and self._takes("not")
        found = self._special(left, depth)
        if found is None:
            if negated:
                raise SqlSyntaxError("`NOT` is not read here")
            sign = _COMPARISONS.get(self._peek()[1]) if self._peek()[0] == "sign" else None
            if sign is None:
                return left
            self._next += 1
            if sign == "==" and self._takes("any"):
                found = Operation("in", (left, *self._array(depth)))
            else:
                found = Operation(sign, (left, self._sum(0, depth)))
        return Operation("not", (found,)) if negated else found

    def _special(self, left: Nested, depth: int) -> Nested | None:
        """What follows a value in words."""
        if self._takes("in"):
            self._expect("(")
            return Operation("in", (left, *self._listed(depth, ")")))
        if self._takes("between"):
            low = self._sum(0, depth)
            self._expect("and")
            high = self._sum(0, depth)
            return Operation("and", (Operation(">=", (left, low)), Operation("<=", (left, high))))
        for word, sign in (("like", "like"), ("glob", "glob"), ("regexp", "~")):
            if self._takes(word):
                return Operation(sign, (left, self._sum(0, depth)))
        return None

    def _array(self, depth: int) -> list[Nested]:
        """The items behind `ANY`, within any number of brackets, each with its cast."""
        brackets = 0
        while self._takes("("):
            brackets += 1
        self._expect("array")
        self._expect("[")
        items = self._listed(depth, "]")
        for _ in range(brackets):
            self._casts()
            self._expect(")")
        self._casts()
        return items

    def _listed(self, depth: int, end: str) -> list[Nested]:
        found: list[Nested] = []
        if self._takes(end):
            return found
        while True:
            found.append(self.either(depth + 1))
            if self._takes(end):
                return found
            self._expect(",")

    def _sum(self, level: int, depth: int) -> Nested:
        if level == len(_LEVELS):
            return self._value(depth)
        found = self._sum(level + 1, depth)
        while self._peek()[0] == "sign" and self._peek()[1] in _LEVELS[level]:
            sign = self._peek()[1]
            self._next += 1
            found = Operation(sign, (found, self._sum(level + 1, depth)))
        return found

    def _value(self, depth: int) -> Nested:
        if depth > _DEEPEST:
            raise SqlSyntaxError("it is nested too deeply")
        found = self._plain_value(depth)
        self._casts()
        return found

    def _casts(self) -> None:
        while self._takes("::"):
            self._type()

    def _type(self) -> None:
        """Pass over the name of a type."""
        for words in _LONG_TYPES:
            if self._takes(*words.split()):
                break
        else:
            group, _ = self._peek()
            if group not in ("word", "quoted"):
                raise SqlSyntaxError("a type is not read")
            self._next += 1
            while self._takes("."):
                self._next += 1
        if self._takes("("):
            while not self._takes(")"):
                if self._peek()[0] == "end":
                    raise SqlSyntaxError("a type is not read")
                self._next += 1
            if self._peek()[1].lower() in ("with", "without"):
                self._next += 3
        while self._takes("["):
            self._expect("]")

    def _plain_value(self, depth: int) -> Nested:
        if self._takes("-"):
            inner = self._value(depth + 1)
            if isinstance(inner, Constant) and isinstance(inner.value, Decimal):
                return Constant(-inner.value)
            return Operation("-", (Constant(Decimal(0)), inner))
        if self._takes("("):
            found = self.either(depth + 1)
            self._expect(")")
            return found
        group, text = self._peek()
        self._next += 1
        if group == "text":
            if text[0] in "Ee" and "\\" in text:
                raise SqlSyntaxError("escapes in a text are not read")
            return Constant(text.lstrip("EeNn")[1:-1].replace("''", "'"))
        if group == "number":
            return Constant(Decimal(text))
        if group == "quoted":
            return self._column(text[1:-1].replace('""', '"'))
        if group == "word":
            return self._named(text, depth)
        raise SqlSyntaxError(f"`{text or 'the end'}` is not read")

    def _column(self, name: str) -> Nested:
        """A column, of which the last name counts."""
        while self._takes("."):
            name = self._peek()[1].strip('"`')
            self._next += 1
        return Column(name)

    def _named(self, text: str, depth: int) -> Nested:
        word = text.lower()
        if word in ("true", "false"):
            return Constant(word == "true")
        if word == "null":
            return Constant(None)
        if word in ("case", "exists", "select", "array", "row", "interval"):
            raise SqlSyntaxError(f"`{text}` is not read")
        if word == "cast" and self._takes("("):
            found = self.either(depth + 1)
            self._expect("as")
            self._type()
            self._expect(")")
            return found
        if self._takes("("):
            return Call(word, tuple(self._listed(depth, ")")))
        return self._column(text)
