"""Reads types as a lattice writes them: `decimal`, `list[Order]`, `dict[str, int]`, `T | null`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core.type_refs import (
    JSON,
    STR,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    ScalarName,
    ScalarType,
    TypeRef,
)

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["TypeFault", "parse_type", "split_params"]

_DEEPEST = 8
_LONGEST = 500
_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*|[\[\],|?])\s*")

_FOREIGN = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "long": "int",
    "number": "decimal",
    "money": "decimal",
    "double": "float",
    "real": "float",
    "boolean": "bool",
    "guid": "uuid",
    "time": "datetime",
    "timestamp": "datetime",
    "duration": "timedelta",
    "binary": "bytes",
    "any": "json",
    "object": "json",
    "none": "null",
    "map": "dict[str, T]",
    "mapping": "dict[str, T]",
    "array": "list[T]",
    "set": "list[T]` with `unique_items: true",
    "tuple": "list[T]",
    "optional": "T | null",
    "union": "T | null",
    "uuid.uuid": "uuid",
}


class TypeFault(Exception):  # noqa: N818 -- becomes a Problem; never leaves the package
    """A type that cannot be read; `offset` counts characters of the text."""

    def __init__(self, offset: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint


def parse_type(
    text: str, *, entities: Collection[str], enum: EnumType | None = None
) -> tuple[TypeRef, tuple[str, ...]]:
    """The type that `text` names, and modern forms of older spellings in it.

    Args:
        text: the type as written.
        entities: names of the entities of the lattice.
        enum: what the word `enum` stands for; None where it means nothing.

    Raises:
        TypeFault: not a type.
    """
    if len(text) > _LONGEST:
        raise TypeFault(0, f"A type has {len(text)} characters; {_LONGEST} are allowed.")
    parser = _Parser(text, entities, enum)
    found = parser.union(0)
    parser.expect_end()
    return found, tuple(parser.modern_forms)


def split_params(text: str) -> list[tuple[int, str]]:
    """The parts of the older `"order: LimitOrder, qty: decimal"`, each with its offset."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(f"{text},"):
        depth += (character == "[") - (character == "]")
        if character == "," and depth <= 0:
            parts.append((start, text[start:index]))
            start = index + 1
    return parts


class _Parser:
    def __init__(self, text: str, entities: Collection[str], enum: EnumType | None) -> None:
        self._text = text
        self._entities = entities
        self._enum = enum
        self._tokens = self._tokenize()
        self._next = 0
        self.modern_forms: list[str] = []

    def _tokenize(self) -> list[tuple[int, str]]:
        tokens, place = [], 0
        while place < len(self._text):
            found = _TOKEN.match(self._text, place)
            if found is None:
                start = len(self._text) - len(self._text[place:].lstrip())
                raise TypeFault(start, f"`{self._text}` is not a type.", self._known())
            tokens.append((found.start(1), found[1]))
            place = found.end()
        tokens.append((len(self._text), ""))
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._next][1]

    def _take(self) -> tuple[int, str]:
        word = self._tokens[self._next]
        if word[1]:
            self._next += 1
        return word

    def _expect(self, wanted: str) -> None:
        offset, word = self._take()
        if word != wanted:
            found = f"`{word}`" if word else "the end"
            raise TypeFault(
                offset, f"`{self._text}` is not a type: expected `{wanted}`, found {found}."
            )

    def expect_end(self) -> None:
        """Refuse anything that follows the type."""
        offset, word = self._take()
        if word == "?":
            raise TypeFault(
                offset,
                f"`{self._text}` is not a type.",
                f"Write `{self._text.rstrip('? ')} | null`.",
            )
        if word:
            raise TypeFault(offset, f"`{self._text}` is not a type: `{word}` is one too much.")

    def union(self, depth: int) -> TypeRef:
        """`T`, or `T | null` in either order."""
        offset = self._tokens[self._next][0]
        found: TypeRef | None = None
        nullable = False
        while True:
            place = self._tokens[self._next][0]
            part = self._one(depth)
            if part is None:
                nullable = True
            elif found is not None:
                raise TypeFault(
                    place,
                    f"`{self._text}` combines two types; a value has one type, or is null.",
                    f"Write `{found}`, `{part}` or `json`.",
                )
            else:
                found = part
            if self._peek() != "|":
                break
            self._take()
        if found is None:
            raise TypeFault(offset, "`null` alone is not a type.", "Write `T | null`.")
        if nullable and found != JSON and not isinstance(found, OptionalType):
            return OptionalType(found)
        return found

    def _one(self, depth: int) -> TypeRef | None:
        offset, word = self._take()
        if depth > _DEEPEST:
            raise TypeFault(offset, f"A type is nested more than {_DEEPEST} levels deep.")
        if word == "null":
            return None
        if word == "list":
            return self._list(depth)
        if word == "dict":
            return self._dict(depth)
        if word == "enum" and self._enum is not None:
            return self._enum
        if word in self._entities:
            return EntityType(word)
        if word in set(ScalarName):
            return ScalarType(ScalarName(word))
        raise self._unknown(offset, word)

    def _list(self, depth: int) -> TypeRef:
        if self._peek() != "[":
            self.modern_forms.append("list[json]")
            return ListType(JSON)
        self._expect("[")
        item = self.union(depth + 1)
        self._expect("]")
        return ListType(item)

    def _dict(self, depth: int) -> TypeRef:
        if self._peek() != "[":
            self.modern_forms.append("dict[str, json]")
            return DictType(JSON)
        self._expect("[")
        offset = self._tokens[self._next][0]
        if self._one(depth + 1) != STR:
            raise TypeFault(offset, "The keys of a dict are str.", "Write `dict[str, T]`.")
        self._expect(",")
        value = self.union(depth + 1)
        self._expect("]")
        return DictType(value)

    def _unknown(self, offset: int, word: str) -> TypeFault:
        if not word:
            return TypeFault(offset, f"`{self._text}` is not a type: it ends too early.")
        if word == "enum":
            return TypeFault(offset, "`enum` needs its values.", "Write `{enum: [first, second]}`.")
        foreign = _FOREIGN.get(word.lower())
        if foreign is not None:
            hint: str | None = f"Write `{foreign}`."
        else:
            hint = did_you_mean(word, [*self._entities, *ScalarName, "list", "dict"])
        return TypeFault(offset, f"`{word}` is neither a type nor an entity of this lattice.", hint)

    def _known(self) -> str:
        return "A type is a scalar, an entity, `list[T]`, `dict[str, T]` or `T | null`."
