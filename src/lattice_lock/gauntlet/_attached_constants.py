"""Constants of a program, around which programs go wrong."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Constants", "mine"]

_LONGEST: Final = 60
_LARGEST: Final = 10**12
_REGEX_CALLS: Final = frozenset(
    {"compile", "match", "fullmatch", "search", "findall", "finditer", "split", "sub"}
)


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants by type, in the order in which they were met.

    Attributes:
        ints: numbers without fraction.
        floats: numbers with one.
        texts: strings, no docstrings or messages of exceptions.
        blobs: byte strings.
        patterns: strings that are used as regular expressions.
    """

    ints: tuple[int, ...] = ()
    floats: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    blobs: tuple[bytes, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def characters(self) -> str:
        """Every character of the texts, once."""
        return "".join(dict.fromkeys("".join(self.texts)))


@dataclass(slots=True)
class _Found:
    ints: dict[int, None] = field(default_factory=dict)
    floats: dict[float, None] = field(default_factory=dict)
    texts: dict[str, None] = field(default_factory=dict)
    blobs: dict[bytes, None] = field(default_factory=dict)
    patterns: dict[str, None] = field(default_factory=dict)


def mine(trees: Iterable[ast.AST]) -> Constants:
    """The constants of several trees, those of the first tree first."""
    found = _Found()
    for tree in trees:
        ignored = _ignored(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                _take_pattern(node, found, ignored)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in ignored:
                _take(node.value, found)
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                operand = node.operand
                value = operand.value if isinstance(operand, ast.Constant) else None
                if isinstance(value, int | float):
                    _take(-value, found)
    return Constants(
        tuple(found.ints),
        tuple(found.floats),
        tuple(found.texts),
        tuple(found.blobs),
        tuple(found.patterns),
    )


def _take(value: object, found: _Found) -> None:
    if type(value) is int and abs(value) <= _LARGEST:
        found.ints[value] = None
    elif type(value) is float and abs(value) <= _LARGEST:
        found.floats[value] = None
    elif type(value) is str and len(value) <= _LONGEST:
        found.texts[value] = None
    elif type(value) is bytes and len(value) <= _LONGEST:
        found.blobs[value] = None


def _take_pattern(node: ast.Call, found: _Found, ignored: set[int]) -> None:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    owner = called.value if isinstance(called, ast.Attribute) else None
    if name not in _REGEX_CALLS or not (
        isinstance(owner, ast.Name) and owner.id in ("re", "regex")
    ):
        return
    first = node.args[0] if node.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        try:
            re.compile(first.value)
        except re.error:
            return
        found.patterns[first.value] = None
        ignored.add(id(first))


def _ignored(tree: ast.AST) -> set[int]:
    """Constants that are no data: texts that stand alone, in decorators' messages, in errors."""
    ignored = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            ignored.add(id(node.value))
        elif isinstance(node, ast.Raise) and node.exc is not None:
            ignored |= _texts_within(node.exc)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                for argument in getattr(decorator, "args", ())[1:]:
                    ignored |= _texts_within(argument)
        elif isinstance(node, ast.Assert) and node.msg is not None:
            ignored |= _texts_within(node.msg)
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            ignored |= {id(each) for each in ast.walk(node.annotation)}
    return ignored


def _texts_within(tree: ast.AST) -> set[int]:
    return {
        id(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
