"""Types every part of an expression and refuses what is outside the language.

The checker also settles what a literal means: in `price * 0.2` with a decimal `price` the
constant becomes `Decimal("0.2")`, in `due > '2024-12-31'` with a date `due` it becomes a date.
It rewrites such constants in place, so that evaluation and rendering need no types.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from lattice_lock.core._expression_types import (
    NOTHING,
    NULL,
    DictOf,
    ListOf,
    Optional,
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
from lattice_lock.core._literals import FORMATS, TEXT_PARSERS, parse_decimal
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core.type_refs import BOOL, INT, STR, EntityType, EnumType, ScalarName, ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lattice_lock.core._expression_types import Scope

__all__ = ["DECIMAL", "FLOAT", "NO_FACTS", "Checker", "Environment", "Fault"]

DECIMAL = ScalarType(ScalarName.DECIMAL)
FLOAT = ScalarType(ScalarName.FLOAT)
_BYTES = ScalarType(ScalarName.BYTES)
_DATE = ScalarType(ScalarName.DATE)
_DATETIME = ScalarType(ScalarName.DATETIME)
_TIMEDELTA = ScalarType(ScalarName.TIMEDELTA)

_LARGEST_EXPONENT = 64
_QUOTED_LENGTH = 60

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

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.Sub)

_FOREIGN_NAMES = {"true": "True", "false": "False", "null": "None", "nil": "None"}

_REFUSED: dict[type[ast.AST], tuple[str, str | None]] = {
    ast.Lambda: ("a lambda", None),
    ast.JoinedStr: ("an f-string", "Join strings with `+`."),
    ast.NamedExpr: ("`:=`", "Compare with `==`."),
    ast.Starred: ("`*`", None),
    ast.Await: ("`await`", None),
    ast.Yield: ("`yield`", None),
    ast.YieldFrom: ("`yield from`", None),
    ast.DictComp: ("a dict comprehension", "Use a list comprehension or `all(...)`."),
    ast.GeneratorExp: (
        "a bare generator expression",
        "Hand it to `all`, `any`, `sum`, `min`, `max`, `sorted` or `set`, or write a list.",
    ),
    ast.Slice: ("a slice here", None),
}

Facts: TypeAlias = tuple[frozenset[str], frozenset[str]]
"""Places known not to be null when a condition is true, and when it is false."""

NO_FACTS: Facts = (frozenset(), frozenset())


class Fault(Exception):  # noqa: N818 -- not an error that leaves the package; becomes a Problem
    """Something wrong with one part of an expression."""

    def __init__(self, node: ast.AST, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Environment:
    """What is known at one point of an expression: loop variables and places that are not null."""

    loop_variables: dict[str, Type] = field(default_factory=dict)
    not_null: frozenset[str] = frozenset()
    in_old: bool = False

    def knowing(self, places: frozenset[str]) -> Environment:
        """The same with more places known not to be null."""
        return replace(self, not_null=self.not_null | places) if places else self


class Checker:
    """Types the parts of one expression; `source` must be what the tree was parsed from."""

    def __init__(
        self,
        source: str,
        scope: Scope,
        call: Callable[[Checker, ast.Call, Environment], Type],
    ) -> None:
        self.scope = scope
        self._bytes = source.encode()
        self._call = call
        self.types: dict[ast.AST, Type] = {}

    def check(self, node: ast.expr, env: Environment) -> Type:
        """The type of `node`.

        Raises:
            Fault: the node is outside the language or does not fit the types.
        """
        if node in self.types:
            # The middle of `a < b < c` is asked for twice; without this, nesting costs 2**depth.
            return self.types[node]
        if isinstance(node, ast.Call):
            found = self._call(self, node, env)
        else:
            handler = _HANDLERS.get(type(node))
            if handler is None:
                what, hint = _REFUSED.get(type(node), (f"`{self.quote(node)}`", None))
                raise Fault(node, f"{what} is not part of the expression language.", hint)
            found = handler(self, node, env)
        if isinstance(found, Optional) and place_of(node, env.in_old) in env.not_null:
            found = found.inner
        self.types[node] = found
        return found

    def check_condition(self, node: ast.expr, env: Environment, where: str) -> None:
        """Demand that `node` is true or false."""
        found = self.check_value(node, env)
        if found != BOOL:
            hint = "Compare it with something"
            if isinstance(found, ListOf | SetOf | DictOf) or found == STR:
                hint = f"Write `len({self.quote(node)}) > 0`"
            elif is_number(found):
                hint = f"Write `{self.quote(node)} != 0`"
            raise Fault(
                node,
                f"{where} must be true or false, but `{self.quote(node)}` is {found}.",
                f"{hint}.",
            )

    def check_value(self, node: ast.expr, env: Environment) -> Type:
        """The type of `node`, which must not be null."""
        found = self.check(node, env)
        if isinstance(found, Optional):
            text = self.quote(node)
            guard = f"Guard it: `{text} is None or ...` or `{text} is not None and ...`."
            if place_of(node, env.in_old) is None:
                guard = "Use a value here that cannot be null."
            raise Fault(node, f"`{text}` may be null here (it is {found}).", guard)
        if found == NULL:
            raise Fault(node, "`None` can only be compared with `is` and `is not`.")
        return found

    def check_items(self, node: ast.expr, env: Environment) -> Type:
        """The type of what iterating over `node` yields; generator expressions are welcome."""
        if isinstance(node, ast.GeneratorExp):
            found: Type = ViewOf(_comprehension(self, node, env))
            self.types[node] = found
        else:
            found = self.check_value(node, env)
        if isinstance(found, ListOf | SetOf | ViewOf):
            return found.item
        if isinstance(found, DictOf) or found == STR:
            return STR
        if isinstance(found, TupleOf):
            return self.join_all([(node, item) for item in found.items])
        raise Fault(node, f"`{self.quote(node)}` is {found}, which has no items to go through.")

    def unify(self, left: ast.expr, a: Type, right: ast.expr, b: Type) -> Type | None:
        """The type that both sides have, after literals took on the type of the other side."""
        joined = join(a, b)
        if joined is not None:
            return joined
        if self.adapt(right, b, a):
            return a
        if self.adapt(left, a, b):
            return b
        return None

    def join_all(self, parts: Iterable[tuple[ast.expr, Type]]) -> Type:
        """The one type of several parts, such as the items of a list."""
        known: list[tuple[ast.expr, Type]] = []
        joined: Type = NOTHING
        for part, found in parts:
            previous = known[-1][0] if known else part
            both = self.unify(previous, joined, part, found) if known else found
            if both is None:
                raise Fault(part, f"`{self.quote(part)}` is {found}, the others are {joined}.")
            if both != joined:
                for earlier, earlier_type in known:
                    if not self.adapt(earlier, earlier_type, both):
                        raise _mixed_numbers(self, part, earlier, earlier_type, part)
            joined = both
            known.append((part, found))
        return joined

    def adapt(self, node: ast.expr, found: Type, target: Type) -> bool:
        """Give the literals in `node` the meaning they have next to a value of type `target`.

        Returns:
            Whether `node` now has (or already had) a value of that type.
        """
        wanted = without_null(target)
        if join(found, wanted) is not None:
            return True
        if found == STR and isinstance(wanted, EnumType):
            return self._adapt_enum(node, wanted)
        if found == STR and isinstance(wanted, ScalarType) and wanted.name in TEXT_PARSERS:
            return self._adapt_text(node, wanted.name)
        if found == FLOAT and wanted == DECIMAL:
            return self._adapt_decimal(node)
        parts = _items_of(wanted)
        if parts is None or not isinstance(node, ast.List | ast.Set | ast.Tuple):
            return False
        return all(self.adapt(part, self.types[part], parts) for part in node.elts)

    def _adapt_enum(self, node: ast.expr, wanted: EnumType) -> bool:
        if isinstance(node, ast.Constant) and node.value not in wanted.values:
            raise Fault(
                node,
                f"`{node.value!s}` is not a value of {wanted}.",
                did_you_mean(str(node.value), wanted.values),
            )
        return True

    def _adapt_text(self, node: ast.expr, wanted: ScalarName) -> bool:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return False
        try:
            value = TEXT_PARSERS[wanted](node.value)
        except ValueError as error:
            raise Fault(
                node, f"`{node.value}` is not a {wanted}.", f"Write it as {FORMATS[wanted]}."
            ) from error
        node.value = value  # type: ignore[assignment]  # our walkers know these constants
        return True

    def _adapt_decimal(self, node: ast.expr) -> bool:
        if self.types.get(node) == INT:
            return True
        if isinstance(node, ast.Constant):
            self._make_decimal(node)
            return True
        if isinstance(node, ast.UnaryOp):
            return self._adapt_decimal(node.operand)
        if isinstance(node, ast.IfExp):
            return self._adapt_decimal(node.body) and self._adapt_decimal(node.orelse)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            operands = [*node.args, *(keyword.value for keyword in node.keywords)]
            return node.func.id in _NUMERIC_CALLS and all(map(self._adapt_decimal, operands))
        if isinstance(node, ast.GeneratorExp | ast.ListComp):
            return self._adapt_decimal(node.elt)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(map(self._adapt_decimal, node.elts))
        if isinstance(node, ast.BinOp):
            return self._adapt_arithmetic(node)
        return False

    def _adapt_arithmetic(self, node: ast.BinOp) -> bool:
        sides = (node.left, node.right)
        if all(self.types[side] == INT for side in sides):
            # `n / 3` of an int n: one side must be a literal, which then makes it exact.
            for side in sides:
                if isinstance(side, ast.Constant):
                    self._make_decimal(side)
                    return True
            return False
        return all(self._adapt_decimal(side) for side in sides)

    def _make_decimal(self, node: ast.Constant) -> None:
        if not isinstance(node.value, Decimal):
            exact = parse_decimal(str(node.value)) if isinstance(node.value, int) else None
            value = exact if exact is not None else parse_decimal(self._slice(node))
            node.value = value  # type: ignore[assignment]  # our walkers know these constants
            self.types[node] = DECIMAL

    def quote(self, node: ast.AST) -> str:
        """The text of `node` for a message, shortened when long."""
        text = " ".join(self._slice(node).split())
        return text if len(text) <= _QUOTED_LENGTH else f"{text[: _QUOTED_LENGTH - 3]}..."

    def _slice(self, node: ast.AST) -> str:
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", None)
        return self._bytes[start:end].decode(errors="replace")


_NUMERIC_CALLS = frozenset({"abs", "max", "min", "round", "sum"})


def place_of(node: ast.expr, in_old: bool) -> str | None:  # noqa: FBT001 -- private recursion
    """A key for a place that keeps its value, such as `order.note`; None for anything else."""
    if isinstance(node, ast.Name):
        return f"old:{node.id}" if in_old else node.id
    if isinstance(node, ast.Attribute):
        owner = place_of(node.value, in_old)
        return None if owner is None else f"{owner}.{node.attr}"
    if isinstance(node, ast.Subscript):
        owner, key = place_of(node.value, in_old), _key_of(node.slice, in_old)
        return None if owner is None or key is None else f"{owner}[{key}]"
    if not isinstance(node, ast.Call) or len(node.args) != 1:
        return None
    if isinstance(node.func, ast.Name) and node.func.id == "old":
        return place_of(node.args[0], in_old=True)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        owner, key = place_of(node.func.value, in_old), _key_of(node.args[0], in_old)
        return None if owner is None or key is None else f"{owner}.get({key})"
    return None


def _key_of(node: ast.expr, in_old: bool) -> str | None:  # noqa: FBT001 -- private recursion
    return repr(node.value) if isinstance(node, ast.Constant) else place_of(node, in_old)


def facts(node: ast.expr, in_old: bool) -> Facts:  # noqa: FBT001 -- private recursion
    """Which places cannot be null once `node` is known to be true, or to be false."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        place = place_of(node.left, in_old)
        if place is not None and isinstance(node.ops[0], ast.IsNot):
            return frozenset({place}), frozenset()
        if place is not None and isinstance(node.ops[0], ast.Is):
            return frozenset(), frozenset({place})
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        true, false = facts(node.operand, in_old)
        return false, true
    if isinstance(node, ast.BoolOp):
        found = [facts(value, in_old) for value in node.values]
        true_sets, false_sets = [true for true, _ in found], [false for _, false in found]
        if isinstance(node.op, ast.And):
            return frozenset.union(*true_sets), frozenset.intersection(*false_sets)
        return frozenset.intersection(*true_sets), frozenset.union(*false_sets)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id == "implies" and len(node.args) == 2:  # noqa: PLR2004 -- implies(a, b)
            (premise, otherwise), (then, never) = (facts(part, in_old) for part in node.args)
            return otherwise & then, premise | never
        if node.func.id == "old":
            return facts(node.args[0], in_old=True)
    return NO_FACTS


