"""Reading of annotations: the expressions in them, those written as strings included."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["AnnotationName", "annotation_names", "means", "unquote"]

_MAX_QUOTES: Final = 5
"""Deepest string annotation within a string annotation that is read."""

_TYPING: Final = ("typing", "typing_extensions")


class AnnotationName(NamedTuple):
    """A name or dotted name in an annotation.

    `written` is the node in the file: the name itself, or the string that it stands in.
    """

    name: ast.Name | ast.Attribute
    written: ast.expr


def unquote(annotation: ast.expr) -> ast.expr:
    """The expression that a string annotation holds; anything else as it is."""
    for _ in range(_MAX_QUOTES):
        if not isinstance(annotation, ast.Constant) or not isinstance(annotation.value, str):
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # Parentheses, as `typing` puts them, allow line breaks and leading blanks.
                annotation = ast.parse(f"({annotation.value})", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            break
    return annotation


def means(module: Module, node: ast.expr, scope: Scope, *names: str) -> bool:
    """Whether a name stands for one of the members `names` of `typing`."""
    return not module.resolve(node, scope).isdisjoint(
        f"{package}.{name}" for package in _TYPING for name in names
    )


def annotation_names(
    module: Module, annotation: ast.expr, scope: Scope
) -> Iterator[AnnotationName]:
    """Every name in an annotation that stands for a type.

    The values of `Literal` and the metadata of `Annotated` are none.
    """
    pending: list[tuple[ast.expr, ast.expr | None]] = [(annotation, None)]
    while pending:
        node, string = pending.pop()
        unquoted = unquote(node)
        if unquoted is not node:
            pending.append((unquoted, string or node))
        elif isinstance(node, ast.Name | ast.Attribute):
            yield AnnotationName(node, string or node)
        else:
            pending += [(part, string) for part in _type_parts(module, node, scope)]


def _type_parts(module: Module, node: ast.expr, scope: Scope) -> list[ast.expr]:
    if isinstance(node, ast.Subscript):
        if means(module, node.value, scope, "Literal"):
            return []
        if isinstance(node.slice, ast.Tuple) and means(module, node.value, scope, "Annotated"):
            return node.slice.elts[:1]
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
