"""The rule `missing-annotation`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from typing_extensions import override

from lattice_lock.sheriff.annotations import means
from lattice_lock.sheriff.fixes import Edit, Fix
from lattice_lock.sheriff.module import may_mention
from lattice_lock.sheriff.rule import OutlineRule
from lattice_lock.sheriff.type_text import write_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lattice_lock.core.schema import Method
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module, Span
    from lattice_lock.sheriff.outline import Outline, Signature
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["MissingAnnotation"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_ALWAYS: Final = {
    "__bool__": "bool",
    "__bytes__": "bytes",
    "__complex__": "complex",
    "__float__": "float",
    "__format__": "str",
    "__hash__": "int",
    "__index__": "int",
    "__init__": "None",
    "__int__": "int",
    "__len__": "int",
    "__repr__": "str",
    "__str__": "str",
}
"""What Python itself makes of, or demands from, special methods."""

_SIGNATURE_END: Final = re.compile(r"(?:[\s,/()\\]|#[^\n]*\n)*?(?P<end>\))[\s\\]*:")
"""From the last parameter, or the name where there is none, to the colon."""


_UNTYPED: Final = re.compile(r"\n[ \t]*+(?:async )?def \w++\([^()\n]*+\):")


class MissingAnnotation(OutlineRule):
    """Reports functions that do not say what they take or return.

    Every parameter and the return value of every function needs an annotation: methods and nested
    functions too, `__init__` (`-> None`) and other special methods too, `*args` and `**kwargs`
    too. Exempt are `self` and `cls`, lambdas, the implementation behind `@overload`, and test
    files (`tests/`, `test_*.py`, `*_test.py`, `conftest.py`). These are the choices of ruff's ANN
    rules in their default settings, tests apart.

    ## Why it matters

    A type checker and the other rules look only as far as types are written down.

    ## What to do

    Write the type; `-> None` for a function that returns nothing. `--fix` writes that where a
    function comes to its end and nowhere returns a value, what Python demands of special methods
    such as `__str__`, and in implementations of interfaces what the lattice says.
    """

    id: ClassVar[str] = "LLS002"
    name: ClassVar[str] = "missing-annotation"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset(
        {ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef}
    )

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        if _is_test(source.path):
            return frozenset()
        implements = any(each.file == source.path for each in context.lattice.interfaces.values())
        return self.node_types if implements else self.node_types - {ast.ClassDef}

    @override
    def is_clean(self, outline: Outline, context: SheriffContext) -> bool:
        # Mostly right, andspares most files that need their tree to be parsed twice.
        if _UNTYPED.search(outline.source.text):
            return False
        # The latter can give a built-in without spelling it.
        words = ("staticmethod", "builtins", "globals", "locals")
        has_static = may_mention(outline.source.text, *words)
        return all(
            signature is not None and _is_typed(signature, has_static=has_static)
            for signature in outline.signatures()
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
        methods = _implementations(module, context)
        generated_module = context.lattice.generated_module
        for node, scope in functions:
            if id(node) in declarations or (id(scope), node.name) not in declared:
                missing = [
                    (argument, name)
                    for argument, name in _parameters(module, node, scope)
                    if argument.annotation is None
                ]
                if missing or node.returns is None:
                    fixes = _Fixes(module, node, scope, methods.get(id(node)), generated_module)
                    yield from self._untyped(module, node, missing, fixes)

    def _untyped(
        self,
        module: Module,
        node: _Function,
        missing: Iterable[tuple[ast.arg, str]],
        fixes: _Fixes,
    ) -> Iterator[Violation]:
        for argument, name in missing:
            span = module.span(argument)
            yield self.violation(
                module,
                span,
                f"parameter `{name}` of `{node.name}` has no type.",
                hint=f"Write `{name}: TYPE`.",
                fix=fixes.parameter(name, span),
            )
        if node.returns is None:
            yield self.violation(
                module,
                module.name_span(node),
                f"`{node.name}` does not say what it returns.",
                hint="Write `-> TYPE` before the colon, `-> None` if it returns nothing.",
                fix=fixes.returned(),
            )


class _Fixes:
    """What is certain about the types of one function."""

    def __init__(
        self,
        module: Module,
        node: _Function,
        scope: Scope,
        method: Method | None,
        generated_module: str,
    ) -> None:
        self._module = module
        self._node = node
        self._scope = scope
        self._method = method
        self._generated_module = generated_module

    def parameter(self, name: str, span: Span) -> Fix | None:
        """The type that the lattice gives a parameter."""
        param = self._method.params.get(name) if self._method else None
        if param is None:
            return None
        spaced = self._module.excerpt(span.end_line).startswith("=", span.end_column - 1)
        end = span.end_column + spaced
        return self._typed(
            param.type,
            f"Write `{name}: {{}}`",
            (span.end_line, span.end_column, span.end_line, end, ": {} = " if spaced else ": {}"),
        )

    def returned(self) -> Fix | None:
        """What the function certainly returns."""
        if self._method is not None:
            place = self._place_of_return()
            if place is None:
                return None
            return self._typed(self._method.returns.type, "Write `-> {}`", place)
        name = _always(self._module, self._node, self._scope)
        place = None if name is None else self._place_of_return()
        if name is None or place is None:
            return None
        edit = Edit(*place[:4], place[4].format(name))
        return Fix(title=f"Write `-> {name}`", edits=(edit,), certain=True)

    def _typed(
        self, type_ref: TypeRef | None, title: str, place: tuple[int, int, int, int, str]
    ) -> Fix | None:
        written = write_type(
            type_ref,
            self._module,
            self._scope,
            line=self._node.lineno,
            generated_module=self._generated_module,
        )
        if written is None:
            return None
        edit = Edit(*place[:4], place[4].format(written.annotation))
        return Fix(
            title=title.format(written.annotation), edits=(*written.imports, edit), certain=True
        )

    def _place_of_return(self) -> tuple[int, int, int, int, str] | None:
        """Where `-> TYPE` belongs, None where that cannot be seen from the text."""
        arguments = self._node.args
        parts: list[ast.arg | ast.expr | None] = [
            *arguments.posonlyargs,
            *arguments.args,
            arguments.vararg,
            *arguments.kwonlyargs,
            arguments.kwarg,
            *arguments.defaults,
            *arguments.kw_defaults,
        ]
        spans = [self._module.span(part) for part in parts if part is not None]
        start = self._module.name_span(self._node)
        line, column = max([(start.end_line, start.end_column), *(each[2:] for each in spans)])
        header = self._module.lines[line - 1 : self._node.body[0].lineno]
        found = _SIGNATURE_END.match("\n".join(header), column - 1)
        if found is None:
            return None
        before = found.string[: found.end("end")]
        line += before.count("\n")
        column = len(before) - before.rfind("\n")
        return line, column, line, column, " -> {}"


def _implementations(module: Module, context: SheriffContext) -> dict[int, Method]:
    """The methods of interfaces that this file implements, by the identity of their functions."""
    found: dict[int, Method] = {}
    for interface in context.lattice.interfaces.values():
        if interface.file == module.source.path:
            for node, scope in module.nodes(ast.ClassDef):
                if scope is not module.scope or not isinstance(node, ast.ClassDef):
                    continue
                for each in node.body if node.name == interface.class_name else ():
                    if isinstance(each, ast.FunctionDef) and each.name in interface.methods:
                        found[id(each)] = interface.methods[each.name]
    return found


def _always(module: Module, node: _Function, scope: Scope) -> str | None:
    """The type that a function returns in any case, None where that is not certain."""
    demanded = _ALWAYS.get(node.name) if scope.kind == "class" else None
    if demanded is not None:
        is_known = demanded == "None" or _is_builtin(module, demanded, scope)
        return demanded if is_known and isinstance(node, ast.FunctionDef) else None
    text = "\n".join(module.lines[node.lineno - 1 : node.end_lineno])
    # A generator returns an iterator whatever it says; one word too many is only caution.
    if "yield" in text or _is_stub(node.body) or not _comes_to_end(node.body):
        return None
    if "return" in text and _returns_value(node.body):
        return None
    return None if _is_abstract(module, node, scope) else "None"


def _is_abstract(module: Module, node: _Function, scope: Scope) -> bool:
    return any(
        name.startswith("abc.abstract")
        for each in node.decorator_list
        for name in module.resolve(each, scope)
    )


def _is_builtin(module: Module, name: str, scope: Scope) -> bool:
    return module.resolve(ast.Name(name), scope) == {f"builtins.{name}"}


def _is_stub(body: Sequence[ast.stmt]) -> bool:
    """Whether a body does nothing, so that it may stand for one that others write."""
    return all(
        isinstance(each, ast.Pass | ast.Raise)
        or (isinstance(each, ast.Return) and (each.value is None or _is_none(each.value)))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in body
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _returns_value(body: Sequence[ast.stmt]) -> bool:
    pending = list(body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, ast.Return):
            if statement.value is not None and not _is_none(statement.value):
                return True
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in _blocks(statement):
                pending += block
    return False


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The statements within a compound statement, block by block."""
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for each in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield each.body


