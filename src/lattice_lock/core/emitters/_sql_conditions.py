"""Invariants as SQL conditions that are true of the same rows in Python, PostgreSQL and SQLite."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from lattice_lock.core.emitters._sql_text import Sql, joined, quoted_name, sql_literal
from lattice_lock.core.type_refs import EnumType, ListType, OptionalType, ScalarName, ScalarType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.core.expressions import Expression
    from lattice_lock.core.schema import Field
    from lattice_lock.core.type_refs import TypeRef

__all__ = ["UnsupportedPartError", "sql_condition"]


class UnsupportedPartError(ValueError):
    """Part of an expression that SQL does not have, or has with another meaning."""

    def __init__(self, node: ast.expr) -> None:
        super().__init__(ast.unparse(node))
        self.column = node.col_offset


def sql_condition(expression: Expression, fields: Mapping[str, Field]) -> Sql:
    """The condition over the columns of a row; never null where Python gives true or false.

    Whole numbers and decimals are computed exactly: as NUMERIC in PostgreSQL, by the functions
    `decimal_add`, `decimal_sub`, `decimal_mul` and `decimal_cmp` in SQLite.

    Raises:
        UnsupportedPartError: see the class.
    """
    return _Renderer(fields).condition(expression.tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """A value within a condition.

    Attributes:
        kind: its scalar type, as far as SQL tells values apart; None for a list.
        nullable: whether it may be null.
        computed: whether SQLite has it as the text that a decimal function returned.
        constant: the number that it is, where it is a literal one.
    """

    sql: Sql
    kind: ScalarName | None
    nullable: bool = False
    computed: bool = False
    constant: int | float | Decimal | None = None

    def beside(self, other: _Term) -> _Term:
        """Itself, or as a decimal where a whole number stands beside one."""
        if self.kind is not _INT or self.constant is None or other.kind is not _DECIMAL:
            return self
        return replace(self, sql=sql_literal(Decimal(self.constant)), kind=_DECIMAL)


_INT, _DECIMAL, _FLOAT = ScalarName.INT, ScalarName.DECIMAL, ScalarName.FLOAT
_EXACT_FLOATS = 2**53
"""Below it, every whole number is a float."""
_EXACT = frozenset({_INT, _DECIMAL})
_ARITHMETIC = {ast.Add: ("+", "add"), ast.Sub: ("-", "sub"), ast.Mult: ("*", "mul")}
_SIGNS = {
    ast.Eq: "=",
    ast.NotEq: "=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_CONSTANTS: tuple[tuple[type, ScalarName], ...] = (
    (bool, ScalarName.BOOL),
    (int, _INT),
    (float, _FLOAT),
    (Decimal, _DECIMAL),
    (str, ScalarName.STR),
    (bytes, ScalarName.BYTES),
    (UUID, ScalarName.UUID),
    (datetime, ScalarName.DATETIME),
    (date, ScalarName.DATE),
    (timedelta, ScalarName.TIMEDELTA),
)


class _Renderer:
    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields

    # Conditions ----------------------------------------------------------------------------------

    def condition(self, node: ast.expr) -> Sql:
        match node:
            case ast.BoolOp(op=operator, values=values):
                word = " AND " if isinstance(operator, ast.And) else " OR "
                parts = [self._inner(one) for one in values]
                return joined(lambda *texts: word.join(texts), *parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return joined("NOT {}".format, self._inner(operand))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = [self.condition(one) for one in (test, body, orelse)]
                return joined("CASE WHEN {} THEN {} ELSE {} END".format, *parts)
            case ast.Compare():
                return self._chain(node)
            case ast.Call(func=ast.Name(id="implies"), args=[premise, conclusion]):
                parts = [self._inner(premise), self._inner(conclusion)]
                return joined("NOT {} OR {}".format, *parts)
            case ast.Call(func=ast.Attribute(value=owner, attr="startswith"), args=[start]):
                return self._startswith(node, owner, start)
            case ast.Name() | ast.Constant():
                return self.value(node).sql
            case _:
                raise UnsupportedPartError(node)

    def _inner(self, node: ast.expr) -> Sql:
        found = self.condition(node)
        plain = isinstance(node, ast.Name | ast.Constant)
        return found if plain else joined("({})".format, found)

    def _startswith(self, node: ast.expr, owner: ast.expr, start: ast.expr) -> Sql:
        if not (isinstance(start, ast.Constant) and isinstance(start.value, str)):
            raise UnsupportedPartError(node)
        whole, part = self.value(owner).sql, self.value(start).sql
        return joined(f"substr({{}}, 1, {len(start.value)}) = {{}}".format, whole, part)

    def _chain(self, node: ast.Compare) -> Sql:
        sides = [node.left, *node.comparators]
        parts = [
            self._compare(node, operator, left, right)
            for operator, left, right in zip(node.ops, sides, sides[1:], strict=False)
        ]
        if len(parts) == 1:
            return parts[0]
        return joined(lambda *texts: " AND ".join(f"({text})" for text in texts), *parts)

    def _compare(
        self, node: ast.Compare, operator: ast.cmpop, left: ast.expr, right: ast.expr
    ) -> Sql:
        match operator:
            case ast.Is():
                return joined("{} IS NULL".format, self.value(left).sql)
            case ast.IsNot():
                return joined("{} IS NOT NULL".format, self.value(left).sql)
            case ast.In():
                return self._membership(node, left, right)
            case ast.NotIn():
                return joined("NOT ({})".format, self._membership(node, left, right))
            case ast.Eq():
                return self._equal(node, self.value(left), self.value(right))
            case ast.NotEq():
                equal = self._equal(node, self.value(left), self.value(right))
                return joined("NOT ({})".format, equal)
            case _:
                sign = _SIGNS[type(operator)]
                return self._ordered(node, sign, self.value(left), self.value(right))

    def _membership(self, node: ast.Compare, left: ast.expr, right: ast.expr) -> Sql:
        if isinstance(right, ast.List | ast.Tuple | ast.Set) and right.elts:
            member = self.value(left)
            found = [self._equal(node, member, self.value(one)) for one in right.elts]
            return joined(lambda *texts: " OR ".join(f"({text})" for text in texts), *found)
        member, whole = self.value(left), self.value(right)
        if not member.kind is whole.kind is ScalarName.STR:
            raise UnsupportedPartError(node)
        return Sql(
            f"position({member.sql.postgresql} IN {whole.sql.postgresql}) > 0",
            f"instr({whole.sql.sqlite}, {member.sql.sqlite}) > 0",
        )

    def _equal(self, node: ast.expr, left: _Term, right: _Term) -> Sql:
        """Two-valued: null equals null and nothing else, as in Python."""
        if right.kind is left.kind is None:
            raise UnsupportedPartError(node)
        if self._is_null(left) or self._is_null(right):
            return joined("{} IS NULL".format, right.sql if self._is_null(left) else left.sql)
        plain = self._ordered(node, "=", left, right)
        if not (left.nullable or right.nullable):
            return plain
        known = joined("({}) IS TRUE".format, plain)
        if not (left.nullable and right.nullable):
            return known
        both = joined("({} IS NULL AND {} IS NULL)".format, left.sql, right.sql)
        return joined("{} OR {}".format, known, both)

    def _is_null(self, term: _Term) -> bool:
        return term.sql.sqlite == "NULL"

    def _ordered(self, node: ast.expr, sign: str, left: _Term, right: _Term) -> Sql:
        if left.kind is None or right.kind is None or ScalarName.JSON in (left.kind, right.kind):
            raise UnsupportedPartError(node)
        left, right = left.beside(right), right.beside(left)
        plain = joined(f"{{}} {sign} {{}}".format, left.sql, right.sql)
        if ScalarName.STR in (left.kind, right.kind) and sign != "=":
            # Code point order; SQLite has no other.
            return Sql(
                f'{left.sql.postgresql} {sign} {right.sql.postgresql} COLLATE "C"', plain.sqlite
            )
        if {left.kind, right.kind} == {_INT, _FLOAT} and not _compares_exactly(left, right):
            raise UnsupportedPartError(node)
        if self._needs_function(left, right):
            both = f"decimal_cmp({left.sql.sqlite}, {right.sql.sqlite})"
            return Sql(plain.postgresql, f"{both} {sign} 0")
        return plain

    def _needs_function(self, left: _Term, right: _Term) -> bool:
        """Whether SQLite would compare as floats, or texts without the column's collation."""
        return left.computed or right.computed or {left.kind, right.kind} == _EXACT

    # Values --------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> _Term:
        match node:
            case ast.Name(id=name) if name in self._fields:
                return _column(name, self._fields[name].type)
            case ast.Constant(value=None):
                return _Term(sql=Sql.same("NULL"), kind=None, nullable=True)
            case ast.Constant(value=value):
                return _constant(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(
                value, int | float | Decimal | timedelta
            ):
                return _constant(-value)
            case ast.BinOp(op=operator, left=left, right=right):
                return self._arithmetic(node, operator, self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id="len"), args=[argument]):
                return self._length(node, self.value(argument))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return _Term(sql=self._inner(node), kind=ScalarName.BOOL)
            case _:
                raise UnsupportedPartError(node)

    def _length(self, node: ast.expr, sized: _Term) -> _Term:
        if sized.kind in (ScalarName.STR, ScalarName.BYTES):
            return _Term(sql=joined("length({})".format, sized.sql), kind=_INT)
        if sized.kind is None:
            return _Term(sql=joined("json_array_length({})".format, sized.sql), kind=_INT)
        raise UnsupportedPartError(node)

    def _arithmetic(
        self, node: ast.expr, operator: ast.operator, left: _Term, right: _Term
    ) -> _Term:
        kinds = {left.kind, right.kind}
        if isinstance(operator, ast.Mod) and kinds == {_INT} and not left.computed:
            return self._remainder(node, left, right)
        if type(operator) not in _ARITHMETIC:
            raise UnsupportedPartError(node)
        sign, function = _ARITHMETIC[type(operator)]
        if not kinds <= _EXACT:
            # Floats overflow to infinity in Python and to an error in PostgreSQL.
            raise UnsupportedPartError(node)
        exact = Sql(
            f"({_numeric(left)} {sign} {_numeric(right)})",
            f"decimal_{function}({left.sql.sqlite}, {right.sql.sqlite})",
        )
        kind = _DECIMAL if _DECIMAL in kinds else _INT
        return _Term(sql=exact, kind=kind, computed=True)

    def _remainder(self, node: ast.expr, left: _Term, right: _Term) -> _Term:
        text = right.sql.sqlite
        if not (text.isdigit() and int(text) > 0):
            raise UnsupportedPartError(node)
        # SQL's remainder has the sign of the dividend, Python's that of the divisor.
        return replace(left, sql=joined(f"(({{}} % {text} + {text}) % {text})".format, left.sql))


