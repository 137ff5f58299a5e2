"""Which places a condition shows not to be null: `x is not None and x > 0`."""

from __future__ import annotations

import ast
from typing import TypeAlias

__all__ = ["facts", "place_of"]

Facts: TypeAlias = tuple[frozenset[str], frozenset[str]]
"""Places known not to be null when a condition is true, and when it is false."""

NO_FACTS: Facts = (frozenset(), frozenset())


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
