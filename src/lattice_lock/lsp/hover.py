"""What an editor shows about the place that a person points at."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

from lattice_lock.sheriff.registry import load_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lattice_lock.core.schema import Interface, Method

__all__ = ["hover_text"]

_IGNORED: Final = re.compile(r"lattice:ignore\[[^\]]*\]")
_DEFINED: Final = re.compile(r"\s*(?:async\s+)?def\s+(\w+)")
_RULE: Final = re.compile(r"[a-z][a-z0-9-]*")


def hover_text(line: str, column: int, interfaces: Iterable[Interface]) -> str | None:
    """Markdown on a rule that a comment ignores, or on the contract of a method defined there.

    Args:
        line: the line that is pointed at.
        column: where, counted from 1.
        interfaces: what the file implements.
    """
    place = column - 1
    for comment in _IGNORED.finditer(line):
        for name in _RULE.finditer(line, comment.start() + len("lattice:ignore["), comment.end()):
            if name.start() <= place <= name.end():
                return next(
                    (_page(type(rule)) for rule in load_rules() if rule.name == name[0]), None
                )
    found = _DEFINED.match(line)
    if found is not None and found.start(1) <= place <= found.end(1):
        for interface in interfaces:
            if found[1] in interface.methods:
                return _contract(interface, interface.methods[found[1]])
    return None


def _page(rule: type) -> str | None:
    return inspect.getdoc(rule)


def _contract(interface: Interface, method: Method) -> str:
    params = ", ".join(f"{param.name}: {param.type}" for param in method.params.values())
    parts = [f"**`{interface.name}.{method.name}({params}) -> {method.returns.type or 'None'}`**"]
    if method.description:
        parts.append(method.description)
    rows = [f"- the caller ensures `{clause.expression.source}`" for clause in method.requires]
    rows += [f"- the result satisfies `{clause.expression.source}`" for clause in method.ensures]
    rows += [
        f"- raises `{declared.exception}` exactly when `{declared.clause.expression.source}`"
        for declared in method.raises
    ]
    return "\n\n".join([*parts, "\n".join(rows)]).rstrip()
