"""Conditions of a lattice: a safe subset of Python expressions, checked against its types.

A condition is parsed with `ast.parse`, every node is checked against a whitelist, and the whole
is typed against the lattice. Nothing is ever passed to `eval`; `evaluate` walks the tree itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

    from lattice_lock.exceptions import SourceLocation

__all__ = ["Expression"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A checked condition.

    Attributes:
        source: text as the author wrote it, surrounding white space removed.
        tree: the whitelisted tree; treat as read-only.
        location: place of its first character.
    """

    source: str
    tree: ast.expr
    location: SourceLocation
