"""Syntax that the running Python may not know is read all the same, in its place."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import inspect
import typing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_lock.sheriff import newer_syntax
from lattice_lock.sheriff.newer_syntax import downgrade

if TYPE_CHECKING:
    from types import ModuleType

    from tests.sheriff.conftest import Check

_FORBIDDEN = "import requests\n"
_NEWER = {
    "type parameters of a function": "def f[T: int](x: T) -> T: ...\n",
    "type parameters of a method": "class A:\n    async def f[**P](self, x: int) -> None: ...\n",
    "type parameters of a class": "class A[T, *Ts, **P](list[T]): ...\n",
    "defaults of type parameters": "class A[T = int, *Ts = *tuple[int]]: ...\n",
    "type parameters in lines": "def f[\n    T,  # here\n    U: (int, ']'),\n](x: T) -> U: ...\n",
    "type alias": "type X = list[int]\n",
    "generic type alias": "type X[T] = list[T]\n",
    "type alias in a block": "if 1: type X = int; type Y = X\n",
    "the same quotes in a field": 'd = {}\nx = f"{d["a"]}"\n',
    "fields in fields": "x = f'{f'{f'{1}'}'}'\n",
    "backslash in a field": 'x = f"{"\\n".join([])}"\n',
    "comment in a field": 'x = f"""{\n  1  # } a comment\n}"""\n',
    "conversion and format": 'd = w = {}\nx = f"a {d["a"]!r:>{w}} {{}} {w = !s} {w!=d["b"]}" "b"\n',
    "neighbours": 'd = {}\nx = ("a" "b" f"{d}" f"{d["a"]}" f"{d}"\n     "c")\n',
    "neighbours in a line": 'd = {}\nf"{d!r}" f"{d["q"]:%Y-%m}"\n',
    "raw and named": 'd = {}\nx = rf"\\{d["a"]}" f"\\N{{x}}\\N{DIGIT ONE}{d["a"]}\\{d}"\n',
    "template string": 'name = ""\nx = t"hello {name}" rt"\\d"\n',
    "except without brackets": "try: pass\nexcept ValueError, TypeError: pass\n",
    "except without brackets, in lines": "try:\n  pass\nexcept* OSError, a.b(1, 2):\n  pass\n",
    "lazy import": "lazy import json\nif 1:\n    lazy from a import b\n",
}


@pytest.mark.parametrize("text", _NEWER.values(), ids=_NEWER.keys())
def test_newer_syntax_hides_nothing(check: Check, text: str) -> None:
    """Before and after it, what is forbidden is found at its line, and nothing else is."""
    found = check(_FORBIDDEN + text + _FORBIDDEN)
    lines = [violation.line for violation in found if violation.rule == "forbidden-import"]
    assert lines == [1, text.count("\n") + 2]
    assert {violation.rule for violation in found} <= {"forbidden-import", "missing-annotation"}


@pytest.mark.parametrize("text", _NEWER.values(), ids=_NEWER.keys())
def test_newer_syntax_becomes_older_syntax(text: str) -> None:
    """The result is what Python 3.11 reads, as long as the original, line by line."""
    older = downgrade(text)
    assert older is not None
    assert [len(line) for line in older.split("\n")] == [len(line) for line in text.split("\n")]
    ast.parse(older, feature_version=(3, 11))


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ('x = f"{d["a"]} {__import__("requests")}"\n', 17),
        ('x = t"{__import__("requests")}"\n', 8),
        ("lazy import requests\n", 13),
        ("def f[T](x: float) -> T: ...\n", 13),
        ('def f[T](x: T) -> T: return f"{float("1")}"\n', 32),
        ("type X = int\ntype Y[T] = float\nx: Y = 1\n", 4),
        ("try: pass\nexcept A, B: import requests\n", 21),
    ],
)
def test_what_stands_in_newer_syntax_is_found_in_its_place(
    check: Check, text: str, column: int
) -> None:
    """A field, a lazy import, an annotation and a body are looked at, at their own columns."""
    columns = [each.column for each in check(text) if each.rule == "forbidden-import"]
    assert column in columns


@pytest.mark.parametrize(
    "text",
    [
        "type = 1\ntype == 2\nprint(type)\ntype[0] = 1\n",
        "lazy = 1\nlazy(1)\n",
        'x = f"{a!r:>{b}} {{x}}" "b"\n',
        "try: pass\nexcept (A, B): pass\nexcept (A, B) as c: pass\n",
        "def f(a): return a[0]\nclass A(B[C]): d[e] = 1\n",
    ],
)
def test_older_syntax_is_left_as_it_is(text: str) -> None:
    """Nothing is rewritten that every Python reads."""
    assert downgrade(text) == text


@pytest.mark.parametrize("module", [argparse, ast, dataclasses, enum, inspect, typing])
def test_rewriting_moves_nothing(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every f-string of a real file rewritten, all that stands in it is where it was."""
    monkeypatch.setattr(newer_syntax, "_is_readable", lambda _: False)
    text = inspect.getsource(module)
    older = downgrade(text)
    assert older is not None
    assert older != text or 'f"' not in text
    assert _places(older) == _places(text)


def _places(text: str) -> list[tuple[str, int, int]]:
    kinds = (ast.stmt, ast.arg, ast.keyword, ast.Lambda)
    return sorted(
        (type(node).__name__, node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds)
    )


@pytest.mark.parametrize(
    "text",
    ["def f(:\n", "type X =\n", 'x = f"{"\n', "x = f'{1", "lazy import\n", "class A[T: ...\n"],
)
def test_wrong_syntax_stays_wrong(check: Check, text: str) -> None:
    """What no Python reads is a finding still."""
    assert [violation.rule for violation in check(text)] == ["unparsable-file"]


_PIECES = (
    *("f'", 'f"""', "'", '"', "{", "}", "[", "]", "(", ")", ":", "!", "=", "\\", "\n", "#", "{{"),
    *("def f", "class A", "type X", "lazy import a", "except A, B:", "\\N{", " ", "x"),
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(_PIECES)).map("".join))
def test_any_text_ends(text: str) -> None:
    """Whatever the text, the result is as long as it, or none."""
    older = downgrade(text)
    assert older is None or len(older) == len(text)
