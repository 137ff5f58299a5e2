"""A lattice in the making: elements, each with its place in the source, and what did not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from lattice_lock.core._section import is_name
from lattice_lock.core.type_refs import (
    JSON,
    DictType,
    EntityType,
    EnumType,
    ListType,
    OptionalType,
    TypeRef,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = [
    "UNSET",
    "Draft",
    "DraftClause",
    "DraftEntity",
    "DraftInterface",
    "DraftMethod",
    "Element",
    "Finding",
    "as_text",
    "class_name",
    "condition_text",
    "enum_of",
    "field_name",
    "free_name",
    "holding",
    "keep_narrower",
    "literal",
    "nullable",
    "one_line",
]

UNSET: Final = object()
"""The default of an element that has none; None is the default null."""

_LONGEST_NAME = 60
_LONGEST_SHOWN = 100
_WORD = re.compile(r"[A-Za-z0-9]+")
_SIGNS: Final[Mapping[str, str]] = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_LENGTHS: Final[Mapping[str, str]] = {"min_length": ">=", "max_length": "<="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something of the source that the draft says otherwise, or does not say.

    Attributes:
        kind: `left_behind`, or `renamed` for what is there under another name.
        place: where it stands in the source.
        what: what it is.
        why: why the lattice does not say it, or the new name.
    """

    kind: Literal["left_behind", "renamed"]
    place: str
    what: str
    why: str


@dataclass(slots=True, kw_only=True)
class DraftClause:
    """A condition with its place in the source."""

    text: str
    place: str
    name: str | None = None
    description: str | None = None


@dataclass(slots=True, kw_only=True)
class Element:
    """A field, a parameter or a result.

    Attributes:
        clauses: conditions that no constraint can say; `{}` stands for the element.
    """

    kind: TypeRef
    place: str
    constraints: dict[str, object] = field(default_factory=dict)
    clauses: list[str] = field(default_factory=list)
    default: object = UNSET
    description: str | None = None
    primary_key: bool = False
    unique: bool = False
    index: bool = False
    references: tuple[str, str] | None = None


@dataclass(slots=True, kw_only=True)
class DraftEntity:
    """An entity; `stored` for one that is kept in a table."""

    place: str
    fields: dict[str, Element] = field(default_factory=dict)
    description: str | None = None
    stored: bool = False
    transitions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    ensures: list[DraftClause] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DraftMethod:
    """A method; `returns` is None where it returns nothing."""

    place: str
    params: dict[str, Element] = field(default_factory=dict)
    returns: Element | None = None
    description: str | None = None
    requires: list[DraftClause] = field(default_factory=list)
    ensures: list[DraftClause] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DraftInterface:
    """An interface."""

    place: str
    file: str
    methods: dict[str, DraftMethod] = field(default_factory=dict)
    description: str | None = None


