"""Method bodies of implementation files: what state each is in, and its digest."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Body", "BodyState", "body_digest", "find_body", "find_method"]


class BodyState(StrEnum):
    """Whether there is a body."""

    MISSING = "missing"
    """No such class or method, or the file does not parse."""
    UNWRITTEN = "unwritten"
    """The scaffold: nothing but a docstring and `raise NotImplementedError`."""
    WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of one method; `digest` is empty unless it is written."""

    state: BodyState
    digest: str = ""


def find_method(
    source: str, class_name: str, method: str
) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The last definition of a method in a top-level class, as Python would bind it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for item in node.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == method:
                    found = item
    return found


def find_body(source: str | None, class_name: str, method: str) -> Body:
    """State and digest of one method's body."""
    function = None if source is None else find_method(source, class_name, method)
    if function is None:
        return Body(BodyState.MISSING)
    if _is_scaffold(function):
        return Body(BodyState.UNWRITTEN)
    return Body(BodyState.WRITTEN, body_digest(function))


def body_digest(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """SHA-256 over what the method does: its syntax tree without docstring, hexadecimal.

    Formatting and comments do not count, names, decorators and annotations do.
    """
    statements = [statement for statement in function.body if not _is_docstring(statement)]
    parts = [function.args, function.returns, *function.decorator_list, *statements]
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()


def _canonical(nodes: Sequence[ast.AST | None]) -> str:
    """Text that is equal for equal trees, whatever Python version dumps them.

    `ast.dump` and `ast.unparse` both change between versions. Iterative, because a chain of a
    thousand operators is a tree of a thousand levels.
    """
    tokens: list[str] = []
    stack: list[object] = list(reversed(nodes))
    while stack:
        one = stack.pop()
        if isinstance(one, ast.AST):
            given = [(name, value) for name, value in ast.iter_fields(one) if value not in _ABSENT]
            tokens.append(f"{type(one).__name__}/{len(given)}")
            for name, value in reversed(given):
                stack.append(value)
                stack.append(_Name(name))
        elif isinstance(one, list):
            tokens.append(f"list/{len(one)}")
            stack.extend(reversed(one))
        else:
            tokens.append(str(one) if isinstance(one, _Name) else repr(one))
    return "\n".join(tokens)


_ABSENT: tuple[object, ...] = (None, [])


class _Name(str):
    """A field's name, told apart from a string that is a value."""

    __slots__ = ()


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_scaffold(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    rest = [statement for statement in function.body if not _is_docstring(statement)]
    if len(rest) != 1 or not isinstance(rest[0], ast.Raise):
        return False
    raised = rest[0].exc
    if isinstance(raised, ast.Call):
        raised = raised.func
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
