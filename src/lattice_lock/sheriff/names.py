"""What the names of a Python file stand for, as far as its text alone can tell."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.scopes import Alias, Imported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lattice_lock.sheriff.scopes import Scope

__all__ = ["BUILTIN_NAMES", "Names"]

BUILTIN_NAMES: Final = frozenset(dir(builtins))

_MAX_ALIASES: Final = 200
"""Most names that are followed through assignments such as `a = b` to learn about one name."""

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
        name, attributes = _dotted(expression)
        if name is None:
            return _NOTHING
        roots = self._meanings(name, scope)
        return frozenset(root + attributes for root in roots) if attributes else roots

    def _meanings(self, name: str, scope: Scope) -> frozenset[str]:
        owner = scope.owner(name)
        if owner is None:
            return self._unbound(name)
        key = (id(owner), name)
        if key not in self._known:
            self._known[key] = frozenset(self._follow(name, owner))
        return self._known[key]

    def _follow(self, name: str, owner: Scope) -> Iterator[str]:
        """What a name means through every assignment that leads to it."""
        pending = [(name, owner, "")]
        seen = set(pending)
        while pending:
            name, owner, attributes = pending.pop()
            for binding in owner.bindings[name]:
                if isinstance(binding, Imported):
                    yield binding.name + attributes
                elif isinstance(binding, Alias):
                    source, more = _dotted(binding.value)
                    step = binding.scope.owner(source) if source is not None else None
                    if source is not None and step is None:
                        yield from (each + more + attributes for each in self._unbound(source))
                    elif source is not None and step is not None:
                        following = (source, step, more + attributes)
                        if following not in seen and len(seen) < _MAX_ALIASES:
                            seen.add(following)
                            pending.append(following)

    def _unbound(self, name: str) -> frozenset[str]:
        if name == "__builtins__":
            return frozenset(("builtins",))
        found = [f"{star}.{name}" for star in self._stars]
        if name in BUILTIN_NAMES:
            found.append(f"builtins.{name}")
        return frozenset(found)

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
        for _ in range(_MAX_ALIASES):
            if not isinstance(expression, ast.Name):
                break
            match scope.lookup(expression.id):
                case [Alias(value, where)]:
                    expression, scope = value, where
                case _:
                    break
        return expression, scope


def _dotted(expression: ast.expr) -> tuple[str | None, str]:
    """`a.b.c` as `("a", ".b.c")`; no name where it is anything else."""
    attributes: list[str] = []
    while isinstance(expression, ast.Attribute):
        attributes.append(f".{expression.attr}")
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return None, ""
    return expression.id, "".join(reversed(attributes))
