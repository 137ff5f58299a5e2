"""What the names of a Python file stand for, as far as its text alone can tell."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from lattice_lock.sheriff.literals import fold
from lattice_lock.sheriff.scopes import Alias, Imported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.scopes import Scope

__all__ = ["BUILTIN_NAMES", "Names"]

BUILTIN_NAMES: Final = frozenset(dir(builtins))

_MAX_STEPS: Final = 2000
"""Most expressions that are followed, through assignments such as `a = b`, to learn about one."""

_MAX_DEPTH: Final = 12
"""Deepest nesting of calls that are followed, as in `getattr(getattr(a, "b"), "c")`."""

_MAX_VISITS: Final = 3
"""How often one name is looked at, with different attributes, to learn about one expression."""

_NOTHING: Final[frozenset[str]] = frozenset()

_MODULE_TABLES: Final = frozenset({"sys.modules"})
_IMPORT_MODULE: Final = frozenset({"importlib.import_module"})
_IMPORT_TOP: Final = frozenset({"builtins.__import__", "importlib.__import__"})
_GETTERS: Final = frozenset({"sys.modules.get", "sys.modules.pop", "sys.modules.__getitem__"})

_Step: TypeAlias = tuple[ast.expr, "Scope", str]
"""An expression, where it is evaluated, and the attributes that are read from it."""


class Names:
    """Resolves names of one file; `module_scope` is the scope of the file itself."""

    def __init__(self, module_scope: Scope) -> None:
        self._module_scope: Final = module_scope
        self._known: Final[dict[tuple[int, str], frozenset[str]]] = {}
        self._depth = 0

    def resolve(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """Absolute dotted names that an expression may stand for, empty where unknown.

        Built-ins are `builtins.<name>`. A name that several statements bind has several answers.
        Followed are assignments, attributes, `getattr` and `vars` with a literal name, `a or b`,
        conditional expressions, and modules that `import_module`, `__import__` and `sys.modules`
        give.
        """
        if isinstance(expression, ast.Name):
            return self._meanings(expression.id, scope)
        base = expression
        while isinstance(base, ast.Attribute):
            base = base.value
        if isinstance(base, ast.Constant):
            return _NOTHING
        if isinstance(base, ast.Name):
            roots = self._meanings(base.id, scope)
            # Most names are parameters and local variables, of which nothing is known.
            if not roots:
                return _NOTHING
            attributes = _stripped(expression)[1]
            return frozenset([f"{root}{attributes}" for root in roots])
        base, attributes = _stripped(expression)
        return frozenset(self._follow(base, scope, attributes))

    def _meanings(self, name: str, scope: Scope) -> frozenset[str]:
        owner = scope.owner(name)
        if owner is None:
            return self._unbound(name)
        key = (id(owner), name)
        known = self._known.get(key)
        if known is None:
            bindings = owner.bindings[name]
            if len(bindings) == 1 and isinstance(bindings[0], Imported):
                known = frozenset((bindings[0].name,))
            else:
                known = frozenset(self._follow(ast.Name(name), owner, ""))
            self._known[key] = known
        return known

    def _follow(self, expression: ast.expr, scope: Scope, attributes: str) -> Iterator[str]:
        """What an expression means through every assignment that leads to it."""
        if self._depth > _MAX_DEPTH:
            return
        self._depth += 1
        try:
            pending: list[_Step] = [(expression, scope, attributes)]
            seen: set[tuple[str, int, str]] = set()
            visits: Counter[tuple[str, int]] = Counter()
            for _ in range(_MAX_STEPS):
                if not pending:
                    return
                node, where, more = pending.pop()
                node, own = _stripped(node)
                more = own + more
                if not isinstance(node, ast.Name):
                    yield from self._step(node, where, more, pending)
                    continue
                owner = where.owner(node.id)
                if owner is None:
                    yield from (each + more for each in self._unbound(node.id))
                    continue
                key = node.id, id(owner)
                # `a = a.b` leads to `a.b.b.b`, and so on without end.
                if (*key, more) not in seen and visits[key] < _MAX_VISITS:
                    seen.add((*key, more))
                    visits[key] += 1
                    for binding in owner.bindings[node.id]:
                        if isinstance(binding, Imported):
                            yield binding.name + more
                        elif isinstance(binding, Alias):
                            pending.append((binding.value, binding.scope, more))
        finally:
            self._depth -= 1

    def _step(
        self, node: ast.expr, scope: Scope, attributes: str, pending: list[_Step]
    ) -> Iterator[str]:
        """Names that `node` gives at once; what has to be followed on goes to `pending`."""
        match node:
            case ast.NamedExpr(value=value):
                pending.append((value, scope, attributes))
            case ast.IfExp(body=body, orelse=otherwise):
                pending += [(otherwise, scope, attributes), (body, scope, attributes)]
            case ast.BoolOp(values=values):
                pending += [(value, scope, attributes) for value in values]
            case ast.Subscript(value=value, slice=key) if not isinstance(key, ast.Slice):
                yield from self._item(value, key, scope, attributes, pending)
            case ast.Call(args=[_, *_]):
                yield from self._call(node, scope, attributes, pending)
            case _:
                pass

    def _item(
        self,
        value: ast.expr,
        key: ast.expr,
        scope: Scope,
        attributes: str,
        pending: list[_Step],
    ) -> Iterator[str]:
        """`sys.modules["name"]`, `vars(thing)["name"]`, `thing.__dict__["name"]`."""
        holder: ast.expr | None = None
        match value:
            case ast.Attribute(value=inner, attr="__dict__"):
                holder = inner
            case ast.Call(func=func, args=[inner]) if "builtins.vars" in self.resolve(func, scope):
                holder = inner
            case ast.Call(func=func, args=[]) if self.resolve(func, scope) & {
                "builtins.globals",
                "builtins.locals",
            }:
                pending += [
                    (ast.Name(name), self._module_scope, attributes) for name in fold(key, scope)
                ]
                return
            case _:
                pass
        if holder is not None:
            pending += [(holder, scope, f".{name}{attributes}") for name in fold(key, scope)]
        elif not _MODULE_TABLES.isdisjoint(self.resolve(value, scope)):
            yield from (f"{name}{attributes}" for name in fold(key, scope))
        elif "builtins" in self.resolve(value, scope):
            # In every module but the first that runs, `__builtins__` is a dict.
            yield from (f"builtins.{name}{attributes}" for name in fold(key, scope))

    def _call(
        self, call: ast.Call, scope: Scope, attributes: str, pending: list[_Step]
    ) -> Iterator[str]:
        """`getattr(thing, "name")`, `import_module("name")` and the like."""
        called = self.resolve(call.func, scope)
        first, *others = call.args
        if "builtins.getattr" in called and others:
            pending += [(first, scope, f".{name}{attributes}") for name in fold(others[0], scope)]
        elif called & (_IMPORT_MODULE | _GETTERS):
            yield from (f"{name}{attributes}" for name in fold(first, scope))
        elif called & _IMPORT_TOP:
            for name in fold(first, scope):
                yield f"{name if others[2:3] else name.partition('.')[0]}{attributes}"

    def _unbound(self, name: str) -> frozenset[str]:
        if name == "__builtins__":
            return frozenset(("builtins",))
        found = [f"{star}.{name}" for star in self._module_scope.stars]
        if name in BUILTIN_NAMES:
            found.append(f"builtins.{name}")
        return frozenset(found)


def _stripped(expression: ast.expr) -> tuple[ast.expr, str]:
    """`a.b.c` as `a` and `".b.c"`; anything else as it is."""
    if not isinstance(expression, ast.Attribute):
        return expression, ""
    attributes: list[str] = []
    while isinstance(expression, ast.Attribute):
        attributes.append(f".{expression.attr}")
        expression = expression.value
    return expression, "".join(reversed(attributes))
