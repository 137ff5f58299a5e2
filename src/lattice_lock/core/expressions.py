"""Conditions of a lattice: a whitelisted subset of Python, parsed once and never executed.

`requires`, `ensures` and `raises` are written in a small expression language with Python's
syntax. `parse_expression` turns text into an `Expression`: an AST in which only whitelisted nodes
occur and every name and attribute is typed against the lattice. Nothing is ever passed to `eval`;
`evaluate` walks the tree itself.

Literals take on the type of what they meet: in `price * 0.2` with a decimal `price`, the tree
holds `Decimal("0.2")`; in `due > '2024-12-31'` with a date `due` it holds that date.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lattice_lock.core._evaluation import EvaluationError, run
from lattice_lock.core._expression_calls import check_call
from lattice_lock.core._expression_check import Checker, Environment, Fault
from lattice_lock.core._expression_nodes import NODE_HANDLERS
from lattice_lock.core._expression_types import Scope
from lattice_lock.core._python_text import PythonCondition, render
from lattice_lock.exceptions import ExpressionError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lattice_lock.exceptions import SourceLocation

__all__ = [
    "EvaluationError",
    "Expression",
    "PythonCondition",
    "Scope",
    "constants",
    "evaluate",
    "old_variables",
    "parse_expression",
    "to_python",
    "variables",
]

_LONGEST = 2_000
_DEEPEST = 60
_HANDLERS = {**NODE_HANDLERS, ast.Call: check_call}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A checked condition.

    Attributes:
        source: text as the author wrote it, surrounding white space removed.
        tree: the whitelisted tree, literals in their settled types; treat as read-only.
        location: place of its first character.
    """

    source: str
    tree: ast.expr
    location: SourceLocation


def parse_expression(source: str, *, scope: Scope, location: SourceLocation) -> Expression:
    """The checked form of a condition.

    Args:
        source: text of the condition.
        scope: what its names mean.
        location: place of the first character of `source`; problems count on from there.

    Raises:
        ExpressionError: not an expression, outside the language, or wrong in its types.
    """
    lead = len(source) - len(source.lstrip())
    text = source.strip()
    location = replace(location, column=location.column + lead)
    tree = _parse(text, location)
    checker = Checker(text, scope, _HANDLERS)
    try:
        checker.check_condition(tree, Environment(), "A clause")
    except Fault as fault:
        offset = getattr(fault.node, "col_offset", 0)
        column = len(text.encode()[:offset].decode(errors="replace"))
        raise _error(location, column, fault.message, fault.hint) from None
    return Expression(source=text, tree=tree, location=location)


def evaluate(
    expression: Expression,
    names: Mapping[str, object],
    *,
    old: Mapping[str, object] | None = None,
    budget: int = 100_000,
) -> object:
    """The value of a condition for given inputs.

    Args:
        expression: what to evaluate.
        names: value of each variable; entities are mappings from field name to value, enum
            values are str.
        old: values of the variables before the call, for `old(...)`.
        budget: most steps to spend; going through a long text or list costs steps as well.

    Raises:
        EvaluationError: no value (division by zero, an index out of range, a missing name), or
            the budget is used up.
    """
    return run(expression.tree, names, old, budget)


def to_python(expression: Expression, *, names: Mapping[str, str] | None = None) -> PythonCondition:
    """The condition as Python source over the generated types.

    Args:
        expression: what to render.
        names: Python text for variables, such as `{"price": "self.price"}`; others keep their name.
    """
    return render(expression.tree, names or {})


def variables(expression: Expression) -> frozenset[str]:
    """Names of the variables of the scope that occur, loop variables left out."""
    used: set[str] = set()
    bound: set[str] = set()
    functions = {id(node.func) for node in ast.walk(expression.tree) if isinstance(node, ast.Call)}
    for node in ast.walk(expression.tree):
        if isinstance(node, ast.Name) and id(node) not in functions:
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
    return frozenset(used - bound)


def old_variables(expression: Expression) -> frozenset[str]:
    """Names of the variables that occur within `old(...)`."""
    return frozenset(
        inner.id
        for node in ast.walk(expression.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "old"
        for argument in node.args
        for inner in ast.walk(argument)
        if isinstance(inner, ast.Name)
    )


def constants(expression: Expression) -> tuple[object, ...]:
    """Literal values that occur, in the order of the text, each once; a sign is applied.

    Numbers that meet a decimal are `Decimal`, strings that meet a date are dates, and so on.
    """
    found: dict[tuple[type, object], None] = {}
    stack: list[ast.AST] = [expression.tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            operand = node.operand
            value = operand.value if isinstance(operand, ast.Constant) else None
            if isinstance(value, int | float) or (value is not None and hasattr(value, "as_tuple")):
                found[type(value), -value] = None  # type: ignore[operator]  # int, float, Decimal
                continue
        if isinstance(node, ast.Constant) and node.value is not None:
            found[type(node.value), node.value] = None
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return tuple(value for _, value in found)


def _parse(text: str, location: SourceLocation) -> ast.expr:
    if not text:
        raise _error(location, 0, "A clause is empty.", "Write a condition such as `price > 0`.")
    if len(text) > _LONGEST:
        raise _error(
            location,
            0,
            f"A clause has {len(text)} characters; {_LONGEST} are allowed.",
            "Split it into several clauses.",
        )
    if "\n" in text and "#" in text:
        raise _error(
            location,
            0,
            "A clause over several lines cannot contain `#`.",
            "Put comments outside of the clause.",
        )
    try:
        with warnings.catch_warnings():
            # `"\d"` and `0in x` only warn; a contract must not rest on either.
            warnings.simplefilter("error")
            tree = ast.parse(text.replace("\n", " "), mode="eval").body
    except SyntaxError as error:
        # Python reports place 0 for a text that ends too early.
        column = min((error.offset or len(text)) - 1, len(text) - 1)
        raise _error(location, column, *_explain_syntax(text, error)) from None
    except (ValueError, MemoryError, RecursionError):
        raise _error(location, 0, "A clause cannot be read as an expression.") from None
    _refuse_deep(tree, location)
    return tree


def _explain_syntax(text: str, error: SyntaxError) -> tuple[str, str | None]:
    for wrong, right in (("&&", "and"), ("||", "or")):
        if wrong in text:
            return f"`{wrong}` is not an operator here.", f"Write `{right}`."
    if "=" in text and not any(sign in text for sign in ("==", "!=", "<=", ">=")):
        return "`=` is not a comparison.", "Write `==`."
    return f"A clause is not an expression: {error.msg}.", None


def _refuse_deep(tree: ast.expr, location: SourceLocation) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise _error(
        location,
        0,
        f"A clause is nested more than {_DEEPEST} levels deep.",
        "Split it into several clauses.",
    )


def _error(
    location: SourceLocation, column: int, message: str, hint: str | None = None
) -> ExpressionError:
    place = replace(location, column=location.column + column)
    return ExpressionError([Problem(location=place, message=message, hint=hint)])
