"""A draft as the YAML of a lattice, and which of its elements stands on which line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core._constraints import CONSTRAINT_KEYS
from lattice_lock.core._yaml_tree import ScalarNode
from lattice_lock.core.importers.draft import UNSET
from lattice_lock.core.type_refs import DictType, EnumType, ListType, OptionalType
from lattice_lock.exceptions import SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lattice_lock.core.importers.draft import (
        Draft,
        DraftClause,
        DraftEntity,
        DraftMethod,
        Element,
    )
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["Line", "Written", "enum_in", "type_text", "write_draft"]

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ .;()'+/-]*[A-Za-z0-9_.;()'+/-])?")
_PLAIN_LINE = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ .,;()'+/-]*[A-Za-z0-9_.;()'+/-])?")
_TYPE = re.compile(r"[A-Za-z0-9_ |]+")
_NOWHERE = SourceLocation(file="", line=1, column=1)
_ESCAPED = re.compile(
    '[^\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|["\\\\]'
)
_LONGEST_LINE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Whose line it is.

    Attributes:
        path: `("entities", "Order", "fields", "price")`; the last part of a clause is its number.
        keys: of a field's line, each key with the first and the last column of its pair.
    """

    path: tuple[str, ...]
    keys: tuple[tuple[str, int, int], ...] = ()

    def key_at(self, column: int) -> str | None:
        """The key that stands at a column, counted from 1."""
        return next((key for key, first, last in self.keys if first <= column <= last), None)


