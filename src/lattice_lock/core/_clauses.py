"""Reads clauses: plain expressions, or clause objects such as `{field: price, constraint: lte}`."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from lattice_lock.core._section import Section, describe
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core._yaml_tree import MappingNode, Node, ScalarNode, SequenceNode
from lattice_lock.core.expressions import parse_expression
from lattice_lock.core.schema import Clause
from lattice_lock.core.type_refs import EntityType, OptionalType
from lattice_lock.exceptions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core._findings import Findings
    from lattice_lock.core.expressions import Expression, Scope
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.exceptions import SourceLocation

__all__ = ["CONSTRAINT_NAMES", "read_clause", "read_clauses"]

_KEYS = ("name", "field", "constraint", "value", "condition", "expr", "description")
_OPERATORS = {
    "gt": ">",
    "ge": ">=",
    "gte": ">=",
    "lt": "<",
    "le": "<=",
    "lte": "<=",
    "eq": "==",
    "ne": "!=",
    "in": "in",
    "not_in": "not in",
}
_TEMPLATES: dict[str, Callable[[str, str], str]] = {
    **{
        name: (lambda field, value, sign=sign: f"{field} {sign} {value}")  # type: ignore[misc]  # bound now
        for name, sign in _OPERATORS.items()
    },
    "min_length": lambda field, value: f"len({field}) >= {value}",
    "max_length": lambda field, value: f"len({field}) <= {value}",
    "multiple_of": lambda field, value: f"{field} % {value} == 0",
}
CONSTRAINT_NAMES = tuple(_TEMPLATES)
"""What `constraint` of a clause object can say."""

_NULL_SAFE = frozenset({"eq", "ne", "in", "not_in"})
_PATH = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)
_MOST_CLAUSES = 200


def read_clauses(
    node: Node | None, path: str, scope: Scope, findings: Findings
) -> tuple[Clause, ...]:
    """Every clause of a list; one clause may stand without the list."""
    if node is None or (isinstance(node, ScalarNode) and node.is_null):
        return ()
    items = node.items if isinstance(node, SequenceNode) else (node,)
    if len(items) > _MOST_CLAUSES:
        findings.add(
            node.location, f"There are {len(items)} clauses here; {_MOST_CLAUSES} are allowed."
        )
        return ()
    found = (
        read_clause(item, f"{path}[{index}]", scope, findings) for index, item in enumerate(items)
    )
    return tuple(clause for clause in found if clause is not None)


def read_clause(node: Node, path: str, scope: Scope, findings: Findings) -> Clause | None:
    """One clause; None after a finding, or when types are broken and nothing can be said."""
    if isinstance(node, ScalarNode):
        expression = _parse(node, scope, findings)
        if expression is None:
            return None
        return Clause(path=path, expression=expression, location=node.location)
    section = Section(node, "a clause", _KEYS, findings)
    if not isinstance(node, MappingNode):
        return None
    expression = _read_condition(section, scope, findings)
    name, description = section.text("name"), section.text("description")
    if expression is None:
        return None
    return Clause(
        path=path,
        expression=expression,
        location=node.location,
        name=name,
        description=description,
    )


def _read_condition(section: Section, scope: Scope, findings: Findings) -> Expression | None:
    plain = [key for key in ("condition", "expr") if section.get(key) is not None]
    parts = [key for key in ("field", "constraint", "value") if section.get(key) is not None]
    if len(plain) == 1 and not parts:
        node = section.get(plain[0])
        if isinstance(node, ScalarNode):
            return _parse(node, scope, findings)
        section.text(plain[0], "Write a condition such as `price > 0`.")
        return None
    if plain or len(parts) != 3:  # noqa: PLR2004 -- field, constraint, value
        findings.add(
            section.node.location,
            "A clause object needs either `condition`, or `field`, `constraint` and `value`.",
            'Write `{name: cap, field: price, constraint: lte, value: 100}` or `"price <= 100"`.',
        )
        return None
    return _read_constraint(section, scope, findings)


def _read_constraint(section: Section, scope: Scope, findings: Findings) -> Expression | None:
    field, constraint = section.text("field"), section.text("constraint")
    value = section.get("value")
    if field is None or constraint is None or value is None:
        return None
    if constraint not in _TEMPLATES:
        hint = did_you_mean(constraint, _TEMPLATES)
        if constraint in {"pattern", "regex", "matches"}:
            hint = "Put `pattern` on the field itself."
        findings.add(
            _place(section, "constraint"), f"`{constraint}` is not a constraint of a clause.", hint
        )
        return None
    literal = _literal(value)
    if literal is None:
        findings.add(
            value.location,
            f"`value` of a clause must be a value or a list of them, this is {describe(value)}.",
        )
        return None
    if findings.types_broken:
        return None
    first = field.split(".", maxsplit=1)[0]
    if not _PATH.fullmatch(field) or first not in scope.variables:
        findings.add(
            _place(section, "field"),
            f"`{field}` is not known here.",
            did_you_mean(first, scope.variables),
        )
        return None
    text = _TEMPLATES[constraint](field, literal)
    if constraint not in _NULL_SAFE and isinstance(_type_at(field, scope), OptionalType):
        text = f"{field} is None or {text}"
    try:
        return parse_expression(text, scope=scope, location=value.location)
    except ExpressionError as error:
        for problem in error.problems:
            # Columns of the text made here mean nothing to the author.
            findings.add_expression(replace(problem, location=value.location))
        return None


def _place(section: Section, key: str) -> SourceLocation:
    node = section.get(key)
    return node.location if node else section.node.location


def _type_at(path: str, scope: Scope) -> TypeRef | None:
    first, *rest = path.split(".")
    kind: TypeRef | None = scope.variables.get(first)
    for name in rest:
        if not isinstance(kind, EntityType):
            return None
        kind = scope.entities.get(kind.name, {}).get(name)
    return kind


def _literal(node: Node) -> str | None:
    """A YAML value as it is written in an expression."""
    if isinstance(node, SequenceNode):
        items = [_literal(item) for item in node.items if isinstance(item, ScalarNode)]
        texts = [item for item in items if item is not None]
        return f"[{', '.join(texts)}]" if len(texts) == len(node.items) else None
    if isinstance(node, MappingNode):
        return None
    value = node.resolve()
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def _parse(node: ScalarNode, scope: Scope, findings: Findings) -> Expression | None:
    if findings.types_broken:
        return None
    try:
        expression = parse_expression(node.text, scope=scope, location=node.location)
    except ExpressionError as error:
        for problem in error.problems:
            offset = problem.location.column - node.location.column
            findings.add_expression(replace(problem, location=node.locate(offset)))
        return None
    lead = len(node.text) - len(node.text.lstrip())
    return replace(expression, location=node.locate(lead))
