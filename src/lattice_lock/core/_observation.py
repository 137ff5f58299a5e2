"""Whether a sample of outcomes shows that a condition cannot fail."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from typing_extensions import override

from lattice_lock.core._aiming import places_compared
from lattice_lock.core._evaluation import Evaluation, EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias

    from lattice_lock.core.expressions import Expression

    State: TypeAlias = tuple[Mapping[str, object], Mapping[str, object] | None]

__all__ = ["cannot_fail"]

_BUDGET = 20_000
_FEWEST = 2
_COLLECTIONS = (ast.List, ast.Set, ast.Tuple, ast.Dict, ast.ListComp, ast.SetComp, ast.Call)


def cannot_fail(expression: Expression, states: Iterable[State], free: set[str]) -> bool:
    """Whether `expression` is true in every state and the states say that this is no accident.

    `implies(rare, result == 0)` is true in any sample that never meets `rare`. So the parts that
    depend on the outcome are observed one by one: each must have been reached, and each must
    have had the same truth throughout. Where nothing but the outcome decides (`result > 0 or
    result <= 0`), being true everywhere is enough.

    Args:
        expression: the condition.
        states: values of the variables after the call, with those from before it.
        free: variables that an implementation may give any value of their type.
    """
    true: list[State] = []
    for names, old in states:
        verdict = _verdict(Evaluation(old, _BUDGET), expression.tree, names)
        if verdict is False:
            return False
        if verdict is True:
            true.append((names, old))
    if len(true) < _FEWEST:
        return False
    atoms, guarded = _atoms(expression.tree)
    loose = [atom for atom in atoms if _mentions(atom, free | _loop_variables(expression.tree))]
    if not loose:
        return len(atoms) == 1
    seen: dict[ast.expr, set[bool]] = {atom: set() for atom in loose}
    for names, old in true:
        _verdict(_Observation(old, seen), expression.tree, names)
    if any(_is_chance(atom, truths) for atom, truths in seen.items()):
        return False
    if len(loose) == len(atoms) and not guarded:
        return True
    return all(len(truths) == 1 for truths in seen.values())


class _Observation(Evaluation):
    """An evaluation that notes the truth of some parts."""

    def __init__(
        self, old: Mapping[str, object] | None, seen: Mapping[ast.expr, set[bool]]
    ) -> None:
        super().__init__(old, _BUDGET)
        self._seen = seen

    @override
    def value(self, node: ast.expr, names: Mapping[str, object]) -> object:
        found = super().value(node, names)
        if node in self._seen:
            self._seen[node].add(bool(found))
        return found


def _is_chance(atom: ast.expr, truths: set[bool]) -> bool:
    """Whether two values merely never met: `result != 17 * a` is true of almost any sample."""
    if not isinstance(atom, ast.Compare):
        return False
    # The search sets a place to the value of the other side, unless that is a collection.
    targets = places_compared(atom)
    if targets and not any(isinstance(one.other, _COLLECTIONS) for one in targets):
        return False
    apart = any(isinstance(kind, ast.NotEq | ast.NotIn) for kind in atom.ops)
    alike = any(isinstance(kind, ast.Eq | ast.In) for kind in atom.ops)
    return (apart and True in truths) or (alike and False in truths)


def _verdict(evaluation: Evaluation, tree: ast.expr, names: Mapping[str, object]) -> bool | None:
    try:
        return bool(evaluation.run(tree, names))
    except EvaluationError:
        return None


def _atoms(tree: ast.expr) -> tuple[list[ast.expr], bool]:
    """The parts that `and`, `or`, `not`, `implies`, `if` and quantifiers combine.

    Returns:
        The parts, and whether some of them count only under a condition or for some items.
    """
    found: list[ast.expr] = []
    guarded = False
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.BoolOp):
            stack.extend(node.values)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            stack.append(node.operand)
        elif isinstance(node, ast.IfExp):
            guarded = True
            stack.extend((node.body, node.orelse))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            inner = list(_combined(node, node.func.id))
            guarded = guarded or bool(inner)
            stack.extend(inner)
            if not inner:
                found.append(node)
        else:
            found.append(node)
    return found, guarded


def _combined(node: ast.Call, name: str) -> Iterator[ast.expr]:
    if name == "implies":
        yield from node.args
    elif name in {"all", "any"} and isinstance(node.args[0], ast.GeneratorExp | ast.ListComp):
        yield node.args[0].elt


def _loop_variables(tree: ast.expr) -> set[str]:
    return {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name)
    }


def _mentions(node: ast.AST, names: set[str]) -> bool:
    """Whether a name occurs outside of `old(...)`."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "old":
        return False
    return any(_mentions(child, names) for child in ast.iter_child_nodes(node))
