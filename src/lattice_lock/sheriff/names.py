"""What the names of a Python file stand for, as far as its text alone can tell."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.scopes import Alias, Imported

if TYPE_CHECKING:
    from lattice_lock.sheriff.scopes import Scope

__all__ = ["BUILTIN_NAMES", "Names"]

BUILTIN_NAMES: Final = frozenset(dir(builtins))

_MAX_ALIAS_HOPS: Final = 50
"""Longest chain `a = b; c = a; ...` that is followed."""

_MAX_LITERAL_PARTS: Final = 1000
"""Most pieces of a concatenated string that are put together."""

_NOTHING: Final[frozenset[str]] = frozenset()


class Names:
    """Resolves names of one file; `module_scope` is the scope of the file itself."""

    def __init__(self, module_scope: Scope) -> None:
        self._stars: Final = module_scope.stars
        self._known: Final[dict[tuple[int, str], frozenset[str]]] = {}

    def resolve(self, expression: ast.expr, scope: Scope) -> frozenset[str]:
        """Absolute dotted names that a name or attribute may stand for, empty where unknown.

        Built-ins are `builtins.<name>`. A name that several statements bind has several answers.
        """
        return self._resolve(expression, scope, _MAX_ALIAS_HOPS)

    def _resolve(self, expression: ast.expr, scope: Scope, hops: int) -> frozenset[str]:
        attributes: list[str] = []
        while isinstance(expression, ast.Attribute):
            attributes.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return _NOTHING
        roots = self._resolve_name(expression.id, scope, hops)
        if not attributes or not roots:
            return roots
        suffix = "." + ".".join(reversed(attributes))
        return frozenset(root + suffix for root in roots)

    def _resolve_name(self, name: str, scope: Scope, hops: int) -> frozenset[str]:
        key = (id(scope), name)
        known = self._known.get(key)
        if known is not None or hops == 0:
            return known or _NOTHING
        self._known[key] = _NOTHING  # ends a chain that comes back to itself
        bindings = scope.lookup(name)
        found = self._unbound(name) if bindings is None else set()
        for binding in bindings or ():
            if isinstance(binding, Imported):
                found.add(binding.name)
            elif isinstance(binding, Alias):
                found |= self._resolve(binding.value, binding.scope, hops - 1)
        self._known[key] = frozenset(found)
        return self._known[key]

    def _unbound(self, name: str) -> set[str]:
        if name == "__builtins__":
            return {"builtins"}
        found = {f"{star}.{name}" for star in self._stars}
        if name in BUILTIN_NAMES:
            found.add(f"builtins.{name}")
        return found

    def literal(self, expression: ast.expr, scope: Scope) -> str | None:
        """The string that an expression certainly is, or None.

        Understands constants, names assigned exactly once, and `+` and f-strings of those.
        """
        parts: list[str] = []
        pending = [(expression, scope)]
        for _ in range(_MAX_LITERAL_PARTS):
            if not pending:
                return "".join(parts)
            part, where = pending.pop()
            match part:
                case ast.Constant(value=str(text)):
                    parts.append(text)
                case ast.BinOp(left=left, op=ast.Add(), right=right):
                    pending += [(right, where), (left, where)]
                case ast.JoinedStr(values=values):
                    pending += [(value, where) for value in reversed(values)]
                case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                    pending.append((value, where))
                case ast.Name(id=name):
                    match where.lookup(name):
                        case [Alias(value, defined_in)]:
                            pending.append((value, defined_in))
                        case _:
                            return None
                case _:
                    return None
        return None

    def assigned(self, expression: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """Follow a name that is assigned exactly once to the expression that it was given."""
        for _ in range(_MAX_ALIAS_HOPS):
            if not isinstance(expression, ast.Name):
                break
            match scope.lookup(expression.id):
                case [Alias(value, where)]:
                    expression, scope = value, where
                case _:
                    break
        return expression, scope
