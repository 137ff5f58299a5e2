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
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Alias", "Binding", "Imported", "Scope", "ScopedNode", "Walk", "absolute_module"]

ScopeKind: TypeAlias = Literal["module", "class", "function", "comprehension", "type parameters"]
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Imported(NamedTuple):
    """What an import binds a name to, as an absolute dotted name."""

    name: str


class Alias(NamedTuple):
    """The expression that an assignment gives to a name, and where it is evaluated."""

    value: ast.expr
    scope: Scope


Binding: TypeAlias = Imported | Alias | None
"""What one statement binds a name to; None where it can be anything."""


class Scope:
    """A block in which names are bound, and the block around it."""

    __slots__ = ("bindings", "global_names", "kind", "nonlocal_names", "parent", "stars")

    def __init__(self, kind: ScopeKind, parent: Scope | None = None) -> None:
        self.kind: Final = kind
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
        nodes: the nodes of the wanted types, in no particular order.
        annotations: every annotation and declared type alias; strings are not yet parsed.
        globals: the scope of the module itself.
    """

    def __init__(
        self, tree: ast.Module, *, package: tuple[str, ...], wanted: frozenset[type[ast.AST]]
    ) -> None:
        self.globals: Final = Scope("module")
        self.nodes: Final[defaultdict[type[ast.AST], list[ScopedNode]]] = defaultdict(list)
        self.annotations: Final[list[tuple[ast.expr, Scope]]] = []
        self._package: Final = package
        self._scopes: Final[list[Scope]] = [self.globals]
        self._stack: Final[list[ScopedNode]] = [(tree, self.globals)]
        self._run(wanted)
        self._settle_globals_and_nonlocals()

    def _run(self, wanted: frozenset[type[ast.AST]]) -> None:
        stack, handlers = self._stack, self._HANDLERS
        while stack:
            entry = stack.pop()
            node, scope = entry
            kind = type(node)
            if kind in wanted:
                self.nodes[kind].append(entry)
            handler = handlers.get(kind)
            if handler is None:
                self._push_fields(node, scope)
            else:
                handler(self, node, scope)

    def _push_fields(self, node: ast.AST, scope: Scope) -> None:
        stack = self._stack
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                stack.extend([(item, scope) for item in value if isinstance(item, ast.AST)])
            elif isinstance(value, ast.AST):
                stack.append((value, scope))

    def _push(self, nodes: Iterable[ast.AST | None], scope: Scope) -> None:
        self._stack.extend([(node, scope) for node in nodes if node is not None])

    def _open(self, kind: ScopeKind, parent: Scope) -> Scope:
        scope = Scope(kind, parent)
        self._scopes.append(scope)
        return scope

    def _annotate(self, annotation: ast.expr | None, scope: Scope) -> None:
        if annotation is not None:
            self.annotations.append((annotation, scope))
            self._stack.append((annotation, scope))

    def _type_parameters(self, node: ast.AST, scope: Scope) -> Scope:
        # Python 3.11 has no `type_params` yet.
        parameters = getattr(node, "type_params", None)
        if not parameters:
            return scope
        inner = self._open("type parameters", scope)
        for parameter in parameters:
            inner.bind(parameter.name)
        self._push(parameters, inner)
        return inner

    def _function(self, node: FunctionNode, scope: Scope) -> None:
        scope.bind(node.name)
        self._push(node.decorator_list, scope)
        around = self._type_parameters(node, scope)
        self._annotate(node.returns, around)
        self._push(node.body, self._parameters(node.args, outer=scope, around=around))

    def _lambda(self, node: ast.Lambda, scope: Scope) -> None:
        self._push([node.body], self._parameters(node.args, outer=scope, around=scope))

    def _parameters(self, arguments: ast.arguments, *, outer: Scope, around: Scope) -> Scope:
        inner = self._open("function", around)
        self._push([*arguments.defaults, *arguments.kw_defaults], outer)
        stars = [arguments.vararg, arguments.kwarg]
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *(star for star in stars if star is not None),
        ):
            inner.bind(argument.arg)
            self._annotate(argument.annotation, around)
        return inner

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        scope.bind(node.name)
        self._push(node.decorator_list, scope)
        around = self._type_parameters(node, scope)
        self._push([*node.bases, *node.keywords], around)
        self._push(node.body, self._open("class", around))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, scope: Scope
    ) -> None:
        inner = self._open("comprehension", scope)
        first, *others = node.generators
        # The outermost iterable is evaluated before the comprehension's own scope exists.
        self._push([first.iter], scope)
        self._push([first.target, *first.ifs, *others], inner)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._push(results, inner)

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
        self._push([node.value], scope)
        for target in node.targets:
            if isinstance(target, ast.Name):
                scope.bind(target.id, Alias(node.value, scope))
            else:
                self._push([target], scope)

    def _annotated_assign(self, node: ast.AnnAssign, scope: Scope) -> None:
        self._annotate(node.annotation, scope)
        if node.value is not None and _names_type_alias(node.annotation):
            self.annotations.append((node.value, scope))
        self._push([node.value], scope)
        if not isinstance(node.target, ast.Name):
            self._push([node.target], scope)
        elif node.value is not None:
            scope.bind(node.target.id, Alias(node.value, scope))
        elif scope.kind == "function":
            # Elsewhere a bare annotation binds nothing; here it makes the name local.
            scope.bind(node.target.id)

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