def _compares_exactly(left: _Term, right: _Term) -> bool:
    """Whether a whole number survives being compared as a float, which PostgreSQL does."""
    constants = [one.constant for one in (left, right) if one.constant is not None]
    computed = left.computed or right.computed
    return not computed and any(abs(Decimal(one)) < _EXACT_FLOATS for one in constants)


def _numeric(term: _Term) -> str:
    """As NUMERIC, which does not overflow."""
    text = term.sql.postgresql
    return text if term.computed else f"CAST({text} AS NUMERIC)"


def _column(name: str, kind: TypeRef) -> _Term:
    nullable = isinstance(kind, OptionalType)
    inner = kind.inner if isinstance(kind, OptionalType) else kind
    column = Sql.same(quoted_name(name))
    match inner:
        case EnumType():
            return _Term(sql=column, kind=ScalarName.STR, nullable=nullable)
        case ScalarType(scalar):
            return _Term(sql=column, kind=scalar, nullable=nullable)
        case ListType():
            return _Term(sql=column, kind=None, nullable=nullable)
        case _:
            return _Term(sql=column, kind=ScalarName.JSON, nullable=nullable)


def _constant(value: object) -> _Term:
    kind = next((kind for cls, kind in _CONSTANTS if isinstance(value, cls)), None)
    number = value if isinstance(value, int | float | Decimal) else None
    return _Term(sql=sql_literal(value), kind=kind, constant=number)
