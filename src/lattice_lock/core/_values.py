"""Turns nodes of a lattice into values of declared types."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from lattice_lock.core._constraint_checks import broken_constraint
from lattice_lock.core._literals import FORMATS, TEXT_PARSERS, parse_decimal
from lattice_lock.core._section import describe
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.type_refs import (
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
    from collections.abc import Mapping

    from lattice_lock.core._findings import Findings
    from lattice_lock.core.schema import Constraints, Field

__all__ = ["INVALID", "Invalid", "ValueReader", "plain_value", "scalar_value"]


class Invalid:
    """The type of `INVALID`."""


INVALID: Final = Invalid()
"""Stands for a value that could not be read; the finding is noted already."""


class ValueReader:
    """Reads values of the types of one lattice.

    Args:
        findings: where problems go.
        fields: per entity, its fields.
    """

    def __init__(self, findings: Findings, fields: Mapping[str, Mapping[str, Field]]) -> None:
        self._findings = findings
        self._fields = fields

    def read(
        self,
        node: Node,
        kind: TypeRef,
        what: str,
        constraints: Constraints | None = None,
    ) -> object:
        """The value of `node`, or `INVALID` after a finding.

        Entities become dicts in which fields that were left out have their default.
        """
        value = self._convert(node, kind, what)
        if value is INVALID or constraints is None:
            return value
        broken = broken_constraint(value, constraints)
        if broken is not None:
            return self._fail(node, f"{what} {broken}; this is {describe(node)}.")
        return value

    def _convert(self, node: Node, kind: TypeRef, what: str) -> object:
        if isinstance(kind, OptionalType):
            if isinstance(node, ScalarNode) and node.is_null:
                return None
            return self._convert(node, kind.inner, what)
        if isinstance(kind, ScalarType):
            return self._scalar(node, kind.name, what)
        if isinstance(kind, EnumType):
            return self._enum(node, kind, what)
        if isinstance(kind, ListType):
            return self._list(node, kind, what)
        if isinstance(kind, DictType):
            return self._dict(node, kind, what)
        return self._entity(node, kind, what)

    def _scalar(self, node: Node, name: ScalarName, what: str) -> object:
        if name is ScalarName.JSON:
            return plain_value(node)
        try:
            return scalar_value(node, name)
        except ValueError:
            hint = f"Write it as {FORMATS[name]}." if name in FORMATS else None
            if name is ScalarName.STR:
                hint = "Put it into quotes."
            return self._fail(node, f"{what} must be {name}, this is {describe(node)}.", hint)

    def _enum(self, node: Node, kind: EnumType, what: str) -> object:
        value = node.resolve() if isinstance(node, ScalarNode) else None
        if isinstance(value, str) and value in kind.values:
            return value
        text = node.text if isinstance(node, ScalarNode) else ""
        return self._fail(
            node,
            f"{what} must be a value of {kind}, this is {describe(node)}.",
            did_you_mean(text, kind.values),
        )

    def _list(self, node: Node, kind: ListType, what: str) -> object:
        if not isinstance(node, SequenceNode):
            return self._fail(node, f"{what} must be a list, this is {describe(node)}.")
        items = [
            self._convert(item, kind.item, f"Item {index} of {what}")
            for index, item in enumerate(node.items)
        ]
        return INVALID if INVALID in items else items

    def _dict(self, node: Node, kind: DictType, what: str) -> object:
        if not isinstance(node, MappingNode):
            return self._fail(node, f"{what} must be a mapping, this is {describe(node)}.")
        items = {
            key.text: self._convert(value, kind.value, f"`{key.text}` of {what}")
            for key, value in node.entries
        }
        return INVALID if INVALID in items.values() else items

    def _entity(self, node: Node, kind: EntityType, what: str) -> object:
        if not isinstance(node, MappingNode):
            return self._fail(
                node,
                f"{what} must be a {kind}, this is {describe(node)}.",
                "Write a mapping from field name to value.",
            )
        fields = self._fields.get(kind.name, {})
        given: dict[str, object] = {}
        for key, value in node.entries:
            field = fields.get(key.text)
            if field is None:
                hint = did_you_mean(key.text, fields)
                self._findings.add(key.location, f"{kind} has no field `{key.text}`.", hint)
                given[key.text] = INVALID
            else:
                name = f"`{key.text}` of {what}"
                given[key.text] = self.read(value, field.type, name, field.constraints)
        complete: dict[str, object] = {}
        for name, field in fields.items():
            if name in given:
                complete[name] = given[name]
            elif field.default is not None:
                complete[name] = field.default.value
            elif isinstance(field.type, OptionalType):
                complete[name] = None
            else:
                return self._fail(node, f"{what} has no `{name}`, which {kind} needs.")
        return INVALID if INVALID in given.values() else complete

    def _fail(self, node: Node, message: str, hint: str | None = None) -> Invalid:
        self._findings.add(node.location, message, hint)
        return INVALID


def scalar_value(node: Node, name: ScalarName) -> object:
    """The value of a scalar type other than json.

    Raises:
        ValueError: the node is not a value of that type.
    """
    if not isinstance(node, ScalarNode):
        raise ValueError("not a scalar")  # noqa: TRY004 -- one error for whatever does not fit
    value = node.resolve()
    if name is ScalarName.DECIMAL and isinstance(value, str):
        return parse_decimal(value)
    if name in (ScalarName.DECIMAL, ScalarName.FLOAT) and _is_number(value):
        exact = Decimal(str(value))
        return exact if name is ScalarName.DECIMAL else _finite(float(exact))
    if name is ScalarName.INT and _is_number(value) and isinstance(value, int):
        return value
    if name is ScalarName.BOOL and isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 -- as above
    if name in TEXT_PARSERS:
        return TEXT_PARSERS[name](value)
    if name is ScalarName.STR:
        return value
    if name is ScalarName.BYTES:
        return value.encode()
    raise ValueError("not of that type")


def plain_value(node: Node) -> object:
    """A node as plain data: dict, list, str, int, Decimal, bool, None."""
    if isinstance(node, ScalarNode):
        return node.resolve()
    if isinstance(node, SequenceNode):
        return [plain_value(item) for item in node.items]
    return {key.text: plain_value(value) for key, value in node.entries}


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value
