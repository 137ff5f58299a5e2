"""The walk that looks at statements alone misses none of them."""

from __future__ import annotations

import argparse
import ast
import enum
import inspect
import typing
from typing import TYPE_CHECKING

import pytest

from lattice_lock.sheriff.scopes import Walk

if TYPE_CHECKING:
    from types import ModuleType

_STATEMENTS = frozenset({ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign})
_BLOCKS = """\
match x:
    case [first, *rest] if first:
        import a
    case {"k": 1, **more} | None | True:
        import b
with x as (y, z), w as v:
    import c
try:
    import d
except* OSError as error:
    import e
else:
    import f
finally:
    import g
while x:
    import h
else:
    import i
for j, k in x:
    import l
else:
    def m(): import n
if x: import o
elif y: import p
else:
    class Q:
        import r
async def s():
    async with x as t:
        import u
    async for y in x:
        import aa
"""


def _found(text: str, *, expressions: bool) -> tuple[list[int], set[str], int]:
    walk = Walk(ast.parse(text), package=(), wanted=_STATEMENTS, expressions=expressions)
    lines = [getattr(node, "lineno", 0) for nodes in walk.nodes.values() for node, _ in nodes]
    return sorted(lines), set(walk.globals.bindings), len(walk.annotations)


@pytest.mark.parametrize("module", [argparse, enum, typing], ids=lambda module: module.__name__)
def test_statements_are_found_without_expressions(module: ModuleType) -> None:
    """Statements, global names and annotations are those that the whole walk finds."""
    text = inspect.getsource(module)
    assert _found(text, expressions=False) == _found(text, expressions=True)


def test_every_kind_of_block_is_looked_into() -> None:
    """No block of any compound statement is passed over, nor a name that one binds."""
    found = _found(_BLOCKS, expressions=False)
    assert found == _found(_BLOCKS, expressions=True)
    assert len(found[0]) == _BLOCKS.count("import ") + len(["m", "Q"])
