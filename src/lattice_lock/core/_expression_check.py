"""Types every part of an expression and refuses what is outside the language.

The checker also settles what a literal means: in `price * 0.2` with a decimal `price` the
constant becomes `Decimal("0.2")`, in `due > '2024-12-31'` with a date `due` it becomes a date.
It rewrites such constants in place, so that evaluation and rendering need no types.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

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
    is_number,
    join,
    without_null,
)
from lattice_lock.core._literals import FORMATS, TEXT_PARSERS, parse_decimal
from lattice_lock.core._narrowing import facts, place_of
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core.type_refs import BOOL, INT, STR, EnumType, ScalarName, ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lattice_lock.core._expression_types import Scope

__all__ = [
    "DECIMAL",
    "FLOAT",
    "Checker",
    "Environment",
    "Fault",
    "comprehension",
    "mixed_numbers",
]

DECIMAL = ScalarType(ScalarName.DECIMAL)
FLOAT = ScalarType(ScalarName.FLOAT)

_QUOTED_LENGTH = 60

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
    """Types the parts of one expression.

    Attributes:
        scope: what the names mean.
        types: the type of each part seen so far.
    """

    def __init__(
        self,
        source: str,
        scope: Scope,
        handlers: Mapping[type[ast.expr], Callable[..., Type]],
    ) -> None:
        """Prepare.

        Args:
            source: what the tree was parsed from.
            scope: what the names mean.
            handlers: per class of node, what types a node of exactly that class.
        """
        self.scope = scope
        self._bytes = source.encode()
        self._handlers = handlers
        self.types: dict[ast.AST, Type] = {}

    def check(self, node: ast.expr, env: Environment) -> Type:
        """The type of `node`.

        Raises:
            Fault: the node is outside the language or does not fit the types.
        """
        if node in self.types:
            # The middle of `a < b < c` is asked for twice; without this, nesting costs 2**depth.
            return self.types[node]
        handler = self._handlers.get(type(node))
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
            found: Type = ViewOf(comprehension(self, node, env))
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
                        raise mixed_numbers(self, part, earlier, earlier_type, part)
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
        if isinstance(node.value, Decimal):
            return
        text = str(node.value) if isinstance(node.value, int) else self._slice(node)
        try:
            value = parse_decimal(text.replace("_", ""))
        except ValueError as error:
            raise Fault(node, f"`{self.quote(node)}` is out of range.") from error
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


def _items_of(value: Type) -> Type | None:
    return value.item if isinstance(value, ListOf | SetOf | ViewOf) else None


def comprehension(
    checker: Checker, node: ast.GeneratorExp | ast.ListComp | ast.SetComp, env: Environment
) -> Type:
    """The type of what a comprehension yields per item."""
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


def mixed_numbers(
    checker: Checker, node: ast.expr, left: ast.expr, left_type: Type, right: ast.expr
) -> Fault:
    """The fault of an operation between decimal and float."""
    inexact = left if left_type == FLOAT else right
    return Fault(
        node,
        f"`{checker.quote(node)}` mixes decimal and float; `{checker.quote(inexact)}` is float.",
        "Declare both as decimal: a float cannot hold most decimal fractions.",
    )