@dataclass(slots=True)
class Written:
    """The text of a draft, line by line; the first line is number 1."""

    _lines: list[str] = field(default_factory=list)
    owners: dict[int, Line] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._lines, ""])

    def add(
        self, line: str, path: tuple[str, ...] = (), keys: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Write `line`, and behind it a mapping of `keys` where there are any."""
        pairs = list(keys)
        spans = []
        if pairs:
            line += " {"
            for number, (key, value) in enumerate(pairs):
                first = len(line) + 1
                line += f"{key}: {value}"
                spans.append((key, first, len(line)))
                line += ", " if number + 1 < len(pairs) else "}"
        for part in line.split("\n"):
            self._lines.append(part)
            self.owners[len(self._lines)] = Line(path=path, keys=tuple(spans))


def write_draft(draft: Draft, *, head: str) -> Written:
    """The lattice of a draft; `head` is the comment that it begins with."""
    out = Written()
    for line in head.splitlines():
        out.add(f"# {line}".rstrip())
    out.add("version: v1.0")
    out.add("generated_module: types_v1")
    if draft.entities:
        out.add("entities:")
    for name, entity in draft.entities.items():
        _write_entity(out, name, entity)
    if draft.interfaces:
        out.add("interfaces:")
    for name, interface in draft.interfaces.items():
        path = ("interfaces", name)
        out.add(f"  {name}:", path)
        _describe(out, interface.description, 4, path)
        out.add(f"    file: {_scalar(interface.file)}", (*path, "file"))
        out.add("    methods:", path)
        for method_name, method in interface.methods.items():
            _write_method(out, (*path, "methods", method_name), method)
    return out


def _write_entity(out: Written, name: str, entity: DraftEntity) -> None:
    path = ("entities", name)
    out.add(f"  {name}:", path)
    _describe(out, entity.description, 4, path)
    if entity.stored:
        out.add("    persistence: table", (*path, "persistence"))
    out.add("    fields:", path)
    for field_name, element in entity.fields.items():
        _write_element(out, field_name, element, 6, (*path, "fields", field_name))
    if entity.transitions:
        out.add("    transitions:", (*path, "transitions"))
    for field_name, moves in entity.transitions.items():
        pairs = [(_scalar(state), _flow(following)) for state, following in moves.items()]
        out.add(f"      {field_name}:", (*path, "transitions", field_name), pairs)
    _write_clauses(out, "ensures", entity.ensures, 4, path)


def _write_method(out: Written, path: tuple[str, ...], method: DraftMethod) -> None:
    out.add(f"      {path[-1]}:", path)
    _describe(out, method.description, 8, path)
    out.add("        params: {}" if not method.params else "        params:", path)
    for name, element in method.params.items():
        _write_element(out, name, element, 10, (*path, "params", name))
    if method.returns is None:
        out.add("        returns: null", path)
    else:
        _write_element(out, "returns", method.returns, 8, (*path, "returns"))
    _write_clauses(out, "requires", method.requires, 8, path)
    _write_clauses(out, "ensures", method.ensures, 8, path)


def _write_clauses(
    out: Written, key: str, clauses: list[DraftClause], indent: int, path: tuple[str, ...]
) -> None:
    if clauses:
        out.add(f"{' ' * indent}{key}:", path)
    for number, clause in enumerate(clauses):
        owner = (*path, key, str(number))
        line = f"{' ' * indent}  -"
        if clause.name is None and clause.description is None:
            out.add(f"{line} {_quoted(clause.text)}", owner)
            continue
        pairs = [("name", _scalar(clause.name))] if clause.name else []
        pairs.append(("condition", _quoted(clause.text)))
        pairs += [("description", _scalar(clause.description))] if clause.description else []
        out.add(line, owner, pairs)


def _write_element(
    out: Written, name: str, element: Element, indent: int, path: tuple[str, ...]
) -> None:
    pairs = _pairs(element)
    line = f"{' ' * indent}{name}:"
    if [key for key, _ in pairs] == ["type"]:
        out.add(f"{line} {type_text(element.kind)}", path)
    else:
        out.add(line, path, pairs)


def _pairs(element: Element) -> list[tuple[str, str]]:
    enum = enum_in(element.kind)
    pairs = []
    if enum is None or not isinstance(element.kind, EnumType):
        text = type_text(element.kind)
        pairs.append(("type", text if _TYPE.fullmatch(text) else f'"{text}"'))
    if enum is not None:
        pairs.append(("enum", _flow(list(enum.values))))
    flags = ("primary_key", "unique", "index")
    pairs += [(key, "true") for key in flags if getattr(element, key)]
    if element.references is not None:
        pairs.append(("references", ".".join(element.references)))
    limits = element.constraints
    pairs += [(key, _constraint(limits[key])) for key in CONSTRAINT_KEYS if key in limits]
    if element.default is not UNSET:
        pairs.append(("default", _flow(element.default)))
    if element.description:
        pairs.append(("description", _scalar(element.description)))
    return pairs


def enum_in(kind: TypeRef) -> EnumType | None:
    """The enum that a type mentions, if any."""
    match kind:
        case EnumType():
            return kind
        case ListType(inner) | DictType(inner) | OptionalType(inner):
            return enum_in(inner)
        case _:
            return None


def type_text(kind: TypeRef) -> str:
    """A type as a lattice writes it."""
    match kind:
        case EnumType():
            return "enum"
        case ListType(inner):
            return f"list[{type_text(inner)}]"
        case DictType(inner):
            return f"dict[str, {type_text(inner)}]"
        case OptionalType(inner):
            return f"{type_text(inner)} | null"
        case _:
            return str(kind)


def _constraint(value: object) -> str:
    return _quoted(value) if isinstance(value, str) and "\\" in value else _flow(value)


def _describe(out: Written, text: str | None, indent: int, path: tuple[str, ...]) -> None:
    if not text:
        return
    margin = " " * indent
    lines = text.split("\n")
    if len(lines) > 1 and not any(set(_ESCAPED.findall(line)) - {'"', "\\"} for line in lines):
        body = "\n".join(f"{margin}  {line}".rstrip() for line in lines)
        out.add(f"{margin}description: |-\n{body}", (*path, "description"))
    else:
        written = text if _PLAIN_LINE.fullmatch(text) and " " in text else _scalar(text)
        out.add(f"{margin}description: {written}", (*path, "description"))


def _flow(value: object) -> str:
    """A value as it stands in a flow mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_scalar(str(key))}: {_flow(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _scalar(text: str) -> str:
    """A text, in quotes where YAML would read it otherwise."""
    if _PLAIN.fullmatch(text):
        node = ScalarNode(text=text, plain=True, location=_NOWHERE, raw=text)
        if isinstance(node.resolve(), str):
            return text
    return _quoted(text)


def _quoted(text: str) -> str:
    found = _ESCAPED.findall(text)
    if not found:
        return f'"{text}"'
    if all(one in '"\\' for one in found):
        return "'" + text.replace("'", "''") + "'"
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    return f"\\U{ord(character):08x}"
