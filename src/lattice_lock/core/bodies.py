"""Method bodies of implementation files: what state each is in, and its digest."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from enum import StrEnum

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
    parts = [
        ast.dump(function.args),
        *(ast.dump(decorator) for decorator in function.decorator_list),
        *(ast.dump(statement) for statement in statements),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


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