@dataclass(slots=True)
class Draft:
    """What becomes a lattice, and what was found on the way."""

    entities: dict[str, DraftEntity] = field(default_factory=dict)
    interfaces: dict[str, DraftInterface] = field(default_factory=dict)
    _findings: dict[Finding, None] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, each once, in the order in which it was."""
        return tuple(self._findings)

    def leave(self, place: str, what: str, why: str) -> None:
        """List something as left behind."""
        self._findings[Finding(kind="left_behind", place=place, what=what, why=why)] = None

    def rename(self, place: str, old: str, new: str) -> None:
        """List something as renamed, unless it is called as before."""
        if old != new:
            found = Finding(kind="renamed", place=place, what=f"`{old}`", why=f"called `{new}`")
            self._findings[found] = None

    def rename_entity(self, old: str, new: str) -> None:
        """Call an entity otherwise, wherever it is named."""
        self.rename(self.entities[old].place, old, new)
        self.entities = {new if name == old else name: one for name, one in self.entities.items()}
        for element in self.elements():
            element.kind = _renamed(element.kind, old, new)
            if element.references is not None and element.references[0] == old:
                element.references = (new, element.references[1])

    def elements(self) -> Iterator[Element]:
        """Every field, parameter and result."""
        for entity in self.entities.values():
            yield from entity.fields.values()
        for interface in self.interfaces.values():
            for method in interface.methods.values():
                yield from method.params.values()
                if method.returns is not None:
                    yield method.returns

    def spell_clauses(self) -> None:
        """Turn the conditions of elements into clauses of their entity or method."""
        for entity in self.entities.values():
            for name, one in entity.fields.items():
                entity.ensures += _clauses(name, one)
        for interface in self.interfaces.values():
            for method in interface.methods.values():
                for name, one in method.params.items():
                    method.requires += _clauses(name, one)
                if method.returns is not None:
                    method.ensures += _clauses("result", method.returns)


def _clauses(name: str, element: Element) -> list[DraftClause]:
    guard = f"{name} is None or " if isinstance(element.kind, OptionalType) else ""
    texts = [guard + text.replace("{}", name) for text in element.clauses]
    element.clauses = []
    return [DraftClause(text=text, place=element.place) for text in dict.fromkeys(texts)]


def _renamed(kind: TypeRef, old: str, new: str) -> TypeRef:
    match kind:
        case EntityType(name) if name == old:
            return EntityType(new)
        case ListType(inner):
            return ListType(_renamed(inner, old, new))
        case DictType(inner):
            return DictType(_renamed(inner, old, new))
        case OptionalType(inner):
            return OptionalType(_renamed(inner, old, new))
        case _:
            return kind


# Elements that hold elements ---------------------------------------------------------------------


def nullable(kind: TypeRef) -> TypeRef:
    """`T | null`; json has a null already."""
    return kind if kind == JSON or isinstance(kind, OptionalType) else OptionalType(kind)


def holding(draft: Draft, wrapper: type[ListType | DictType], item: Element) -> Element:
    """A list or dict of `item`, whose constraints become conditions on each item."""
    element = Element(kind=wrapper(item.kind), place=item.place)
    items = "{}" if wrapper is ListType else "{}.values()"
    guard = "item is None or " if isinstance(item.kind, OptionalType) else ""
    conditions = [one.replace("{}", "item") for one in item.clauses]
    for key, value in item.constraints.items():
        text = condition_text("item", key, value)
        if text is None:
            draft.leave(item.place, f"`{key}` of the items", "a lattice limits the whole list only")
        else:
            conditions.append(text)
    element.clauses = [f"all({guard}{one} for item in {items})" for one in conditions]
    return element


def condition_text(name: str, key: str, value: object) -> str | None:
    """A constraint as a condition; None where the expression language has no form for it."""
    if key in _SIGNS:
        return f"{name} {_SIGNS[key]} {literal(value)}"
    if key in _LENGTHS:
        return f"len({name}) {_LENGTHS[key]} {value}"
    if key == "multiple_of":
        return f"{name} % {literal(value)} == 0"
    return None


def literal(value: object) -> str:
    """A value as the expression language writes it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def keep_narrower(limits: dict[str, object]) -> None:
    """Leave one lower and one upper bound; a lattice has no second one."""
    for strict, wide in (("gt", "ge"), ("lt", "le")):
        one, other = limits.get(strict), limits.get(wide)
        if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
            wider = one < other if strict == "gt" else one > other
            del limits[strict if wider else wide]


# Names -------------------------------------------------------------------------------------------


def class_name(text: str) -> str:
    """`order-line` as `OrderLine`; a name that begins with a capital stays as it is."""
    if is_name(text) and text[0].isupper() and len(text) <= _LONGEST_NAME:
        return text
    words = _WORD.findall(text) or ["Entity"]
    name = "".join(word[0].upper() + word[1:] for word in words)[:_LONGEST_NAME]
    return name if is_name(name) else f"Entity{name}"[:_LONGEST_NAME]


def field_name(text: str) -> str:
    """`line-total` as `line_total`, `class` as `class_`; a name that can be used stays."""
    name = "_".join(_WORD.findall(text)) if not is_name(text) or "__" in text else text
    name = name[:_LONGEST_NAME] or "field"
    if is_name(name):
        return name
    return f"{name}_" if is_name(f"{name}_") else f"field_{name}"


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or with the first number that makes it one of its own; case does not distinguish."""
    lower = {one.lower() for one in taken}
    number, found = 1, name
    while found.lower() in lower:
        number += 1
        found = f"{name}{'_' if name.islower() else ''}{number}"
    return found


# Texts -------------------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """A text without line breaks, for messages."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_SHOWN else f"{flat[: _LONGEST_SHOWN - 3]}..."


def as_text(value: object) -> str | None:
    """A description: text without the spaces around it, None where there is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    lines = [line.rstrip() for line in value.strip().expandtabs().splitlines()]
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line]
    cut = min(indents, default=0)
    return "\n".join([lines[0], *(line[cut:] for line in lines[1:])])


def enum_of(values: list[str]) -> EnumType:
    """An enum whose name follows from its owner when the lattice is loaded."""
    return EnumType("enum", tuple(values))
