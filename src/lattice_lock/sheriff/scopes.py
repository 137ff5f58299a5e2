"""The blocks of a Python file, and the one walk over its tree that finds them.

The walk visits every node once and keeps its own stack, because CPython builds trees that are
deeper than its recursion limit. It keeps the nodes that rules ask for, each with the scope in which
it is evaluated.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "Alias",
    "Binding",
    "Declared",
    "Imported",
    "Item",
    "Scope",
    "ScopedNode",
    "Walk",
    "absolute_module",
]

ScopeKind: TypeAlias = Literal["module", "class", "function", "comprehension", "type parameters"]
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Imported(NamedTuple):
    """What an import binds a name to, as an absolute dotted name."""

    name: str


class Alias(NamedTuple):
    """The expression that an assignment gives to a name, and where both are evaluated."""

    value: ast.expr
    scope: Scope
    annotation: ast.expr | None = None


class Declared(NamedTuple):
    """The type that a parameter, or a name without a value, is declared to have."""

    annotation: ast.expr
    scope: Scope


class Item(NamedTuple):
    """The expression over which a loop runs that binds a name to each of its elements."""

    container: ast.expr
    scope: Scope


Binding: TypeAlias = Imported | Alias | Item | Declared | None
"""What one statement binds a name to; None where it can be anything."""


class Scope:
    """A block in which names are bound, and the block around it.

    `is_coroutine` is True for the body of an `async def` itself.
    """

    __slots__ = (
        "bindings",
        "global_names",
        "is_coroutine",
        "kind",
        "nonlocal_names",
        "parent",
        "stars",
    )

    def __init__(
        self, kind: ScopeKind, parent: Scope | None = None, *, is_coroutine: bool = False
    ) -> None:
        self.kind: Final = kind
        self.is_coroutine: Final = is_coroutine
        self.parent: Final = parent
        self.bindings: Final[dict[str, list[Binding]]] = {}
        self.stars: Final[list[str]] = []
        self.global_names: Final[set[str]] = set()
        self.nonlocal_names: Final[set[str]] = set()

    def bind(self, name: str, binding: Binding = None) -> None:
        """Note that a statement of this block binds `name`."""
        self.bindings.setdefault(name, []).append(binding)

    def lookup(self, name: str) -> list[Binding] | None:
        """Every binding of `name` that is visible here; None where nothing binds it."""
        owner = self.owner(name)
        return None if owner is None else owner.bindings[name]

    def owner(self, name: str) -> Scope | None:
        """The block whose binding of `name` is visible here; None where nothing binds it."""
        scope: Scope | None = self
        see_class = True
        while scope is not None:
            if name in scope.bindings and (see_class or scope.kind != "class"):
                return scope
            # Functions do not see the names of the class around them; type parameters do.
            see_class = scope.kind == "type parameters"
            scope = scope.parent
        return None


ScopedNode: TypeAlias = tuple[ast.AST, Scope]
"""A node and the scope in which it is evaluated; for a definition, in which it is bound."""


class Walk:
    """What one walk over a file's tree found.

    Attributes:
        nodes: the nodes of the wanted types, in no particular order; where `expressions` is False,
            those within expressions are left out.
        annotations: every annotation and declared type alias; strings are not yet parsed.
        globals: the scope of the module itself.
    """

    def __init__(
        self,
        tree: ast.Module,
        *,
        package: tuple[str, ...],
        wanted: frozenset[type[ast.AST]],
        expressions: bool = True,
    ) -> None:
        self.globals: Final = Scope("module")
        self.nodes: Final[defaultdict[type[ast.AST], list[ScopedNode]]] = defaultdict(list)
        self.annotations: Final[list[tuple[ast.expr, Scope]]] = []
        self._package: Final = package
        self._expressions: Final = expressions
        self._fields: Final = _FIELDS if expressions else _STATEMENT_FIELDS
        self._scopes: Final[list[Scope]] = [self.globals]
        self._stack: list[ast.AST] = []
        self._scope = self.globals
        self._pending: Final[list[tuple[list[ast.AST], Scope]]] = [([tree], self.globals)]
        while self._pending:
            self._stack, self._scope = self._pending.pop()
            self._run(wanted)
        self._settle_globals_and_nonlocals()

    def release(self) -> None:
        """Let go of what the names stand for, so that the tree is freed without a search for it."""
        for scope in self._scopes:
            scope.bindings.clear()

    def _run(self, wanted: frozenset[type[ast.AST]]) -> None:
        """Visit what is on the stack, all of which is evaluated in one scope."""
        stack, scope, nodes = self._stack, self._scope, self.nodes
        handlers, fields = self._HANDLERS, self._fields
        # Most expressions are names, attributes and constants: those need not be on the stack.
        skipped: type[ast.AST] | None = None if ast.Attribute in wanted else ast.Attribute
        while stack:
            node = stack.pop()
            kind = node.__class__
            if kind in wanted:
                nodes[kind].append((node, scope))
            handler = handlers.get(kind)
            if handler is not None:
                handler(self, node, scope)
                continue
            for name in fields[kind]:
                value = getattr(node, name, None)
                for each in value if value.__class__ is list else (value,):
                    child = each
                    while child.__class__ is skipped:
                        child = child.value  # type: ignore[attr-defined]  # an `ast.Attribute`
                    if child.__class__ is ast.Name:
                        if child.ctx.__class__ is not ast.Load:
                            scope.bind(child.id)
                    elif child.__class__ is not ast.Constant and isinstance(child, ast.AST):
                        stack.append(child)

    def _push_fields(self, node: ast.AST, scope: Scope) -> None:
        for name in self._fields[type(node)]:
            value = getattr(node, name, None)
            children = value if isinstance(value, list) else [value]
            self._push([child for child in children if isinstance(child, ast.AST)], scope)

    def _push(self, nodes: Iterable[ast.AST | None], scope: Scope) -> None:
        found = [node for node in nodes if node is not None]
        if scope is self._scope:
            self._stack += found
        elif found:
            self._pending.append((found, scope))

    def _evaluate(self, expressions: Iterable[ast.AST | None], scope: Scope) -> None:
        if self._expressions:
            self._push(expressions, scope)

    def _open(self, kind: ScopeKind, parent: Scope, *, is_coroutine: bool = False) -> Scope:
        scope = Scope(kind, parent, is_coroutine=is_coroutine)
        self._scopes.append(scope)
        return scope

    def _annotate(self, annotation: ast.expr | None, scope: Scope) -> None:
        if annotation is not None:
            self.annotations.append((annotation, scope))
            self._evaluate([annotation], scope)

    def _type_parameters(self, node: ast.AST, scope: Scope) -> Scope:
        # Python 3.11 has no `type_params` yet.
        parameters = getattr(node, "type_params", None)
        if not parameters:
            return scope
        inner = self._open("type parameters", scope)
        for parameter in parameters:
            inner.bind(parameter.name)
        self._evaluate(parameters, inner)
        return inner

    def _function(self, node: FunctionNode, scope: Scope) -> None:
        scope.bind(node.name)
        self._evaluate(node.decorator_list, scope)
        around = self._type_parameters(node, scope)
        self._annotate(node.returns, around)
        inner = self._open("function", around, is_coroutine=isinstance(node, ast.AsyncFunctionDef))
        self._parameters(node.args, outer=scope, around=around, inner=inner)
        self._push(node.body, inner)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> None:
        inner = self._open("function", scope)
        self._parameters(node.args, outer=scope, around=scope, inner=inner)
        self._push([node.body], inner)

    def _parameters(
        self, arguments: ast.arguments, *, outer: Scope, around: Scope, inner: Scope
    ) -> None:
        self._evaluate([*arguments.defaults, *arguments.kw_defaults], outer)
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            annotation = argument.annotation
            inner.bind(argument.arg, None if annotation is None else Declared(annotation, around))
            self._annotate(argument.annotation, around)
        for star in (arguments.vararg, arguments.kwarg):
            if star is not None:
                inner.bind(star.arg)
                self._annotate(star.annotation, around)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        scope.bind(node.name)
        self._evaluate(node.decorator_list, scope)
        around = self._type_parameters(node, scope)
        self._evaluate([*node.bases, *node.keywords], around)
        self._push(node.body, self._open("class", around))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, scope: Scope
    ) -> None:
        inner = self._open("comprehension", scope)
        first, *others = node.generators
        # The outermost iterable is evaluated before the comprehension's own scope exists.
        self._push([first.iter], scope)
        self._target(first.target, first.iter, scope, inner)
        self._push(first.ifs, inner)
        for generator in others:
            self._push([generator.iter, *generator.ifs], inner)
            self._target(generator.target, generator.iter, inner, inner)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._push(results, inner)

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        self._evaluate([node.iter], scope)
        self._push([*node.body, *node.orelse], scope)
        self._target(node.target, node.iter, scope, scope)

    def _target(self, target: ast.expr, container: ast.expr, outer: Scope, inner: Scope) -> None:
        """Bind in `inner` what a loop over `container`, evaluated in `outer`, binds."""
        if isinstance(target, ast.Name):
            inner.bind(target.id, Item(container, outer))
        else:
            self._push([target], inner)

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            if alias.asname:
                scope.bind(alias.asname, Imported(alias.name))
            else:
                top = alias.name.partition(".")[0]
                scope.bind(top, Imported(top))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = absolute_module(node, self._package)
        for alias in node.names:
            if alias.name == "*":
                if module:
                    self.globals.stars.append(module)
            elif module is None:
                scope.bind(alias.asname or alias.name)
            else:
                name = f"{module}.{alias.name}" if module else alias.name
                scope.bind(alias.asname or alias.name, Imported(name))

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        self._evaluate([node.value], scope)
        for target in node.targets:
            if isinstance(target, ast.Name):
                scope.bind(target.id, Alias(node.value, scope))
            else:
                self._push([target], scope)

    def _annotated_assign(self, node: ast.AnnAssign, scope: Scope) -> None:
        self._annotate(node.annotation, scope)
        if node.value is not None and _names_type_alias(node.annotation):
            self.annotations.append((node.value, scope))
        self._evaluate([node.value], scope)
        if not isinstance(node.target, ast.Name):
            self._push([node.target], scope)
        elif node.value is not None:
            scope.bind(node.target.id, Alias(node.value, scope, node.annotation))
        elif scope.kind == "function":
            # Elsewhere a bare annotation binds nothing; here it makes the name local.
            scope.bind(node.target.id, Declared(node.annotation, scope))

    def _type_alias(self, node: ast.AST, scope: Scope) -> None:
        # Python 3.11 has no `type X = ...` statement yet, nor a class for it.
        name, value = getattr(node, "name", None), getattr(node, "value", None)
        around = self._type_parameters(node, scope)
        if isinstance(name, ast.Name) and isinstance(value, ast.expr):
            self._annotate(value, around)
            scope.bind(name.id, Alias(value, around))

    def _named_expression(self, node: ast.NamedExpr, scope: Scope) -> None:
        self._push([node.value], scope)
        owner = scope
        while owner.kind == "comprehension" and owner.parent is not None:
            owner = owner.parent
        owner.bind(node.target.id, Alias(node.value, scope))

    def _name(self, node: ast.Name, scope: Scope) -> None:
        if not isinstance(node.ctx, ast.Load):
            scope.bind(node.id)

    def _global(self, node: ast.Global, scope: Scope) -> None:
        scope.global_names.update(node.names)

    def _nonlocal(self, node: ast.Nonlocal, scope: Scope) -> None:
        scope.nonlocal_names.update(node.names)

    def _handler_name(
        self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar, scope: Scope
    ) -> None:
        if node.name is not None:
            scope.bind(node.name)
        self._push_fields(node, scope)

    def _mapping_rest(self, node: ast.MatchMapping, scope: Scope) -> None:
        if node.rest is not None:
            scope.bind(node.rest)
        self._push_fields(node, scope)

    def _leaf(self, _node: ast.AST, _scope: Scope) -> None:
        """Nothing below this node matters."""

    def _settle_globals_and_nonlocals(self) -> None:
        for scope in self._scopes:
            for name in scope.global_names & scope.bindings.keys():
                if scope is not self.globals:
                    self.globals.bindings.setdefault(name, []).extend(scope.bindings.pop(name))
            for name in scope.nonlocal_names & scope.bindings.keys():
                bindings = scope.bindings.pop(name)
                owner = scope.parent.lookup(name) if scope.parent is not None else None
                if owner is not None:
                    owner.extend(bindings)

    # Each handler takes the node type that it is listed under, which a dict type cannot say.
    _HANDLERS: ClassVar[Mapping[type[ast.AST], Callable[..., None]]] = MappingProxyType(
        {
            ast.FunctionDef: _function,
            ast.AsyncFunctionDef: _function,
            ast.Lambda: _lambda,
            ast.ClassDef: _class,
            ast.ListComp: _comprehension,
            ast.SetComp: _comprehension,
            ast.DictComp: _comprehension,
            ast.GeneratorExp: _comprehension,
            ast.For: _for,
            ast.AsyncFor: _for,
            ast.Import: _import,
            ast.ImportFrom: _import_from,
            ast.Assign: _assign,
            ast.AnnAssign: _annotated_assign,
            ast.NamedExpr: _named_expression,
            ast.Name: _name,
            ast.Global: _global,
            ast.Nonlocal: _nonlocal,
            ast.ExceptHandler: _handler_name,
            ast.MatchAs: _handler_name,
            ast.MatchStar: _handler_name,
            ast.MatchMapping: _mapping_rest,
            ast.Constant: _leaf,
            ast.Load: _leaf,
            **({ast.TypeAlias: _type_alias} if hasattr(ast, "TypeAlias") else {}),
        }
    )


_NO_NODES: Final = frozenset(
    {"arg", "attr", "conversion", "ctx", "id", "is_async", "kind", "level", "lineno", "module"}
    | {"name", "names", "op", "ops", "rest", "simple", "str", "tag", "type_comment"}
)
"""Fields that hold no node below which anything matters."""


def _child_fields() -> Iterator[tuple[type[ast.AST], tuple[str, ...]]]:
    for kind in vars(ast).values():
        if isinstance(kind, type) and issubclass(kind, ast.AST):
            yield kind, tuple(name for name in kind._fields if name not in _NO_NODES)


_FIELDS: Final[Mapping[type[ast.AST], tuple[str, ...]]] = MappingProxyType(dict(_child_fields()))
"""What to follow of each node."""

_STATEMENT_FIELDS: Final[Mapping[type[ast.AST], tuple[str, ...]]] = MappingProxyType(
    {
        **_FIELDS,
        ast.Assert: (),
        ast.AsyncWith: ("items", "body"),
        ast.AugAssign: ("target",),
        ast.ExceptHandler: ("body",),
        ast.Expr: (),
        ast.If: ("body", "orelse"),
        ast.Match: ("cases",),
        ast.match_case: ("pattern", "body"),
        ast.Raise: (),
        ast.Return: (),
        ast.While: ("body", "orelse"),
        ast.With: ("items", "body"),
        ast.withitem: ("optional_vars",),
    }
)
"""What to follow of each node where only statements count."""


def _names_type_alias(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Name(id="TypeAlias") | ast.Attribute(attr="TypeAlias"):
            return True
        case _:
            return False


def absolute_module(node: ast.ImportFrom, package: tuple[str, ...]) -> str | None:
    """Module that `from ... import` reads in a file of `package`.

    None for a relative import that leads out of the top package, which Python refuses too.
    """
    if not node.level:
        return node.module or ""
    kept = len(package) - (node.level - 1)
    if kept <= 0:
        return None
    parts = package[:kept]
    return ".".join((*parts, node.module) if node.module else parts)
