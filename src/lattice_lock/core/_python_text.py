"""Renders a checked expression as Python over the generated types."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PythonCondition", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCondition:
    """An expression as Python source.

    Attributes:
        text: an expression that is true or false.
        captures: names with the Python text to assign to them before the call; `text` uses them
            wherever the lattice says `old(...)`.
        needs: names that `text` and `captures` use from the standard library: `Decimal`, `UUID`,
            `date`, `datetime`, `timedelta`, and `deepcopy` from `copy`.
    """

    text: str
    captures: tuple[tuple[str, str], ...]
    needs: frozenset[str]


def render(tree: ast.expr, names: Mapping[str, str]) -> PythonCondition:
    """Python source equal in meaning to `tree`, with its variables replaced by `names`."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    renderer = _Renderer(names, used)
    text = ast.unparse(renderer.visit(copy.deepcopy(tree)))
    captures = tuple(
        (name, f"deepcopy({names.get(variable, variable)})")
        for variable, name in sorted(renderer.captured.items())
    )
    needs = renderer.needs | ({"deepcopy"} if captures else set())
    return PythonCondition(text=text, captures=captures, needs=frozenset(needs))


class _Renderer(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str], used: set[str]) -> None:
        self._replacements = {
            name: ast.parse(text, mode="eval").body for name, text in names.items()
        }
        self._taken = used | set(names.values())
        self._loop_variables: set[str] = set()
        self._in_old = False
        self.captured: dict[str, str] = {}
        self.needs: set[str] = set()

    @override
    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if isinstance(node.target, ast.Name):
            self._loop_variables.add(node.target.id)
        return self.generic_visit(node)

    @override
    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._loop_variables:
            return node
        if self._in_old:
            return ast.Name(id=self._capture(node.id), ctx=ast.Load())
        return copy.deepcopy(self._replacements.get(node.id, node))

    def _capture(self, variable: str) -> str:
        if variable not in self.captured:
            name = f"old_{variable}"
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self.captured[variable] = name
        return self.captured[variable]

    @override
    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute):
            return self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "old":
            self._in_old = True
            inner = self.visit(node.args[0])
            self._in_old = False
            return inner if isinstance(inner, ast.AST) else node
        # The function's own name must not be renamed when a field is called `min`.
        node.args = [self.visit(part) for part in node.args]
        node.keywords = [self.visit(part) for part in node.keywords]
        if name == "implies":
            premise, conclusion = node.args
            negated = ast.UnaryOp(op=ast.Not(), operand=premise)
            return ast.BoolOp(op=ast.Or(), values=[negated, conclusion])
        return node

    @override
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value: object = node.value
        if isinstance(value, Decimal | UUID):
            return self._construct(type(value).__name__, str(value))
        if isinstance(value, timedelta):
            self.needs.add("timedelta")
            return ast.parse(_duration(value), mode="eval").body
        if isinstance(value, date):
            kind = "datetime" if isinstance(value, datetime) else "date"
            return self._construct(kind, value.isoformat(), "fromisoformat")
        return node

    def _construct(self, name: str, text: str, method: str | None = None) -> ast.Call:
        self.needs.add(name)
        func: ast.expr = ast.Name(id=name, ctx=ast.Load())
        if method is not None:
            func = ast.Attribute(value=func, attr=method, ctx=ast.Load())
        return ast.Call(func=func, args=[ast.Constant(text)], keywords=[])


def _duration(value: timedelta) -> str:
    parts = {
        "days": value.days,
        "seconds": value.seconds,
        "microseconds": value.microseconds,
    }
    listed = ", ".join(f"{name}={part}" for name, part in parts.items() if part)
    return f"timedelta({listed})"
