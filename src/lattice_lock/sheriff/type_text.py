"""Writes types of the lattice into files of a project, with the imports that they need."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_lock.core.python_types import annotation, imports
from lattice_lock.sheriff.fixes import Edit

if TYPE_CHECKING:
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["TypeText", "write_type"]

_NAME: Final = re.compile(r"\w+")


class TypeText(NamedTuple):
    """The annotation for a type, and the imports to put in before it can be read."""

    annotation: str
    imports: tuple[Edit, ...]


def write_type(
    type_ref: TypeRef | None, module: Module, scope: Scope, *, line: int, generated_module: str
) -> TypeText | None:
    """The annotation for a type of the lattice, in the file's own names where it has them.

    Args:
        type_ref: the type; None for a method that returns nothing.
        module: the file.
        scope: where the annotation is read.
        line: line of the definition that it belongs to, before which its names have to exist.
        generated_module: module of the entities and enums.

    Returns:
        None where a name that is needed stands for something else in the file.
    """
    text = annotation(type_ref)
    needed = sorted(imports(type_ref, generated_module=generated_module))
    foreign = {name for _, name in needed}
    builtin = set(_NAME.findall(text)) - foreign - {"None"}
    if any(_meanings(module, scope, name) != {f"builtins.{name}"} for name in builtin):
        return None
    missing = [
        (source, name)
        for source, name in needed
        if f"{source}.{name}" not in _meanings(module, scope, name)
    ]
    if any(scope.lookup(name) is not None for _, name in missing):
        return None
    if not needed:
        return TypeText(text, ())
    try:
        before = _Before(ast.parse(module.source.text), line)
    except (SyntaxError, RecursionError, MemoryError):
        return None
    edits = tuple(
        Edit(before.end, 1, before.end, 1, f"from {source} import {name}\n")
        for source, name in missing
    )
    bound = before.names | {name for _, name in missing}
    if not (before.is_lazy or "*" in bound or foreign <= bound):
        # The name is there for type checkers alone, or bound later.
        text = f'"{text}"'
    return TypeText(text, edits)


def _meanings(module: Module, scope: Scope, name: str) -> frozenset[str]:
    return module.resolve(ast.Name(name), scope)


class _Before:
    """What a file imports before a line of it, whatever happens.

    Attributes:
        names: the names that are bound then; `*` where some are unknown.
        end: the line before which one more import may stand.
        is_lazy: whether annotations are not evaluated where they stand.
    """

    def __init__(self, tree: ast.Module, line: int) -> None:
        self.names: set[str] = set()
        self.end = _first_line(tree.body[0])
        self.is_lazy = False
        for statement, following in zip(tree.body, tree.body[1:], strict=False):
            end = statement.end_lineno or statement.lineno
            if end >= line:
                break
            match statement:
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    self.names |= {each.asname or each.name.partition(".")[0] for each in names}
                    self.is_lazy |= (
                        isinstance(statement, ast.ImportFrom)
                        and statement.module == "__future__"
                        and any(each.name == "annotations" for each in names)
                    )
                case ast.Expr(value=ast.Constant(value=str())) if statement is tree.body[0]:
                    pass
                case _:
                    continue
            if _first_line(following) > end:
                self.end = end + 1


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])