def _comes_to_end(body: Sequence[ast.stmt]) -> bool:
    """Whether control may leave a body at its end or by `return`; where it is unclear, False.

    A function that only ever raises, or runs for ever, may be one that others override.
    """
    match body[-1]:
        case ast.Return():
            return True
        case ast.Raise() | ast.While(test=ast.Constant()):
            return False
        case ast.If(body=inner, orelse=other) if other:
            return _comes_to_end(inner) or _comes_to_end(other)
        case ast.With(body=inner) | ast.AsyncWith(body=inner):
            return _comes_to_end(inner)
        case ast.Try() | ast.Match():
            return any(_comes_to_end(block) for block in _blocks(body[-1]) if block)
        case _:
            return True


def _is_typed(signature: Signature, *, has_static: bool) -> bool:
    """Whether a header is certainly complete.

    Args:
        signature: the header.
        has_static: whether a method may be a static one, whose first parameter needs a type.
    """
    if not signature.is_annotated:
        return False
    parameters = signature.parameters
    if signature.is_method and not has_static and parameters and not parameters[0].stars:
        parameters = parameters[1:]
    return all(each.is_annotated or not each.name for each in parameters)


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
    *folders, name = path.split("/")
    return (
        "tests" in folders
        or "test" in folders
        or name == "conftest.py"
        or (name.startswith("test_") and name.endswith(".py"))
        or name.endswith("_test.py")
    )
