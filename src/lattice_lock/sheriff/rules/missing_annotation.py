"""The rule `missing-annotation`."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from typing_extensions import override

from lattice_lock.sheriff.annotations import means
from lattice_lock.sheriff.rule import ModuleRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.context import SheriffContext
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["MissingAnnotation"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class MissingAnnotation(ModuleRule):
    """Reports functions that do not say what they take or return.

    Every parameter and the return value of every function needs an annotation: methods and nested
    functions too, `__init__` (`-> None`) and other special methods too, `*args` and `**kwargs`
    too. Exempt are `self` and `cls`, lambdas, the implementation behind `@overload`, and test
    files (`tests/`, `test_*.py`, `*_test.py`, `conftest.py`). These are the choices of ruff's ANN
    rules in their default settings, tests apart.

    ## Why it matters

    A type checker and the other rules look only as far as types are written down.

    ## What to do

    Write the type; `-> None` for a function that returns nothing.
    """

    id: ClassVar[str] = "LLS002"
    name: ClassVar[str] = "missing-annotation"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset(
        {ast.FunctionDef, ast.AsyncFunctionDef}
    )

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        if _is_test(module.source.path):
            return
        functions: list[tuple[_Function, Scope]] = [
            (node, scope)
            for node, scope in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        overloads = [
            (node, scope) for node, scope in functions if _is(module, node, scope, "overload")
        ]
        declared = {(id(scope), node.name) for node, scope in overloads}
        declarations = {id(node) for node, _ in overloads}
        for node, scope in functions:
            if id(node) in declarations or (id(scope), node.name) not in declared:
                yield from self._check_function(module, node, scope)

    def _check_function(self, module: Module, node: _Function, scope: Scope) -> Iterator[Violation]:
        for argument, name in _parameters(module, node, scope):
            if argument.annotation is None:
                yield self.violation(
                    module,
                    module.span(argument),
                    f"parameter `{name}` of `{node.name}` has no type.",
                    hint=f"Write `{name}: TYPE`.",
                )
        if node.returns is None:
            yield self.violation(
                module,
                module.name_span(node),
                f"`{node.name}` does not say what it returns.",
                hint="Write `-> TYPE` before the colon, `-> None` if it returns nothing.",
            )


def _parameters(module: Module, node: _Function, scope: Scope) -> Iterator[tuple[ast.arg, str]]:
    """The parameters that need a type, each with its name as written."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if scope.kind == "class" and not _is_static(module, node, scope):
        positional = positional[1:]
    for argument in [*positional, *arguments.kwonlyargs]:
        yield argument, argument.arg
    if arguments.vararg is not None:
        yield arguments.vararg, f"*{arguments.vararg.arg}"
    if arguments.kwarg is not None:
        yield arguments.kwarg, f"**{arguments.kwarg.arg}"


def _is(module: Module, node: _Function, scope: Scope, decorator: str) -> bool:
    return any(means(module, each, scope, decorator) for each in node.decorator_list)


def _is_static(module: Module, node: _Function, scope: Scope) -> bool:
    return any(
        "builtins.staticmethod" in module.resolve(each, scope) for each in node.decorator_list
    )


def _is_test(path: str) -> bool:
    pure = PurePosixPath(path)
    return (
        not {"tests", "test"}.isdisjoint(pure.parts[:-1])
        or pure.name == "conftest.py"
        or pure.match("test_*.py")
        or pure.match("*_test.py")
    )
