"""A lattice file as a tree of nodes that remember where they were written.

PyYAML serves as a source of parsing events only. Its own constructor follows YAML 1.1 (`on` is
true, `1_000` a number, dates become objects), loses places and recurses; here scalars keep their
text, keys are always strings and nothing recurses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import yaml

from lattice_lock.core._findings import MOST_PROBLEMS
from lattice_lock.core._literals import parse_decimal
from lattice_lock.exceptions import LatticeSyntaxError, Problem, SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

__all__ = ["MAX_BYTES", "MappingNode", "Node", "ScalarNode", "SequenceNode", "compose", "decode"]

MAX_BYTES = 1024 * 1024
_DEEPEST = 50
_MOST_NODES = 100_000

# What YAML 1.2 calls not printable; lone surrogates cannot come from UTF-8 but from a str.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPE = re.compile(r"\\(?:x..|u.{4}|U.{8}|.)")

_PARSER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The core schema of YAML 1.2, chapter 10.3: https://yaml.org/spec/1.2.2/#103-core-schema
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A scalar.

    Attributes:
        text: the value with quotes and escapes resolved.
        plain: whether it was written without quotes and may therefore be a number or null.
        location: place of its first character, the opening quote included.
        raw: exactly what stands in the file.
    """

    text: str
    plain: bool
    location: SourceLocation
    raw: str

    @property
    def is_null(self) -> bool:
        """Whether this is YAML's null."""
        return self.plain and self.text in _NULL

    def resolve(self) -> str | bool | int | Decimal | None:
        """The value by the core schema of YAML 1.2, numbers exact.

        Infinity, NaN and numbers beyond any sensible range stay text.
        """
        if not self.plain or len(self.text) > _LONGEST_NUMBER:
            return self.text
        if self.text in _NULL:
            return None
        if self.text in _TRUE or self.text in _FALSE:
            return self.text in _TRUE
        if _INT.fullmatch(self.text):
            return int(self.text)
        if _BASED_INT.fullmatch(self.text):
            return int(self.text, base=0)
        if _FLOAT.fullmatch(self.text):
            try:
                return parse_decimal(self.text)
            except ValueError:
                return self.text
        return self.text

    def locate(self, offset: int) -> SourceLocation:
        """Place of character `offset` of `text`; the start for a scalar over several lines."""
        if "\n" in self.raw or self.raw[:1] in ("|", ">"):
            return self.location
        if self.raw[:1] == "'":
            column = 1 + offset + self.text.count("'", 0, offset)
        elif self.raw[:1] == '"':
            column = _skip_escapes(self.raw, offset)
        else:
            column = offset
        return replace(self.location, column=self.location.column + column)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode:
    """A list."""

    items: tuple[Node, ...]
    location: SourceLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode:
    """A mapping; keys are unique and in the order of the file."""

    entries: tuple[tuple[ScalarNode, Node], ...]
    location: SourceLocation


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen yet."""

    is_mapping: bool
    location: SourceLocation
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    places: dict[str, SourceLocation] = field(default_factory=dict)
    key: ScalarNode | None = None
    skip_value: bool = False


def decode(content: bytes, file: str) -> str:
    """The text of a lattice file.

    Raises:
        LatticeSyntaxError: too large, not UTF-8, or with characters that YAML does not allow.
    """
    start = SourceLocation(file=file, line=1, column=1)
    if len(content) > MAX_BYTES:
        raise _fatal(
            start,
            f"The file is larger than {MAX_BYTES // 1024} KiB.",
            "Keep data elsewhere.",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        raise _fatal(
            _place(file, before, len(before)),
            f"Byte 0x{content[error.start]:02x} is not UTF-8.",
            "Save the file as UTF-8.",
        ) from None
    if bad := _UNPRINTABLE.search(text):
        raise _fatal(
            _place(file, text, bad.start()),
            f"The character U+{ord(bad[0]):04X} cannot stand in a YAML file.",
            'Remove it, or write it as an escape inside of "double quotes".',
        )
    return text


def compose(text: str, file: str) -> Node:
    """The root of the tree.

    Raises:
        LatticeSyntaxError: not YAML, or YAML that a lattice does not use: anchors, tags, several
            documents, duplicate keys, nesting beyond 50 levels, more than 100,000 values.
    """
    composer = _Composer(text, file)
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _fatal(*_explain(file, error)) from None
    except yaml.YAMLError as error:
        raise _fatal(composer.start, f"This is not YAML: {' '.join(str(error).split())}.") from None
    if composer.problems:
        raise LatticeSyntaxError(composer.problems)
    if composer.root is None:
        raise _fatal(composer.start, "The lattice is empty.", "Begin with `version: v1.0`.")
    return composer.root


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._stack: list[_Open] = []
        self._count = 0
        self._documents = 0
        self.start = SourceLocation(file=file, line=1, column=1)
        self.root: Node | None = None
        self.problems: list[Problem] = []

    def take(self, event: yaml.Event) -> None:
        """Grow the tree by one parsing event."""
        mark = event.start_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        here = SourceLocation(file=self._file, line=line + 1, column=column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _fatal(here, "A second YAML document begins here.", "Write one document.")
        elif isinstance(event, yaml.AliasEvent):
            self._refuse_anchor(here, f"*{event.anchor}")
            self._add(ScalarNode(text="", plain=True, location=here, raw=""))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.NodeEvent):
            self._take_node(event, here)

    def _take_node(self, event: yaml.NodeEvent, here: SourceLocation) -> None:
        self._count += 1
        if self._count > _MOST_NODES:
            raise _fatal(here, f"The file holds more than {_MOST_NODES} values.")
        if event.anchor is not None:
            self._refuse_anchor(here, f"&{event.anchor}")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(here, f"The tag `{tag}` cannot be used.", "Remove it.")
        if isinstance(event, yaml.ScalarEvent):
            start, end = event.start_mark, event.end_mark
            raw = self._text[start.index : end.index] if start and end else ""
            plain = event.style in (None, "")
            self._add(ScalarNode(text=event.value, plain=plain, location=here, raw=raw))
            return
        if len(self._stack) >= _DEEPEST:
            raise _fatal(here, f"The file is nested more than {_DEEPEST} levels deep.")
        self._stack.append(_Open(isinstance(event, yaml.MappingStartEvent), here))

    def _close(self) -> None:
        top = self._stack.pop()
        if top.is_mapping:
            self._add(MappingNode(entries=tuple(top.entries), location=top.location))
        else:
            self._add(SequenceNode(items=tuple(top.items), location=top.location))

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if not top.is_mapping:
            top.items.append(node)
        elif top.key is None:
            self._add_key(top, node)
        else:
            if not top.skip_value:
                top.entries.append((top.key, node))
            top.key, top.skip_value = None, False

    def _add_key(self, top: _Open, node: Node) -> None:
        if not isinstance(node, ScalarNode):
            self._note(node.location, "A key must be a plain word, this is a list or mapping.")
            top.key = ScalarNode(text="", plain=False, location=node.location, raw="")
            top.skip_value = True
            return
        top.key = node
        first = top.places.setdefault(node.text, node.location)
        if first is not node.location:
            top.skip_value = True
            self._note(
                node.location,
                f"The key `{node.text}` stands here for the second time; the first is at line"
                f" {first.line}, column {first.column}.",
                "Keep one of the two.",
            )

    def _refuse_anchor(self, here: SourceLocation, text: str) -> None:
        self._note(
            here,
            f"`{text}` is a YAML anchor or alias, which cannot be used here.",
            "Write the value out; put a value that begins with `*` or `&` into quotes.",
        )

    def _note(self, location: SourceLocation, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(location=location, message=message, hint=hint))
        if len(self.problems) >= MOST_PROBLEMS:
            raise LatticeSyntaxError(self.problems, hint="There may be more; mend these first.")


def _fatal(location: SourceLocation, message: str, hint: str | None = None) -> LatticeSyntaxError:
    return LatticeSyntaxError([Problem(location=location, message=message, hint=hint)])


def _place(file: str, text: str, offset: int) -> SourceLocation:
    before = text[:offset]
    line = before.count("\n") + 1
    return SourceLocation(file=file, line=line, column=offset - before.rfind("\n"))


def _explain(file: str, error: yaml.MarkedYAMLError) -> tuple[SourceLocation, str, str | None]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    reason = " ".join(filter(None, (error.context, error.problem)))
    hint = None
    if "\\t" in reason or "cannot start any token" in reason:
        hint = "Indent with spaces, and put values that begin with `%` or `@` into quotes."
    elif "mapping values are not allowed" in reason:
        hint = "Put a value that contains `: ` into quotes, and check the indentation."
    elif "while parsing a flow mapping" in reason:
        hint = 'Between `{` and `}` a type with brackets needs quotes: `{items: "list[Order]"}`.'
    elif "expected <block end>" in reason or "did not find expected" in reason:
        hint = "Check indentation, quotes and brackets here and in the line above."
    return (
        SourceLocation(file=file, line=line, column=column),
        f"This is not YAML: {' '.join(reason.split())}.",
        hint,
    )


def _skip_escapes(raw: str, offset: int) -> int:
    """Index in a double-quoted `raw` of the character that became number `offset`."""
    place = 1
    for index in _character_starts(raw):
        place = index
        if offset == 0:
            return place
        offset -= 1
    return place


def _character_starts(raw: str) -> Iterator[int]:
    place = 1
    while place < len(raw):
        yield place
        escape = _ESCAPE.match(raw, place)
        place = escape.end() if escape else place + 1
