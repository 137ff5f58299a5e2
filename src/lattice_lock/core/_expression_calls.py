"""The functions and methods that an expression may call, and the types they have."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from lattice_lock.core._expression_check import Environment, Fault
from lattice_lock.core._expression_types import (
    DictOf,
    ListOf,
    NothingType,
    Optional,
    SetOf,
    TupleOf,
    Type,
    ViewOf,
    is_hashable,
    is_number,
    is_orderable,
    join,
)
from lattice_lock.core._narrowing import facts
from lattice_lock.core._suggestions import did_you_mean
from lattice_lock.core.type_refs import BOOL, INT, STR, ScalarName, ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable

    from lattice_lock.core._expression_check import Checker

__all__ = ["FUNCTIONS", "STR_METHODS", "check_call"]

_BYTES = ScalarType(ScalarName.BYTES)
_TIMEDELTA = ScalarType(ScalarName.TIMEDELTA)
_LARGEST_ROUNDING = 100

STR_METHODS: dict[str, tuple[tuple[Type, ...], Type]] = {
    "lower": ((), STR),
    "upper": ((), STR),
    "strip": ((), STR),
    "startswith": ((STR,), BOOL),
    "endswith": ((STR,), BOOL),
    "isdigit": ((), BOOL),
    "isalpha": ((), BOOL),
    "isalnum": ((), BOOL),
    "isupper": ((), BOOL),
    "islower": ((), BOOL),
    "isspace": ((), BOOL),
    "count": ((STR,), INT),
    "split": ((STR,), ListOf(STR)),
}
"""Methods of str: types of the arguments and of the result."""


def check_call(checker: Checker, node: ast.Call, env: Environment) -> Type:
    """The type of a call.

    Raises:
        Fault: an unknown function or method, or arguments it does not take.
    """
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise Fault(argument, "`*` is not part of the expression language.")
    if isinstance(node.func, ast.Attribute):
        return _check_method(checker, node, node.func, env)
    if not isinstance(node.func, ast.Name):
        raise Fault(node, f"`{checker.quote(node.func)}` cannot be called.")
    name = node.func.id
    if name in env.loop_variables or name in checker.scope.variables:
        raise Fault(node, f"`{name}` is a variable here and cannot be called.")
    handler = FUNCTIONS.get(name)
    if handler is None:
        hint = did_you_mean(name, FUNCTIONS)
        raise Fault(node, f"`{name}` is not a function of the expression language.", hint)
    allowed = _KEYWORDS.get(name, frozenset())
    for keyword in node.keywords:
        if keyword.arg not in allowed:
            raise Fault(keyword.value, f"`{name}` takes no argument `{keyword.arg or '**'}`.")
    return handler(checker, node, env)


def _only(node: ast.Call, name: str) -> ast.expr:
    if len(node.args) != 1:
        raise Fault(node, f"`{name}` takes one argument, not {len(node.args)}.")
    return node.args[0]


def _len(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "len")
    found = checker.check_value(argument, env)
    if not (
        isinstance(found, ListOf | SetOf | DictOf | TupleOf | ViewOf) or found in (STR, _BYTES)
    ):
        raise Fault(argument, f"`{checker.quote(argument)}` is {found}, which has no length.")
    return INT


def _sum(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "sum")
    item = checker.check_items(argument, env)
    if item == BOOL or isinstance(item, NothingType):
        return INT
    if not is_number(item):
        raise Fault(argument, f"`sum` adds numbers, these are {item}.")
    return item


def _quantifier(checker: Checker, node: ast.Call, env: Environment) -> Type:
    name = checker.quote(node.func)
    argument = _only(node, name)
    item = checker.check_items(argument, env)
    if item not in (BOOL, NothingType()):
        raise Fault(
            argument,
            f"`{name}` needs conditions, these are {item}.",
            f"Write `{name}(item > 0 for item in ...)`.",
        )
    return BOOL


def _extreme(checker: Checker, node: ast.Call, env: Environment) -> Type:
    name = checker.quote(node.func)
    if not node.args:
        raise Fault(node, f"`{name}` needs an argument.")
    default = next((keyword.value for keyword in node.keywords), None)
    if len(node.args) > 1:
        if default is not None:
            raise Fault(default, f"`{name}` of several values takes no default.")
        found = checker.join_all([(part, checker.check_value(part, env)) for part in node.args])
    else:
        found = checker.check_items(node.args[0], env)
    if isinstance(found, Optional) or not (is_orderable(found) or isinstance(found, NothingType)):
        raise Fault(node, f"Values of {found} have no order, so there is no `{name}` of them.")
    if default is None:
        return found
    return _with_default(checker, node.args[0], found, default, env)


def _with_default(
    checker: Checker, owner: ast.expr, found: Type, default: ast.expr, env: Environment
) -> Type:
    other = checker.check(default, env)
    both = join(found, other)
    if both is None and checker.adapt(default, other, found):
        both = found
    if both is None and checker.adapt(owner, found, other):
        both = other
    if both is None:
        raise Fault(default, f"The default is {other}, but the values are {found}.")
    return both


def _abs(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "abs")
    found = checker.check_value(argument, env)
    if not (is_number(found) or found == _TIMEDELTA):
        raise Fault(argument, f"`abs` needs a number, this is {found}.")
    return found


def _round(checker: Checker, node: ast.Call, env: Environment) -> Type:
    if len(node.args) not in (1, 2):
        raise Fault(node, f"`round` takes one or two arguments, not {len(node.args)}.")
    found = checker.check_value(node.args[0], env)
    if not is_number(found):
        raise Fault(node.args[0], f"`round` needs a number, this is {found}.")
    if len(node.args) == 1:
        return INT
    digits = node.args[1]
    if checker.check_value(digits, env) != INT or not (
        isinstance(digits, ast.Constant) and abs(int(str(digits.value))) <= _LARGEST_ROUNDING
    ):
        raise Fault(digits, f"`round` needs a constant number of digits up to {_LARGEST_ROUNDING}.")
    return found


def _sorted(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "sorted")
    item = checker.check_items(argument, env)
    if not (is_orderable(item) or isinstance(item, NothingType)):
        raise Fault(argument, f"Values of {item} have no order.", "Sort one of their fields.")
    for keyword in node.keywords:
        checker.check_condition(keyword.value, env, "`reverse`")
    return ListOf(item)


def _set(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "set")
    item = checker.check_items(argument, env)
    if not is_hashable(item):
        raise Fault(argument, f"Values of {item} cannot be in a set.", "Compare one field of them.")
    return SetOf(item)


def _implies(checker: Checker, node: ast.Call, env: Environment) -> Type:
    if len(node.args) != 2:  # noqa: PLR2004 -- implies(a, b)
        raise Fault(node, f"`implies` takes two conditions, not {len(node.args)}.")
    premise, conclusion = node.args
    checker.check_condition(premise, env, "Each side of `implies`")
    env = env.knowing(facts(premise, env.in_old)[0])
    checker.check_condition(conclusion, env, "Each side of `implies`")
    return BOOL


def _old(checker: Checker, node: ast.Call, env: Environment) -> Type:
    argument = _only(node, "old")
    if not checker.scope.allow_old:
        raise Fault(
            node,
            "`old(...)` has a meaning only in the `ensures` of a method.",
            "Here every name already has its value from before the call.",
        )
    if env.in_old:
        raise Fault(node, "`old` inside `old` says nothing more.", "Take the inner one out.")
    names = {part.id for part in ast.walk(argument) if isinstance(part, ast.Name)}
    if not names & (set(checker.scope.variables) - {"result"}) and "result" not in names:
        raise Fault(argument, "`old(...)` needs a parameter of the method.")
    return checker.check(argument, replace(env, in_old=True))


def _check_method(checker: Checker, node: ast.Call, func: ast.Attribute, env: Environment) -> Type:
    owner = checker.check_value(func.value, env)
    if node.keywords:
        raise Fault(node.keywords[0].value, f"`{func.attr}` takes no named arguments.")
    if isinstance(owner, DictOf):
        return _check_dict_method(checker, node, func, owner, env)
    if isinstance(owner, ListOf) and func.attr == "count":
        argument = _only(node, "count")
        found = checker.check(argument, env)
        if join(found, owner.item) is None and not checker.adapt(argument, found, owner.item):
            raise Fault(argument, f"The items are {owner.item}, this is {found}.")
        return INT
    known = STR_METHODS if owner == STR else {}
    if func.attr not in known:
        hint = did_you_mean(func.attr, known) if known else None
        raise Fault(func, f"{owner} has no method `{func.attr}` here.", hint)
    wanted, result = known[func.attr]
    given = [checker.check_value(argument, env) for argument in node.args]
    if tuple(given) != wanted:
        listed = ", ".join(map(str, wanted)) or "no arguments"
        raise Fault(node, f"`{func.attr}` takes {listed}.")
    return result


def _check_dict_method(
    checker: Checker, node: ast.Call, func: ast.Attribute, owner: DictOf, env: Environment
) -> Type:
    if func.attr in {"keys", "values"}:
        if node.args:
            raise Fault(node, f"`{func.attr}` takes no arguments.")
        return SetOf(STR) if func.attr == "keys" else ViewOf(owner.value)
    if func.attr != "get":
        hint = did_you_mean(func.attr, ("get", "keys", "values"))
        raise Fault(func, f"{owner} has no method `{func.attr}` here.", hint)
    if len(node.args) not in (1, 2):
        raise Fault(node, f"`get` takes one or two arguments, not {len(node.args)}.")
    if (key := checker.check_value(node.args[0], env)) != STR:
        raise Fault(node.args[0], f"The keys are str, this is {key}.")
    if len(node.args) == 1:
        return owner.value if isinstance(owner.value, Optional) else Optional(owner.value)
    return _with_default(checker, func.value, owner.value, node.args[1], env)


FUNCTIONS: dict[str, Callable[[Checker, ast.Call, Environment], Type]] = {
    "len": _len,
    "sum": _sum,
    "min": _extreme,
    "max": _extreme,
    "abs": _abs,
    "all": _quantifier,
    "any": _quantifier,
    "sorted": _sorted,
    "round": _round,
    "set": _set,
    "old": _old,
    "implies": _implies,
}
"""Every function of the language by name."""

_KEYWORDS: dict[str, frozenset[str]] = {
    "min": frozenset({"default"}),
    "max": frozenset({"default"}),
    "sorted": frozenset({"reverse"}),
}
