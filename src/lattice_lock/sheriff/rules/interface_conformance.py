"""The rule `interface-conformance`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from typing_extensions import override

from lattice_lock.core.python_types import annotation, imports
from lattice_lock.core.type_refs import STR, DictType, ListType, OptionalType
from lattice_lock.sheriff.annotations import means, unquote
from lattice_lock.sheriff.fixes import Edit, Fix
from lattice_lock.sheriff.module import Span
from lattice_lock.sheriff.rule import MissingFileRule, ModuleRule
from lattice_lock.sheriff.scopes import Alias, Imported
from lattice_lock.sheriff.type_text import write_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lattice_lock.core.schema import Interface, Method
    from lattice_lock.core.type_refs import TypeRef
    from lattice_lock.sheriff.context import SheriffContext, SourceFile
    from lattice_lock.sheriff.module import Module
    from lattice_lock.sheriff.rule import Violation
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["InterfaceConformance"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_NOT_CALLED: Final = frozenset({"builtins.property", "functools.cached_property"})
"""Decorators that turn a method into an attribute."""

_ABSTRACT: Final = frozenset({"abc.abstractmethod"})

_MAX_WRAPPINGS: Final = 20
"""Most quotes, aliases and `Annotated` that are taken off one annotation."""


class InterfaceConformance(ModuleRule, MissingFileRule):
    """Reports an implementation whose signatures are not those of its interface.

    For each interface, the file that the lattice names holds the implementing class (`IShop` is
    implemented by `Shop`), with every method as one plain `def` (no coroutine, property, overload,
    abstract method or assignment), its parameters in the order and
    under the names of the lattice, annotated with exactly the lattice's types. Further parameters
    need a default. `Decimal`, `decimal.Decimal`, an alias and a string annotation are the same
    type; `Optional[T]` and `T | None` too. Entities and enums come from the generated module of
    this lattice, not from an older one. Methods may be inherited from a class of the same file.
    A missing annotation is left to `missing-annotation`.

    ## Why it matters

    Callers, contracts and generated types rely on the signature in the lattice. A `float` where
    the lattice says `decimal` is a bug that no test of the happy path shows.

    ## What to do

    Use the signature in the hint. If the signature itself should change, change the lattice and
    run `lattice-lock compile`. Where nothing but types differs, `--fix` writes those of the
    lattice, with the imports that they need.
    """

    id: ClassVar[str] = "LLS003"
    name: ClassVar[str] = "interface-conformance"
    node_types: ClassVar[frozenset[type[ast.AST]]] = frozenset(
        {ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef}
    )

    @override
    def wanted(self, source: SourceFile, context: SheriffContext) -> frozenset[type[ast.AST]]:
        return self.node_types if any(_interfaces_in(source.path, context)) else frozenset()

    @override
    def check_module(self, module: Module, context: SheriffContext) -> Iterator[Violation]:
        interfaces = list(_interfaces_in(module.source.path, context))
        if interfaces:
            check = _Check(self, module, context)
            for interface in interfaces:
                yield from check.interface(interface)

    @override
    def check_missing(self, file: str, context: SheriffContext) -> Iterator[Violation]:
        for interface in _interfaces_in(file, context):
            yield self.violation_at(
                file,
                Span(1, 1, 1, 1),
                f"this file is missing; class `{interface.class_name}`, which implements"
                f" `{interface.name}`, belongs here.",
                hint="Run `lattice-lock compile`, which writes a scaffold.",
            )


def _interfaces_in(path: str, context: SheriffContext) -> Iterator[Interface]:
    for interface in context.lattice.interfaces.values():
        if interface.file == path:
            yield interface


class _Check:
    """The rule at work on one file."""

    def __init__(self, rule: InterfaceConformance, module: Module, context: SheriffContext) -> None:
        self._rule: Final = rule
        self._module: Final = module
        self._generated_module: Final = context.lattice.generated_module
        self._classes: Final[dict[str, ast.ClassDef]] = {}
        # The last definition of a name is the one that counts.
        for node, scope in sorted(module.nodes(ast.ClassDef), key=_line):
            if isinstance(node, ast.ClassDef) and scope is module.scope:
                self._classes[node.name] = node
        self._scopes: Final = {
            id(node): scope for node, scope in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        }

    def interface(self, interface: Interface) -> Iterator[Violation]:
        written = self._classes.get(interface.class_name)
        if written is None:
            yield self._missing_class(interface)
            return
        methods = self._methods(written)
        for method in interface.methods.values():
            name = f"{interface.class_name}.{method.name}"
            function = methods.get(method.name)
            if function is None:
                yield self._rule.violation(
                    self._module,
                    self._module.name_span(written),
                    f"`{name}` of `{interface.name}` is missing.",
                    hint=self._hint([method]),
                )
            else:
                yield from self._method(name, function, method)

    def _missing_class(self, interface: Interface) -> Violation:
        others = list(self._classes.values())
        span = self._module.name_span(others[0]) if others else Span(1, 1, 1, 1)
        return self._rule.violation(
            self._module,
            span,
            f"class `{interface.class_name}`, which implements `{interface.name}`, is missing.",
            hint=self._hint(interface.methods.values()),
        )

    def _methods(self, written: ast.ClassDef) -> dict[str, _Function]:
        """Methods of a class by name, those of its bases in the same file included.

        Of the definitions of one name the last counts, of overloads the first: a checker of types
        goes by those, and not by the implementation behind them.
        """
        found: dict[str, _Function] = {}
        pending, seen = [written], {id(written)}
        while pending:
            node = pending.pop(0)
            own: dict[str, _Function] = {}
            for function in _functions(node.body):
                before = own.get(function.name)
                if before is None or not self._is_overload(before):
                    own[function.name] = function
            found = own | found
            for base in node.bases:
                parent = self._classes.get(base.id) if isinstance(base, ast.Name) else None
                if parent is not None and id(parent) not in seen:
                    seen.add(id(parent))
                    pending.append(parent)
        return found

    def _is_overload(self, function: _Function) -> bool:
        scope = self._scopes[id(function)]
        return any(means(self._module, each, scope, "overload") for each in function.decorator_list)

    def _method(self, name: str, function: _Function, method: Method) -> Iterator[Violation]:
        scope = self._scopes[id(function)]
        span, hint = self._module.name_span(function), self._hint([method])
        static = any(
            "builtins.staticmethod" in self._module.resolve(each, scope)
            for each in function.decorator_list
        )
        other = list(self._wrong_kind(name, function, scope))
        if not _same_parameters(function.args, list(method.params), static=static):
            declared = ", ".join(["self", *method.params])
            message = (
                f"`{name}` takes ({_written_parameters(function.args)});"
                f" the lattice says ({declared})."
            )
            other.append(message)
        for message in other:
            yield self._rule.violation(self._module, span, message, hint=hint)
        line = 0 if other else function.lineno
        arguments = function.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            param = method.params.get(argument.arg)
            if param is not None and argument.annotation is not None:
                what = f"parameter `{param.name}` of `{name}`"
                yield from self._type(
                    what, argument.annotation, scope, param.type, hint=hint, line=line
                )
        if function.returns is not None:
            what = f"the return value of `{name}`"
            returns = method.returns.type
            yield from self._type(what, function.returns, scope, returns, hint=hint, line=line)

    def _wrong_kind(self, name: str, function: _Function, scope: Scope) -> Iterator[str]:
        """What keeps a method from being one plain function."""
        decorators: set[str] = set()
        for each in function.decorator_list:
            decorators |= self._module.resolve(each, scope)
        if any(isinstance(each, Alias | Imported) for each in scope.bindings[function.name]):
            yield f"`{name}` is also assigned; the lattice says a plain `def`."
        if self._is_overload(function):
            yield f"`{name}` is overloaded; the lattice says one signature."
        if decorators & _NOT_CALLED:
            yield f"`{name}` is a property; the lattice says it is called."
        elif decorators & _ABSTRACT:
            yield f"`{name}` is abstract, so that the class cannot be used."
        elif isinstance(function, ast.AsyncFunctionDef):
            yield f"`{name}` is a coroutine; the lattice says a plain `def`."

    def _type(
        self,
        what: str,
        written: ast.expr,
        scope: Scope,
        type_ref: TypeRef | None,
        *,
        hint: str,
        line: int,
    ) -> Iterator[Violation]:
        """A violation where a type differs, mended if it is all that differs in line `line`."""
        if self._matches(written, scope, type_ref):
            return
        span = self._module.span(written)
        text, expected = self._module.text(span), annotation(type_ref)
        message = f"{what} is `{text}`; the lattice says `{expected}`."
        if text.strip("\"'") == expected:
            sources = ", ".join(f"`{module}.{name}`" for module, name in self._imports([type_ref]))
            message = f"{what} is `{text}`, but not with the meaning of {sources or 'a built-in'}."
        fix = self._fix(span, type_ref, scope, line) if line else None
        yield self._rule.violation(self._module, span, message, hint=hint, fix=fix)

    def _fix(self, span: Span, type_ref: TypeRef | None, scope: Scope, line: int) -> Fix | None:
        correct = write_type(
            type_ref, self._module, scope, line=line, generated_module=self._generated_module
        )
        if correct is None:
            return None
        edit = Edit(*span, correct.annotation)
        title = f"Write `{correct.annotation}`"
        return Fix(title=title, edits=(*correct.imports, edit), certain=True)

    def _matches(self, written: ast.expr, scope: Scope, type_ref: TypeRef | None) -> bool:
        """Whether an annotation means exactly a type of the lattice."""
        written, scope = self._plain(written, scope)
        match type_ref:
            case None:
                return _is_none(written)
            case ListType(item):
                arguments = _arguments(written)
                return (
                    self._is_generic(written, scope, "list", "List")
                    and len(arguments) == 1
                    and self._matches(arguments[0], scope, item)
                )
            case DictType(value):
                arguments = _arguments(written)
                return (
                    self._is_generic(written, scope, "dict", "Dict")
                    and len(arguments) == len(("key", "value"))
                    and self._matches(arguments[0], scope, STR)
                    and self._matches(arguments[1], scope, value)
                )
            case OptionalType(inner):
                members = list(self._union_members(written, scope))
                others = [each for each in members if not _is_none(each[0])]
                return 0 < len(others) < len(members) and all(
                    self._matches(each, where, inner) for each, where in others
                )
            case _:
                return not self._module.resolve(written, scope).isdisjoint(self._accepted(type_ref))

    def _plain(self, written: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """The annotation without quotes, aliases and `Annotated` around it."""
        for _ in range(_MAX_WRAPPINGS):
            before = written
            written, scope = self._module.assigned(unquote(written), scope)
            if self._is_generic(written, scope, "Annotated"):
                written = _arguments(written)[0]
            if written is before:
                break
        return written, scope

    def _is_generic(self, written: ast.expr, scope: Scope, *names: str) -> bool:
        """Whether an annotation subscripts one of these members of `typing` or built-ins."""
        if not _arguments(written) or not isinstance(written, ast.Subscript):
            return False
        meanings = self._module.resolve(written.value, scope)
        builtin = {f"builtins.{name}" for name in names}
        return bool(meanings & builtin) or means(self._module, written.value, scope, *names)

    def _union_members(self, written: ast.expr, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
        pending = [(written, scope)]
        while pending:
            node, where = self._plain(*pending.pop())
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                pending += [(node.left, where), (node.right, where)]
            elif self._is_generic(node, where, "Optional"):
                pending += [(each, where) for each in _arguments(node)]
                yield ast.Constant(value=None), where
            elif self._is_generic(node, where, "Union"):
                pending += [(each, where) for each in _arguments(node)]
            else:
                yield node, where

    def _accepted(self, type_ref: TypeRef) -> set[str]:
        accepted = {f"{module}.{name}" for module, name in self._imports([type_ref])}
        return accepted or {f"builtins.{annotation(type_ref)}"}

    def _imports(self, types: Iterable[TypeRef | None]) -> list[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for type_ref in types:
            found |= imports(type_ref, generated_module=self._generated_module)
        return sorted(found)

    def _hint(self, methods: Iterable[Method]) -> str:
        """The expected signatures, and the imports that they need."""
        types: list[TypeRef | None] = []
        signatures: list[str] = []
        for method in methods:
            types += [*(param.type for param in method.params.values()), method.returns.type]
            signatures.append(f"`{_signature(method)}`")
        needed = "".join(
            f", with `from {module} import {name}`" for module, name in self._imports(types)
        )
        return f"Write {', '.join(signatures)}{needed}."


def _line(entry: tuple[ast.AST, Scope]) -> int:
    return getattr(entry[0], "lineno", 0)


def _signature(method: Method) -> str:
    parameters = [f"{param.name}: {annotation(param.type)}" for param in method.params.values()]
    returns = annotation(method.returns.type)
    return f"def {method.name}({', '.join(['self', *parameters])}) -> {returns}:"


def _functions(body: list[ast.stmt]) -> Iterator[_Function]:
    """The functions that a class body defines, in order, those under `if` and `try` included."""
    pending = list(reversed(body))
    while pending:
        statement = pending.pop()
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement
        elif not isinstance(statement, ast.ClassDef):
            for block in ("finalbody", "orelse", "body"):
                pending.extend(reversed(getattr(statement, block, [])))


def _same_parameters(arguments: ast.arguments, declared: list[str], *, static: bool) -> bool:
    """Whether the declared parameters come first, by name and position, and no other is needed."""
    positional = [each.arg for each in [*arguments.posonlyargs, *arguments.args]]
    required = positional[: len(positional) - len(arguments.defaults)]
    if not static:
        if not positional:
            return False
        positional, required = positional[1:], required[1:]
    positional_only = len(arguments.posonlyargs) - (0 if static else 1)
    return (
        positional[: len(declared)] == declared
        and len(required) <= len(declared)
        and positional_only <= 0
        and None not in arguments.kw_defaults
    )


def _written_parameters(arguments: ast.arguments) -> str:
    names = [each.arg for each in arguments.posonlyargs]
    if names:
        names.append("/")
    names += [each.arg for each in arguments.args]
    if arguments.vararg is not None:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [each.arg for each in arguments.kwonlyargs]
    if arguments.kwarg is not None:
        names.append(f"**{arguments.kwarg.arg}")
    return ", ".join(names)


def _arguments(subscript: ast.expr) -> list[ast.expr]:
    """What stands between the brackets of a generic, empty for anything else."""
    if not isinstance(subscript, ast.Subscript):
        return []
    return subscript.slice.elts if isinstance(subscript.slice, ast.Tuple) else [subscript.slice]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
