"""The types of names, operators, comparisons and displays."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from lattice_lock.core._expression_check import (
    DECIMAL,
    FLOAT,
    Checker,
    Environment,
    Fault,
    comprehension,
    mixed_numbers,
)
from lattice_lock.core._expression_types import (
    NULL,
    DictOf,
    ListOf,
    SetOf,
    TupleOf,
    Type,
    ViewOf,
    is_hashable,
    is_number,
    is_orderable,
    join,
    of_reference,
    without_null,
)
from lattice_lock.core._narrowing import facts
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core.type_refs import BOOL, INT, STR, EntityType, EnumType, ScalarName, ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NODE_HANDLERS"]

_BYTES = ScalarType(ScalarName.BYTES)
_DATE = ScalarType(ScalarName.DATE)
_DATETIME = ScalarType(ScalarName.DATETIME)
_TIMEDELTA = ScalarType(ScalarName.TIMEDELTA)
_LARGEST_EXPONENT = 64
_TIMES = (_DATE, _DATETIME, _TIMEDELTA)
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.Sub)
_FOREIGN_NAMES = {"true": "True", "false": "False", "null": "None", "nil": "None"}

_MOMENTS: dict[tuple[type[ast.operator], Type, Type], Type] = {
    (ast.Add, _DATE, _TIMEDELTA): _DATE,
    (ast.Add, _TIMEDELTA, _DATE): _DATE,
    (ast.Sub, _DATE, _TIMEDELTA): _DATE,
    (ast.Sub, _DATE, _DATE): _TIMEDELTA,
    (ast.Add, _DATETIME, _TIMEDELTA): _DATETIME,
    (ast.Add, _TIMEDELTA, _DATETIME): _DATETIME,
    (ast.Sub, _DATETIME, _TIMEDELTA): _DATETIME,
    (ast.Sub, _DATETIME, _DATETIME): _TIMEDELTA,
    (ast.Add, _TIMEDELTA, _TIMEDELTA): _TIMEDELTA,
    (ast.Sub, _TIMEDELTA, _TIMEDELTA): _TIMEDELTA,
    (ast.Mult, _TIMEDELTA, INT): _TIMEDELTA,
    (ast.Mult, INT, _TIMEDELTA): _TIMEDELTA,
    (ast.Div, _TIMEDELTA, INT): _TIMEDELTA,
    (ast.Div, _TIMEDELTA, _TIMEDELTA): FLOAT,
    (ast.Add, STR, STR): STR,
}


def _name(checker: Checker, node: ast.Name, env: Environment) -> Type:
    if node.id in env.loop_variables:
        return env.loop_variables[node.id]
    known = checker.scope.variables
    if node.id not in known:
        if node.id in _FOREIGN_NAMES:
            hint: str | None = f"Write `{_FOREIGN_NAMES[node.id]}`."
        else:
            hint = did_you_mean(node.id, [*env.loop_variables, *known])
        raise Fault(node, f"`{node.id}` is not known here.", hint)
    if env.in_old and node.id == "result":
        raise Fault(node, "`result` has no value before the call.", "Take it out of `old(...)`.")
    return of_reference(known[node.id])


def _constant(checker: Checker, node: ast.Constant, env: Environment) -> Type:
    del env
    value = node.value
    if value is None:
        return NULL
    if isinstance(value, float) and not math.isfinite(value):
        raise Fault(node, f"`{checker.quote(node)}` is too large.")
    types = {bool: BOOL, int: INT, float: FLOAT, str: STR, bytes: _BYTES}
    found = types.get(type(value))
    if found is None:
        raise Fault(node, f"`{checker.quote(node)}` is not part of the expression language.")
    return found


def _attribute(checker: Checker, node: ast.Attribute, env: Environment) -> Type:
    owner = checker.check_value(node.value, env)
    if not isinstance(owner, EntityType):
        hint = None
        if isinstance(owner, EnumType):
            hint = f"Compare `{checker.quote(node.value)}` with one of its values directly."
        raise Fault(
            node, f"`{checker.quote(node.value)}` is {owner}, which has no `{node.attr}`.", hint
        )
    fields = checker.scope.entities.get(owner.name, {})
    if node.attr not in fields:
        raise Fault(node, f"{owner} has no field `{node.attr}`.", did_you_mean(node.attr, fields))
    return of_reference(fields[node.attr])


def _subscript(checker: Checker, node: ast.Subscript, env: Environment) -> Type:
    owner = checker.check_value(node.value, env)
    if isinstance(node.slice, ast.Slice):
        return _slice(checker, node, node.slice, owner, env)
    index = checker.check_value(node.slice, env)
    wanted: Type = INT
    if isinstance(owner, DictOf):
        wanted, found = STR, owner.value
    elif isinstance(owner, ListOf):
        found = owner.item
    elif owner == STR:
        found = STR
    elif isinstance(owner, TupleOf):
        return _tuple_item(node, owner)
    else:
        raise Fault(node, f"`{checker.quote(node.value)}` is {owner}, which has no items.")
    if index != wanted and not (wanted == STR and isinstance(index, EnumType)):
        raise Fault(node.slice, f"An index of {owner} must be {wanted}, this is {index}.")
    return found


def _tuple_item(node: ast.Subscript, owner: TupleOf) -> Type:
    index = node.slice.value if isinstance(node.slice, ast.Constant) else None
    if not isinstance(index, int) or not 0 <= index < len(owner.items):
        raise Fault(
            node.slice, f"An index of {owner} must be a number from 0 to {len(owner.items) - 1}."
        )
    return owner.items[index]


def _slice(
    checker: Checker, node: ast.Subscript, part: ast.Slice, owner: Type, env: Environment
) -> Type:
    if not (isinstance(owner, ListOf) or owner == STR):
        raise Fault(node, f"`{checker.quote(node.value)}` is {owner}, which cannot be sliced.")
    if part.step is not None:
        raise Fault(part.step, "A slice has a start and an end only.")
    for limit in (part.lower, part.upper):
        if limit is not None and checker.check_value(limit, env) != INT:
            raise Fault(limit, "The limits of a slice must be int.")
    return owner


def _unary(checker: Checker, node: ast.UnaryOp, env: Environment) -> Type:
    if isinstance(node.op, ast.Not):
        checker.check_condition(node.operand, env, "The operand of `not`")
        return BOOL
    found = checker.check_value(node.operand, env)
    signed = isinstance(node.op, ast.USub | ast.UAdd)
    if not signed or not (is_number(found) or found == _TIMEDELTA):
        raise Fault(node, f"`{checker.quote(node)}` needs a number, this is {found}.")
    return found


def _binary(checker: Checker, node: ast.BinOp, env: Environment) -> Type:
    left = checker.check_value(node.left, env)
    right = checker.check_value(node.right, env)
    if isinstance(node.op, ast.Pow):
        return _power(checker, node, left, right)
    if is_number(left) and is_number(right) and isinstance(node.op, _ARITHMETIC):
        both = checker.unify(node.left, left, node.right, right)
        if both is None:
            raise mixed_numbers(checker, node, node.left, left, node.right)
        return FLOAT if isinstance(node.op, ast.Div) and both == INT else both
    if isinstance(left, ListOf) and isinstance(right, ListOf) and isinstance(node.op, ast.Add):
        both = checker.unify(node.left, left, node.right, right)
    elif isinstance(left, SetOf) and isinstance(right, SetOf):
        known = isinstance(node.op, _SET_OPERATORS)
        both = checker.unify(node.left, left, node.right, right) if known else None
    else:
        if left in _TIMES and right == STR and checker.adapt(node.right, right, _TIMEDELTA):
            right = _TIMEDELTA
        both = _MOMENTS.get((type(node.op), left, right))
    if both is None:
        raise Fault(
            node,
            f"`{checker.quote(node)}` combines {left} and {right}, which has no meaning here.",
        )
    return both


def _power(checker: Checker, node: ast.BinOp, left: Type, right: Type) -> Type:
    exponent = node.right.value if isinstance(node.right, ast.Constant) else None
    small = right == INT and isinstance(exponent, int) and exponent <= _LARGEST_EXPONENT
    if not small or not is_number(left):
        raise Fault(
            node,
            f"`{checker.quote(node)}` is not a power that is allowed here.",
            f"Raise a number to a constant from 0 to {_LARGEST_EXPONENT}.",
        )
    return left


def _bool_operator(checker: Checker, node: ast.BoolOp, env: Environment) -> Type:
    word = "and" if isinstance(node.op, ast.And) else "or"
    for part in node.values:
        checker.check_condition(part, env, f"Each side of `{word}`")
        true, false = facts(part, env.in_old)
        env = env.knowing(true if isinstance(node.op, ast.And) else false)
    return BOOL


def _conditional(checker: Checker, node: ast.IfExp, env: Environment) -> Type:
    checker.check_condition(node.test, env, "What follows `if`")
    true, false = facts(node.test, env.in_old)
    parts = [
        (node.body, checker.check(node.body, env.knowing(true))),
        (node.orelse, checker.check(node.orelse, env.knowing(false))),
    ]
    return checker.join_all(parts)


def _compare(checker: Checker, node: ast.Compare, env: Environment) -> Type:
    sides = [node.left, *node.comparators]
    for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
        if isinstance(operator, ast.Is | ast.IsNot):
            checker.check(left, env)
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise Fault(right, "`is` can only ask for `None`.", "Compare values with `==`.")
            checker.types[right] = NULL
        elif isinstance(operator, ast.In | ast.NotIn):
            _membership(checker, left, right, env)
        elif isinstance(operator, ast.Eq | ast.NotEq):
            _equality(checker, left, right, env)
        else:
            _order(checker, left, right, env)
    return BOOL


def _equality(checker: Checker, left: ast.expr, right: ast.expr, env: Environment) -> None:
    a, b = checker.check(left, env), checker.check(right, env)
    if NULL in (a, b):
        raise Fault(right, "`==` does not ask for null.", "Write `is None` or `is not None`.")
    if isinstance(a, ViewOf) or isinstance(b, ViewOf):
        raise Fault(right, "`values()` equals nothing but itself.", "Compare `sorted(...)` of it.")
    if checker.unify(left, a, right, b) is None:
        raise _refuse_comparison(checker, left, right, "can never be equal")


def _order(checker: Checker, left: ast.expr, right: ast.expr, env: Environment) -> None:
    a, b = checker.check_value(left, env), checker.check_value(right, env)
    both = checker.unify(left, a, right, b)
    if both is None:
        raise _refuse_comparison(checker, left, right, "have no order")
    if not (is_orderable(both) or isinstance(both, SetOf)):
        raise Fault(right, f"Values of {both} have no order.", "Use `==`, `!=` or `in`.")


def _refuse_comparison(checker: Checker, left: ast.expr, right: ast.expr, why: str) -> Fault:
    a, b = checker.types[left], checker.types[right]
    if {without_null(a), without_null(b)} == {DECIMAL, FLOAT}:
        return mixed_numbers(checker, right, left, without_null(a), right)
    return Fault(
        right,
        f"`{checker.quote(left)}` is {a} and `{checker.quote(right)}` is {b}; they {why}.",
    )


def _membership(checker: Checker, left: ast.expr, right: ast.expr, env: Environment) -> None:
    member = checker.check(left, env)
    container = checker.check_value(right, env)
    if container == STR:
        if member != STR:
            raise Fault(left, f"Only a str can be in a str, this is {member}.")
        return
    item = checker.check_items(right, env)
    if isinstance(container, SetOf) and not is_hashable(member):
        raise Fault(left, f"A value of {member} cannot be in a set.")
    if isinstance(right, ast.List | ast.Tuple | ast.Set):
        fits = all(
            checker.unify(left, member, part, checker.types[part]) is not None
            for part in right.elts
        )
    else:
        fits = join(member, item) is not None or checker.adapt(left, member, item)
    if not fits:
        raise Fault(left, f"`{checker.quote(left)}` is {member}, but the items are {item}.")


def _display(checker: Checker, node: ast.List | ast.Set, env: Environment) -> Type:
    item = checker.join_all([(part, checker.check(part, env)) for part in node.elts])
    if isinstance(node, ast.List):
        return ListOf(item)
    if not is_hashable(item):
        raise Fault(node, f"Values of {item} cannot be in a set.", "Write a list.")
    return SetOf(item)


def _tuple(checker: Checker, node: ast.Tuple, env: Environment) -> Type:
    return TupleOf(tuple(checker.check(part, env) for part in node.elts))


def _dict(checker: Checker, node: ast.Dict, env: Environment) -> Type:
    for key in node.keys:
        if key is None or checker.check_value(key, env) != STR:
            raise Fault(key or node, "The keys of a dict must be str.")
    return DictOf(checker.join_all([(value, checker.check(value, env)) for value in node.values]))


def _list_comprehension(checker: Checker, node: ast.ListComp, env: Environment) -> Type:
    return ListOf(comprehension(checker, node, env))


def _set_comprehension(checker: Checker, node: ast.SetComp, env: Environment) -> Type:
    item = comprehension(checker, node, env)
    if not is_hashable(item):
        raise Fault(node, f"Values of {item} cannot be in a set.", "Write a list.")
    return SetOf(item)


# `...`: a table from node class to a handler of exactly that class has no better static type.
NODE_HANDLERS: dict[type[ast.expr], Callable[..., Type]] = {
    ast.Name: _name,
    ast.Constant: _constant,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.BoolOp: _bool_operator,
    ast.IfExp: _conditional,
    ast.Compare: _compare,
    ast.List: _display,
    ast.Set: _display,
    ast.Tuple: _tuple,
    ast.Dict: _dict,
    ast.ListComp: _list_comprehension,
    ast.SetComp: _set_comprehension,
}
