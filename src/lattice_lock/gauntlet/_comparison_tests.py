"""Turn the contract tests of a method into tests that compare it with a mutant.

The inputs are those of the contract: the strategies, boundaries and assumptions of the compiled
tests stay, and what was asserted gives way to calling both.
"""

from __future__ import annotations

import ast
import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["MUTANT", "comparison_tests"]

MUTANT: Final = "LatticeLockMutant"
"""The name under which comparing tests know the class of the mutant."""

_HEAD: Final = """
from {module} import {cls} as {mutant}
from lattice_lock.gauntlet._comparing import compare as lattice_lock_compare
"""
_MOST_CONSTANTS: Final = 24


def comparison_tests(
    contract: str,
    *,
    tests: Collection[str],
    cls: str,
    method: str,
    parameters: Sequence[str],
    mutant_module: str,
    constants: Sequence[int],
) -> tuple[str, tuple[str, ...]]:
    """The text of the comparing tests and their names; no names where none can be made.

    Args:
        contract: text of the contract tests.
        tests: names of those that are about the method.
        cls: the implementing class.
        method: the method that was changed.
        parameters: names of its parameters.
        mutant_module: where the mutant's class is found.
        constants: numbers worth trying beside those of the contract.
    """
    tree = ast.parse(contract)
    kept: list[ast.stmt] = []
    made: list[ast.FunctionDef] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in tests:
            test = _comparing(node, cls, method, parameters)
            made += [test] if test is not None else []
        elif not _is_collected(node):
            kept.append(node)
    head = _HEAD.format(module=mutant_module, cls=cls, mutant=MUTANT)
    last_import = max(
        (n for n, node in enumerate(kept) if isinstance(node, ast.Import | ast.ImportFrom)),
        default=-1,
    )
    kept[last_import + 1 : last_import + 1] = ast.parse(head).body
    whole: ast.AST = ast.Module(body=[*kept, *made], type_ignores=[])
    whole = _MoreValues(constants).visit(whole)
    return ast.unparse(ast.fix_missing_locations(whole)), tuple(test.name for test in made)


def _is_collected(node: ast.stmt) -> bool:
    """Whether pytest would run it."""
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("test")
    names = [node.name] if isinstance(node, ast.ClassDef) else []
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return any(name.startswith("Test") for name in names)


def _comparing(
    test: ast.FunctionDef, cls: str, method: str, parameters: Sequence[str]
) -> ast.FunctionDef | None:
    """The test that compares what `test` asserts, None where it has inputs of its own."""
    taken = [one.arg for one in test.args.args]
    by_parameter = {
        parameter: name
        for parameter in parameters
        for name in (parameter, f"{parameter}_")  # where the file needs the name itself
        if name in taken
    }
    made = [
        (place, node)
        for place, statement in enumerate(test.body)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == cls
    ]
    if len(made) != 1 or by_parameter.keys() != set(parameters):
        return None
    ((place, service),) = made
    passed = ", ".join(f"{parameter}={name}" for parameter, name in by_parameter.items())
    call = f"{ast.unparse(service)}.{method}({passed})"
    changed = f"{MUTANT}{call.removeprefix(cls)}"
    names = ", ".join(taken)
    given = ", ".join(f"{name!r}: {name}" for name in taken)
    watched = "".join(f"{name!r}, " for name in by_parameter.values())
    compare = (
        f"lattice_lock_compare(lambda {names}: {call}, lambda {names}: {changed}, "
        f"{{{given}}}, ({watched}))"
    )
    comparing = copy.copy(test)
    setup = [one for one in test.body[:place] if _is_assumption(one)]
    comparing.body = [*setup, *ast.parse(compare).body]
    return comparing


def _is_assumption(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "assume"
    )


class _MoreValues(ast.NodeTransformer):
    """Adds constants of the code to strategies for numbers, within their limits."""

    def __init__(self, constants: Iterable[int]) -> None:
        near = {value + step for value in constants for step in (-1, 0, 1)}
        self._constants = sorted(near)[:_MOST_CONSTANTS]

    @override
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name not in {"st.integers", "st.decimals"}:
            return node
        limits = {one.arg: _number(one.value) for one in node.keywords}
        low, high = limits.get("min_value"), limits.get("max_value")
        fitting = [
            one
            for one in self._constants
            if (low is None or low <= one) and (high is None or one <= high)
        ]
        if not fitting:
            return node
        shown = [str(one) if name == "st.integers" else f'Decimal("{one}")' for one in fitting]
        more = ast.parse(f"st.sampled_from([{', '.join(shown)}])", mode="eval").body
        return ast.BinOp(left=node, op=ast.BitOr(), right=more)


def _number(node: ast.expr) -> Decimal | None:
    if isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    try:
        return Decimal(str(ast.literal_eval(node)))
    except (ValueError, ArithmeticError):
        return None