def _items_of(value: Type) -> Type | None:
    return value.item if isinstance(value, ListOf | SetOf | ViewOf) else None


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
            raise _mixed_numbers(checker, node, node.left, left, node.right)
        return FLOAT if isinstance(node.op, ast.Div) and both == INT else both
    if isinstance(left, ListOf) and isinstance(right, ListOf) and isinstance(node.op, ast.Add):
        both = checker.unify(node.left, left, node.right, right)
    elif isinstance(left, SetOf) and isinstance(right, SetOf):
        known = isinstance(node.op, _SET_OPERATORS)
        both = checker.unify(node.left, left, node.right, right) if known else None
    else:
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


def _mixed_numbers(
    checker: Checker, node: ast.expr, left: ast.expr, left_type: Type, right: ast.expr
) -> Fault:
    inexact = left if left_type == FLOAT else right
    return Fault(
        node,
        f"`{checker.quote(node)}` mixes decimal and float; `{checker.quote(inexact)}` is float.",
        "Declare both as decimal: a float cannot hold most decimal fractions.",
    )


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
        return _mixed_numbers(checker, right, left, without_null(a), right)
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


def _comprehension(
    checker: Checker, node: ast.GeneratorExp | ast.ListComp | ast.SetComp, env: Environment
) -> Type:
    for part in node.generators:
        if part.is_async or not isinstance(part.target, ast.Name):
            raise Fault(part.target, "A loop has one plain variable.", "Write `for item in ...`.")
        name = part.target.id
        if name.startswith("_") or name in {"self", "cls", "old", "result", "implies"}:
            raise Fault(part.target, f"A loop variable cannot be called `{name}`.")
        if name in env.loop_variables or name in checker.scope.variables:
            raise Fault(
                part.target, f"The loop variable `{name}` hides another `{name}`.", "Rename it."
            )
        item = checker.check_items(part.iter, env)
        env = replace(env, loop_variables={**env.loop_variables, name: item})
        for condition in part.ifs:
            checker.check_condition(condition, env, "What follows `if`")
            env = env.knowing(facts(condition, env.in_old)[0])
    return checker.check(node.elt, env)


def _list_comprehension(checker: Checker, node: ast.ListComp, env: Environment) -> Type:
    return ListOf(_comprehension(checker, node, env))


def _set_comprehension(checker: Checker, node: ast.SetComp, env: Environment) -> Type:
    item = _comprehension(checker, node, env)
    if not is_hashable(item):
        raise Fault(node, f"Values of {item} cannot be in a set.", "Write a list.")
    return SetOf(item)


# Any: a table from node class to a handler of exactly that class has no better static type.
_HANDLERS: dict[type[ast.expr], Callable[..., Type]] = {
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
